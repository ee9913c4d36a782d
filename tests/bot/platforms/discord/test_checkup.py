"""What `atelier doctor` says of Discord, asked of a played one."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from discord_server import PlayedDiscord

from bot.platforms.discord import invitation
from bot.platforms.discord.checkup import Remark, examine
from bot.platforms.discord.settings import DiscordSettings

ALL = invitation.permissions()


def settings(discord: PlayedDiscord | None = None, **changes: Any) -> DiscordSettings:
    values: dict[str, Any] = {"token": None, "public_key": ""}
    if discord is not None:
        values = {"token": discord.token, "api_base": discord.api_base, "public_key": ""}
    return DiscordSettings(_env_file=None, **values | changes)


async def said(discord: PlayedDiscord, public_url: str = "", **changes: Any) -> dict[str, Remark]:
    remarks = await examine(settings(discord, **changes), public_url)
    assert all(remark.remedy for remark in remarks if remark.trouble)
    assert not any(discord.token in str(remark) for remark in remarks)
    return {remark.name: remark for remark in remarks}


async def test_all_is_well(played_discord: PlayedDiscord) -> None:
    played_discord.guild("Cats", bot_permissions=ALL)
    found = await said(played_discord)
    assert [remark.trouble for remark in found.values()] == [""] * 4
    assert "signed in as" in found["discord"].detail
    assert "no privileged intents" in found["discord commands"].detail
    assert found["discord invitation"].link == (
        "https://discord.com/oauth2/authorize"
        f"?client_id={played_discord.application_id}&permissions={ALL}"
        "&scope=bot+applications.commands"
    )


async def test_nobody_has_invited_it_yet(played_discord: PlayedDiscord) -> None:
    found = await said(played_discord)
    assert found["discord permissions"].trouble == "note"
    assert "link" in found["discord permissions"].remedy


async def test_permissions_that_were_not_granted_are_named(played_discord: PlayedDiscord) -> None:
    guild = played_discord.guild("Cats", bot_permissions=0)
    guild.everyone.permissions = invitation.NEEDED["View Channels"]
    permissions = (await said(played_discord))["discord permissions"]
    assert permissions.trouble == "bad"
    assert permissions.detail == (
        "“Cats” did not grant Attach Files, Send Messages, Send Messages in Threads"
    )
    guild.everyone.permissions = sum(invitation.NEEDED.values())
    permissions = (await said(played_discord))["discord permissions"]
    assert permissions.trouble == "note"
    assert "Create Expressions, Send Voice Messages" in permissions.detail
    guild.everyone.permissions = invitation.ADMINISTRATOR
    assert (await said(played_discord))["discord permissions"].trouble == ""


async def test_a_token_that_is_refused(played_discord: PlayedDiscord) -> None:
    found = await said(played_discord, token="not.the.token")
    assert [remark.trouble for remark in found.values()] == ["bad"]
    assert "ATELIER_DISCORD_TOKEN" in found["discord"].remedy
    assert len(played_discord.forgive("no valid Authorization")) == 1  # one try, not four


async def test_commands_that_go_elsewhere(played_discord: PlayedDiscord) -> None:
    played_discord.server.interactions_url = "https://old.example/discord"
    found = (await said(played_discord))["discord commands"]
    assert found.trouble == "bad"
    assert "https://old.example/discord" in found.detail


async def test_the_way_over_http(played_discord: PlayedDiscord) -> None:
    server = played_discord.server
    key = server.http.public_key

    async def commands(public_url: str = "", public_key: str = key) -> Remark:
        found = await said(played_discord, public_url, public_key=public_key)
        return found["discord commands"]

    wrong = await commands(public_key="ab" * 32)
    assert (wrong.trouble, "another application" in wrong.detail) == ("bad", True)
    server.interactions_url = None
    unknown = await commands("https://art.example/")
    assert unknown.trouble == "note"
    assert "https://art.example/discord/interactions" in unknown.remedy
    server.interactions_url = "https://art.example/discord/interactions"
    assert (await commands("https://art.example")).trouble == ""
    assert (await commands()).trouble == ""
    assert (await commands("https://other.example")).trouble == "note"


async def test_discord_is_out_of_reach() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        port = taken.getsockname()[1]
        (remark,) = await examine(settings(token="t", api_base=f"http://127.0.0.1:{port}/api/v10"))
    assert remark.trouble == "bad"
    assert "ATELIER_DISCORD_API_BASE" in remark.remedy


@pytest.mark.parametrize(("public_key", "trouble"), [("", ""), ("ab" * 32, "bad")])
async def test_switched_off(public_key: str, trouble: str) -> None:
    (remark,) = await examine(settings(public_key=public_key))
    assert remark.trouble == trouble
