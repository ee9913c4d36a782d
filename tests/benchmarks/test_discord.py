"""How soon two hundred slash commands at once are acknowledged on Discord.

Baseline: a bare discord.py bot that only defers, in a process of its own, asked by a played Discord
of its own. Both are asked in turns: whatever else the machine does troubles both alike.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import p50, p99
from discord_server import Channel, Member, PlayedDiscord
from studio import ROOT, StudioProcess

if TYPE_CHECKING:
    from conftest import Report

MEMBERS, ROUNDS = 200, 3
PAINTING = ROOT / "tests" / "generators" / "engine" / "painting_runner.py"


class Crowd:
    """Members of one guild, who all ask at once."""

    def __init__(self, discord: PlayedDiscord) -> None:
        self._discord = discord
        guild = discord.guild("Cats")
        self._channel: Channel = discord.channel(guild, "general")
        self._members: list[Member] = [discord.member(guild, f"member{n}") for n in range(MEMBERS)]

    async def ask(self, *, answered: bool = False) -> list[float]:
        """Seconds from each command to its acknowledgement. With `answered`, waits for the pictures
        too: who is asked next should find the machine at rest."""
        asked = [
            await self._discord.slash(member, self._channel, "imagine", prompt="red heart")
            for member in self._members
        ]
        await asyncio.gather(*(one.acknowledged(within_s=30) for one in asked))
        if answered:
            answers = (one.answer(lambda message: message.uploads, 120) for one in asked)
            await asyncio.gather(*answers)
        return [one.latency_s for one in asked if one.latency_s is not None]


@asynccontextmanager
async def bare_bot(discord: PlayedDiscord) -> AsyncIterator[None]:
    script = Path(__file__).parent / "bare_discord.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), discord.api_base, env={"DISCORD_TOKEN": discord.token}
    )
    try:
        await discord.ready()
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def studio(discord: PlayedDiscord, folder: Path) -> AsyncIterator[None]:
    settings = {
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_BASE": discord.api_base,
        "QUOTA_GPU_SECONDS": 0,
        "WAITING_JOBS": 1000,
    }
    async with StudioProcess(folder, PAINTING, **settings):
        await discord.ready()
        await discord.until(discord.commands)
        yield


@pytest.mark.timeout(300)
async def test_two_hundred_commands_at_once(tmp_path: Path, report: Report) -> None:
    ours: list[float] = []
    bare: list[float] = []
    async with (
        PlayedDiscord() as first,
        PlayedDiscord() as second,
        studio(first, tmp_path),
        bare_bot(second),
    ):
        second.server.commands[""] = first.commands()  # the bare bot has none of its own
        studios, bares = Crowd(first), Crowd(second)
        await studios.ask(answered=True)
        await bares.ask()
        for _ in range(ROUNDS):
            bare += await bares.ask()
            ours += await studios.ask(answered=True)
    assert len(ours) == len(bare) == MEMBERS * ROUNDS
    name = f"Discord acknowledgement, {MEMBERS} at once"
    baseline = "bare discord.py"
    report.add(f"{name}, p50", 1000 * p50(ours), "ms", baseline, 1000 * p50(bare))
    report.add(f"{name}, p99", 1000 * p99(ours), "ms", baseline, 1000 * p99(bare))
    report.add(f"{name}, slowest", 1000 * max(ours), "ms", baseline, 1000 * max(bare))
