"""The connection to Discord: the fewest intents, kept up through whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from discord_server import PlayedDiscord
from pydantic import SecretStr
from structlog.testing import capture_logs

from bot.core.ports import Notifies, Platform
from bot.errors import DeliveryRetry
from bot.http import RouteSource
from bot.metrics import Metrics
from bot.platforms.discord import client as client_module
from bot.platforms.discord.platform import DiscordPlatform
from bot.platforms.discord.settings import DiscordSettings

Build = Callable[..., DiscordPlatform]
Connected = Callable[..., AbstractAsyncContextManager[DiscordPlatform]]


@asynccontextmanager
async def _running(platform: DiscordPlatform, studio: Any) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(platform.run(studio.router.handle))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def platform(studio: Any, connected: Connected) -> AsyncIterator[DiscordPlatform]:
    async with connected(studio, studio.router.handle) as platform:
        yield platform


def _names(played_discord: Any, guild: Any = None) -> set[str]:
    return {one["name"] for one in played_discord.commands(guild)}


async def test_it_is_a_platform_that_notifies_and_may_have_routes(
    studio: Any, build: Build
) -> None:
    platform = build(studio)
    as_platform: Platform = platform
    as_source: RouteSource = platform
    assert as_platform.name == "discord"
    assert isinstance(platform, Notifies)
    assert list(as_source.routes()) == []


async def test_it_asks_for_guilds_and_nothing_else(platform: DiscordPlatform) -> None:
    client = platform.client()
    assert [name for name, on in client.intents if on] == ["guilds"]
    assert list(client.cached_messages) == []


def _asked_for_commands(played_discord: Any) -> int:
    path = f"/applications/{played_discord.application_id}/commands"
    return sum((one.method, one.path) == ("GET", path) for one in played_discord.requests)


async def test_commands_are_told_only_where_discord_knows_others(
    platform: DiscordPlatform, played_discord: Any, studio: Any, build: Build
) -> None:
    assert _names(played_discord) == {*studio.commands, "Upscale", "Show prompt", "Report"}
    assert len(played_discord.command_writes) == 1
    again = build(studio)
    async with _running(again, studio):
        await played_discord.until(lambda: _asked_for_commands(played_discord) == 2)
        await played_discord.until(lambda: _tidied(played_discord) == 2)
    assert len(played_discord.command_writes) == 1


def _tidied(played_discord: Any) -> int:
    return sum(
        one.method == "GET" and "/guilds/" in one.path and one.path.endswith("/commands")
        for one in played_discord.requests
    )


async def test_commands_may_be_tried_out_in_one_community_first(
    studio: Any, played_discord: Any, build: Build
) -> None:
    cats, dogs = played_discord.guild("Cats"), played_discord.guild("Dogs")
    async with _running(build(studio, communities=(int(cats.id),)), studio):
        await played_discord.until(lambda: played_discord.commands(cats))
    assert "imagine" in _names(played_discord, cats)
    assert _names(played_discord) == _names(played_discord, dogs) == set()
    async with _running(build(studio), studio):
        await played_discord.until(lambda: played_discord.commands())
        await played_discord.until(lambda: not played_discord.commands(cats))


async def test_a_refused_list_of_commands_keeps_nobody_from_using_those_of_before(
    studio: Any, played_discord: Any, build: Build
) -> None:
    played_discord.fail_next("PUT */commands", 400, 50035)
    platform = build(studio)
    async with _running(platform, studio) as task:
        await played_discord.ready()
        await played_discord.until(lambda: _puts(played_discord) == 1)
        assert not task.done()


def _puts(played_discord: Any) -> int:
    return sum(one.method == "PUT" for one in played_discord.requests)


# --- what happens to connections ---


async def _suggests(played_discord: Any, guild: Any) -> None:
    """Whoever types gets suggestions: the connection works in both directions."""
    channel = next(iter(guild.channels.values()), None) or played_discord.channel(guild)
    anna = played_discord.member(guild, "anna")
    found = await played_discord.autocomplete(anna, channel, "imagine", "model", "tur", prompt="x")
    assert [one["value"] for one in found] == ["turbo"]


@pytest.fixture
def cats(platform: DiscordPlatform, played_discord: Any) -> Any:
    return next(iter(played_discord.world.guilds.values()))


async def test_a_lost_connection_is_resumed_and_nothing_is_missed(
    platform: DiscordPlatform, played_discord: Any, cats: Any
) -> None:
    played_discord.drop_gateway()
    await _suggests(played_discord, cats)  # sent while nobody listened
    assert played_discord.server.gateway.resumes == 1
    await played_discord.close_gateway(4000)
    await _suggests(played_discord, cats)
    played_discord.ask_to_reconnect()
    await played_discord.until(lambda: played_discord.server.gateway.resumes == 3)
    await _suggests(played_discord, cats)


async def test_a_forgotten_session_is_begun_anew_at_the_same_address(
    platform: DiscordPlatform,
    played_discord: Any,
    cats: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "IDENTIFY_EVERY_S", 0.0)
    identifies = played_discord.server.gateway.identifies
    await played_discord.close_gateway(4009, resumable=False)
    await played_discord.until(lambda: len(identifies) == 2)
    await _suggests(played_discord, cats)
    played_discord.invalidate_sessions()
    await played_discord.until(lambda: len(identifies) == 3)
    await _suggests(played_discord, cats)


async def test_a_revoked_token_is_said_once_and_tried_again_now_and_then(
    platform: DiscordPlatform, played_discord: Any, cats: Any
) -> None:
    with capture_logs() as lines:
        await played_discord.revoke_token()
        await played_discord.until(lambda: _refused(played_discord) >= 3)
        with pytest.raises(DeliveryRetry):
            platform.client()
        played_discord.restore_token()
        await played_discord.ready()
    said = [line for line in lines if line["event"].startswith("Discord refuses us")]
    assert [line["log_level"] for line in said][:2] == ["error", "info"]
    assert "ATELIER_DISCORD_TOKEN" in said[0]["what"]
    await _suggests(played_discord, cats)


def _refused(played_discord: Any) -> int:
    return sum(one.path == "/users/@me" and one.status == 401 for one in played_discord.requests)


async def test_the_studio_starts_while_discord_is_down(
    studio: Any, played_discord: Any, build: Build
) -> None:
    played_discord.fail_next("GET */users/@me", 503, times=3)
    played_discord.fail_next("GET */gateway/bot", 503, times=1)
    cats = played_discord.guild("Cats")
    platform = build(studio)
    async with _running(platform, studio) as task:
        await played_discord.ready()
        assert not task.done()
        await _suggests(played_discord, cats)


async def test_an_address_where_nobody_listens_ends_nothing(studio: Any, build: Build) -> None:
    platform = build(studio, api_base="http://127.0.0.1:9/api/v10")
    with capture_logs() as lines:
        async with _running(platform, studio) as task:
            while sum(line["event"] == "Discord is out of reach" for line in lines) < 3:
                await asyncio.sleep(0.01)
            assert not task.done()


async def test_intents_that_are_not_granted_are_explained(
    studio: Any, played_discord: Any, build: Build
) -> None:
    played_discord.refuse_identify(4014)
    platform = build(studio)
    with capture_logs() as lines:
        async with _running(platform, studio):
            await played_discord.ready()
    said = next(line for line in lines if line["event"].startswith("Discord refuses us"))
    assert "intents" in said["what"]


async def test_no_session_is_begun_that_might_cost_the_token(
    studio: Any, played_discord: Any, build: Build
) -> None:
    played_discord.server.gateway.identifies.extend([{}] * 990)
    with capture_logs() as lines:
        async with _running(build(studio), studio):
            while not any(line["event"].startswith("Discord allows no more") for line in lines):
                await asyncio.sleep(0.01)
    assert len(played_discord.server.gateway.identifies) == 990


async def test_every_shard_that_discord_asks_for_is_connected(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "IDENTIFY_EVERY_S", 0.0)
    async with PlayedDiscord(shards=2) as played:
        guilds = [played.guild("Cats"), played.guild("Dogs")]
        settings = DiscordSettings(api_base=played.api_base, token=SecretStr(played.token))
        platform = DiscordPlatform(
            settings, studio.services, tuple(studio.commands.values()), (), metrics=Metrics()
        )
        async with _running(platform, studio):
            await played.ready()
            await played.until(played.commands)
            for guild in guilds:
                await _suggests(played, guild)
        assert [one["shard"] for one in played.server.gateway.identifies] == [[0, 2], [1, 2]]
        assert not played.broken_rules


# --- coming and going ---


async def _here(studio: Any) -> set[str]:
    async with studio.store.unit_of_work(write=False) as uow:
        return {one.external_id for one in await uow.communities.here("discord")}


async def _works(played_discord: Any, guild: Any) -> None:
    """A member asks for something there: from now on there is a community to be kept."""
    anna, general = played_discord.member(guild, "anna"), played_discord.channel(guild, "general")
    asked = await played_discord.slash(anna, general, "imagine", prompt="red heart")
    await asked.acknowledged()


async def test_a_guild_that_sends_the_bot_away_starts_a_clock_that_coming_back_stops(
    platform: DiscordPlatform, played_discord: Any, cats: Any, studio: Any
) -> None:
    await _works(played_discord, cats)
    assert await _here(studio) == {cats.id}
    played_discord.outage(cats)  # is no goodbye
    played_discord.recover(cats)
    await _suggests(played_discord, cats)
    assert await _here(studio) == {cats.id}
    played_discord.kick(cats)
    while await _here(studio):
        await asyncio.sleep(0)
    played_discord.invite(cats)
    while not await _here(studio):
        await asyncio.sleep(0)


async def test_what_happened_while_nobody_listened_is_made_up_for(
    studio: Any, played_discord: Any, build: Build, connected: Connected
) -> None:
    dogs = played_discord.guild("Dogs")
    async with connected(studio, studio.router.handle):
        await _works(played_discord, dogs)
    played_discord.kick(dogs)
    assert await _here(studio) == {dogs.id}
    async with _running(build(studio), studio):
        while await _here(studio):
            await asyncio.sleep(0.01)


async def test_interactions_over_http_say_nothing_of_guilds_so_none_was_left(
    studio: Any, played_discord: Any, build: Build, connected: Connected
) -> None:
    async with connected(studio, studio.router.handle):
        (cats,) = played_discord.world.guilds.values()
        await _works(played_discord, cats)
    writes = len(played_discord.requests)
    async with _running(build(studio, public_key="ab" * 32), studio):
        await played_discord.until(lambda: len(played_discord.requests) >= writes + 3)
        assert not played_discord.connected
    assert await _here(studio) == {cats.id}
