"""The door for interactions over HTTP: who gets in, what is answered, what is handed on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import discord
import pytest
from aiohttp import ClientSession
from discord_server import PlayedDiscord
from nacl.signing import SigningKey
from prometheus_client import CollectorRegistry

from bot.errors import DeliveryRetry
from bot.http import HttpServer
from bot.platforms.discord.http_mode import WINDOW_S, HttpInteractions
from bot.platforms.discord.settings import INTERACTIONS_PATH

KEY = SigningKey(b"k" * 32)
NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


class Door:
    """A web server with the door in it, and what came through."""

    def __init__(self) -> None:
        self.taken: list[discord.Interaction] = []
        self.client: discord.Client | None = discord.Client(intents=discord.Intents.none())
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answered = 0
        self.source = HttpInteractions(
            KEY.verify_key.encode().hex(), self._take, self._client, clock=lambda: NOW
        )
        self.url = ""

    async def _take(self, interaction: discord.Interaction) -> None:
        self.taken.append(interaction)
        await self.may_answer.wait()
        self.answered += 1

    def _client(self) -> discord.Client:
        if self.client is None:
            raise DeliveryRetry("not connected")
        return self.client

    async def post(
        self,
        payload: Any,
        *,
        at: int | str = SECONDS,
        key: SigningKey = KEY,
        signed: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        signature = key.sign(str(at).encode() + (body if signed is None else signed)).signature
        given = {"X-Signature-Ed25519": signature.hex(), "X-Signature-Timestamp": str(at)}
        given |= headers or {}
        async with (
            ClientSession() as session,
            session.post(
                self.url + INTERACTIONS_PATH, data=body, headers=given | (headers or {})
            ) as response,
        ):
            return response.status, await response.text()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    async with HttpServer(
        "127.0.0.1:0", registry=CollectorRegistry(), sources=[door.source]
    ) as server:
        door.url = server.urls[0]
        yield door


def command(interaction_id: int = 1) -> dict[str, Any]:
    """`/ping` in a direct message, as Discord sends it."""
    return {
        "id": str(interaction_id),
        "application_id": "10",
        "type": 2,
        "token": "a-token",
        "version": 1,
        "data": {"id": "20", "name": "ping", "type": 1},
        "user": {"id": "30", "username": "anna", "discriminator": "0", "avatar": None},
        "channel": {"id": "40", "type": 1},
        "locale": "zh-CN",
        "app_permissions": "0",
        "attachment_size_limit": 10_485_760,
        "context": 1,
        "authorizing_integration_owners": {},
        "entitlements": [],
    }


async def test_a_ping_gets_a_pong_even_before_there_is_a_client(door: Door) -> None:
    door.client = None
    status, text = await door.post({"type": 1, "id": "1"})
    assert (status, json.loads(text)) == (200, {"type": 1})


async def test_a_command_is_taken_and_the_request_answered_202_without_a_body(door: Door) -> None:
    door.may_answer.clear()
    assert await door.post(command()) == (202, "")  # while the answer is still being made
    (taken,) = door.taken
    assert (taken.id, taken.user.id, taken.token) == (1, 30, "a-token")
    assert taken.locale is discord.Locale.chinese
    door.may_answer.set()


async def test_what_is_not_signed_by_discord_is_refused(door: Door) -> None:
    other = SigningKey(b"o" * 32)
    refused = [
        await door.post(command(), key=other),
        await door.post(command(), signed=b"another body"),
        await door.post(command(), headers={"X-Signature-Timestamp": str(SECONDS + 1)}),
        await door.post(command(), headers={"X-Signature-Ed25519": ""}),
        await door.post(command(), headers={"X-Signature-Ed25519": "zz" * 64}),
        await door.post(command(), headers={"X-Signature-Ed25519": "00" * 63}),
        await door.post(command(), at="now"),
        await door.post(command(), at="٣"),
        await door.post({"type": 1}, key=other),
    ]
    assert [status for status, _ in refused] == [401] * len(refused)
    assert door.taken == []


@pytest.mark.parametrize(("off_s", "status"), [(0, 202), (WINDOW_S, 202), (WINDOW_S + 1, 401)])
async def test_a_request_of_another_time_is_refused(door: Door, off_s: int, status: int) -> None:
    assert (await door.post(command(1), at=SECONDS - off_s))[0] == status
    assert (await door.post(command(2), at=SECONDS + off_s))[0] == status
    assert len(door.taken) == (2 if status == 202 else 0)


async def test_what_comes_before_the_client_may_be_sent_again(door: Door) -> None:
    client, door.client = door.client, None
    assert (await door.post(command()))[0] == 503
    door.client = client
    assert (await door.post(command()))[0] == 202


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b"\xff", b'{"type": 2, "id": "1"}'])
async def test_what_is_no_interaction_is_a_bad_request(door: Door, body: bytes) -> None:
    assert (await door.post(body))[0] == 400


async def test_stopping_waits_for_what_is_being_answered(door: Door) -> None:
    door.may_answer.clear()
    await door.post(command())
    closing = asyncio.create_task(door.source.close())
    await asyncio.sleep(0)
    assert not closing.done()
    door.may_answer.set()
    await closing
    assert door.answered == 1


async def test_a_studio_without_a_gateway_connection_is_a_studio_all_the_same(
    played_discord: PlayedDiscord, workshop: Any, build: Any
) -> None:
    workshop.now = datetime.now(UTC)  # the played Discord signs with the real time
    general = played_discord.channel(played_discord.guild("Cats"), "general")
    anna = played_discord.member(general.guild, "anna")
    platform = build(workshop, public_key=played_discord.server.http.public_key)
    running = asyncio.create_task(platform.run(workshop.handle))
    registry = CollectorRegistry()
    async with HttpServer("127.0.0.1:0", registry=registry, sources=[platform]) as server:
        await played_discord.until(played_discord.commands)
        await played_discord.use_http(server.urls[0] + INTERACTIONS_PATH)
        asked = await played_discord.slash(anna, general, "imagine", prompt="red heart")
        assert (await asked.acknowledged(within_s=1))["type"] == 5
        models = await played_discord.autocomplete(anna, general, "imagine", "model", "emo")
        assert [choice["value"] for choice in models] == ["emoji"]
        pinged = await played_discord.slash(anna, general, "ping")
        assert (await pinged.acknowledged(within_s=1))["type"] == 4
        assert [job.command for job in workshop.jobs] == ["imagine"]
    assert set(played_discord.server.http.statuses) == {200, 202, 401}  # PONG, taken, forged PING
    assert not played_discord.connected
    running.cancel()
    await asyncio.wait([running])
