"""Requests are sent once, when Discord allows it, and tell nobody their secrets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import discord
import pytest
from discord_server import PlayedDiscord
from discord_stage import Stage, on_stage
from structlog.testing import capture_logs

from bot.core.chat import Reply
from bot.errors import DeliveryRetry
from bot.platforms.discord import client as client_module
from bot.platforms.discord import trouble
from bot.platforms.discord.address import Address
from bot.platforms.discord.trouble import Meaning
from bot.platforms.discord.wire import Gate, Wire

CASE = Reply(text="a case")


@pytest.fixture
async def stage(played_discord: PlayedDiscord) -> AsyncIterator[Stage]:
    async with on_stage(played_discord) as stage:
        yield stage


def posts(stage: Stage) -> int:
    return sum(one.path.endswith("/messages") for one in stage.discord.requests)


# --- the gate ---


def test_a_bucket_is_closed_for_as_long_as_discord_said() -> None:
    now = 100.0
    gate = Gate(lambda: now)

    gate.close("a", 5.0)
    gate.close("a", 2.0)  # a shorter one does not open it

    assert (gate.wait_s("a"), gate.wait_s("b")) == (5.0, 0.0)
    now = 105.0
    assert gate.wait_s("a") == 0.0


def test_a_global_limit_closes_everything() -> None:
    gate = Gate(lambda: 100.0)

    gate.close("a", 5.0, everything=True)

    assert gate.wait_s("b") == 5.0


def test_a_bucket_has_one_lock_while_anybody_holds_it() -> None:
    gate = Gate()
    lock = gate.lock("a")

    assert gate.lock("a") is lock
    assert gate.lock("b") is not lock


# --- against limits ---


async def test_an_empty_bucket_is_left_alone_before_discord_refuses(stage: Stage) -> None:
    for n in range(5):
        await stage.courier.notify(stage.general.id, CASE, nonce=f"n{n}")

    assert stage.courier.wire._gate.wait_s(f"channel/{stage.general.id}") > 0
    assert stage.discord.invalid_requests == 0


async def test_a_global_limit_holds_every_channel(stage: Stage) -> None:
    other = stage.discord.channel(stage.cats, "other")
    stage.discord.fail_next("POST */messages", 429, retry_after=60.0, scope="global")

    for channel in (stage.general, other):
        with pytest.raises(DeliveryRetry) as caught:
            await stage.courier.notify(channel.id, CASE, nonce="n")
        assert caught.value.after_s == pytest.approx(60, abs=3)

    assert posts(stage) == 1


async def test_a_global_limit_holds_what_discord_py_sends_itself(stage: Stage) -> None:
    stage.discord.fail_next("POST */messages", 429, retry_after=0.4, scope="global")
    with pytest.raises(DeliveryRetry):
        await stage.courier.notify(stage.general.id, CASE, nonce="n")

    await stage.courier.wire._client().application_info()

    assert stage.courier.wire._gate.wait_s("") == 0


async def test_a_global_limit_keeps_no_command_from_its_answer(stage: Stage) -> None:
    stage.discord.fail_next("POST */channels/*/messages", 429, retry_after=60.0, scope="global")
    with pytest.raises(DeliveryRetry):
        await stage.courier.notify(stage.general.id, CASE, nonce="n")

    asked, delivery = await stage.asks()

    await asked.acknowledged(within_s=1)
    await stage.courier.deliver(delivery, await stage.finished(delivery))
    assert (await asked.answer(lambda m: m.uploads)).uploads


async def test_a_short_limit_is_waited_for_in_place(stage: Stage) -> None:
    stage.discord.fail_next("POST */messages", 429, retry_after=0.2)
    with pytest.raises(DeliveryRetry):
        await stage.courier.notify(stage.general.id, CASE, nonce="n")

    await stage.courier.notify(stage.general.id, CASE, nonce="n")

    assert posts(stage) == 2


async def test_without_a_client_it_is_for_later() -> None:
    client = discord.Client(intents=discord.Intents.none())
    wire = Wire(lambda: client, "http://127.0.0.1:9/api/v10")

    with pytest.raises(ConnectionError) as caught:
        await wire.direct_channel("5")

    assert trouble.meaning(caught.value) is Meaning.LATER


async def test_a_revoked_token_keeps_answers_for_the_next_one(stage: Stage) -> None:
    stage.discord.server.token_revoked = True

    with pytest.raises(DeliveryRetry) as caught:
        await stage.courier.notify(stage.general.id, CASE, nonce="n")

    assert caught.value.after_s is not None
    assert caught.value.after_s >= 60


# --- secrets ---


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503])
async def test_no_log_and_no_error_tells_a_token(
    stage: Stage, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="bot")
    asked, delivery = await stage.asks()
    await asked.answer()
    stage.discord.fail_next("*/webhooks/*", status, times=3)
    stage.discord.fail_next("*/channels/*", status, times=3)
    stage.discord.fail_next("*/users/*", status, times=3)

    told = []
    with capture_logs() as logs:
        try:
            await stage.courier.deliver(delivery, await stage.finished(delivery))
        except Exception as error:
            told += [repr(error), str(error), repr(error.__cause__), repr(error.__context__)]

    everything = f"{told} {logs} {caplog.text}"
    assert asked.token not in everything
    assert stage.discord.token not in everything


def test_discord_py_keeps_its_details_to_itself() -> None:
    logger = logging.getLogger("discord")
    before = logger.level
    try:
        client_module.keep_secrets()
        assert not logging.getLogger("discord.gateway").isEnabledFor(logging.DEBUG)
    finally:
        logger.setLevel(before)


async def test_an_address_is_printed_without_its_token(stage: Stage) -> None:
    asked, delivery = await stage.asks()

    assert asked.token not in repr(Address.from_json(delivery.address))
