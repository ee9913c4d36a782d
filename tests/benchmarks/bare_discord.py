"""A bare discord.py bot that only defers: what an acknowledgement costs without a studio behind it.

    python bare_discord.py API_BASE

takes the token from DISCORD_TOKEN and runs until it is terminated.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import discord


class BareBot(discord.AutoShardedClient):
    """Says "thinking…" to whatever it is asked."""

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.defer(thinking=True)


if __name__ == "__main__":
    discord.http.Route.BASE = sys.argv[1]
    bot = BareBot(intents=discord.Intents(guilds=True), max_messages=None)
    bot.run(os.environ["DISCORD_TOKEN"], log_handler=None)
