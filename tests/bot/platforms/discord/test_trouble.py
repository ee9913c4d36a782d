"""What each refusal means for an answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from bot.errors import DeliveryRetry
from bot.platforms.discord import trouble
from bot.platforms.discord.trouble import Meaning


def refusal(status: int, code: int = 0) -> discord.HTTPException:
    """As discord.py raises it."""
    kinds = {403: discord.Forbidden, 404: discord.NotFound}
    kind = discord.DiscordServerError if status >= 500 else discord.HTTPException
    response: Any = SimpleNamespace(status=status, reason="so")
    return kinds.get(status, kind)(response, {"code": code, "message": "no"})


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (refusal(500), Meaning.LATER),
        (refusal(503), Meaning.LATER),
        (refusal(401), Meaning.LATER),
        (discord.RateLimited(3.0), Meaning.LATER),
        (aiohttp.ServerDisconnectedError(), Meaning.LATER),
        (ConnectionResetError(), Meaning.LATER),
        (TimeoutError(), Meaning.LATER),
        (DeliveryRetry("no client"), Meaning.LATER),
        (refusal(404, 10015), Meaning.TOKEN_DEAD),
        (refusal(401, 50027), Meaning.TOKEN_DEAD),
        (refusal(404, 10062), Meaning.TOKEN_DEAD),
        (refusal(404, 10008), Meaning.MESSAGE_GONE),
        (refusal(404, 10003), Meaning.CLOSED),
        (refusal(403, 50001), Meaning.CLOSED),
        (refusal(403, 50013), Meaning.CLOSED),
        (refusal(403), Meaning.CLOSED),
        (refusal(403, 50007), Meaning.NO_DIRECT),
        (refusal(400, 50278), Meaning.NO_DIRECT),
        (refusal(413), Meaning.TOO_LARGE),
        (refusal(400, 40005), Meaning.TOO_LARGE),
        (refusal(400, 50035), Meaning.REFUSED),
    ],
)
def test_every_refusal_has_a_meaning(error: Exception, meaning: Meaning) -> None:
    assert trouble.meaning(error) is meaning
    assert isinstance(error, trouble.ERRORS)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (refusal(404), Meaning.TOKEN_DEAD),
        (refusal(401), Meaning.TOKEN_DEAD),
        (refusal(404, 10008), Meaning.MESSAGE_GONE),
        (refusal(403, 50013), Meaning.CLOSED),
        (refusal(500), Meaning.LATER),
    ],
)
def test_with_a_token_not_found_speaks_of_the_token(error: Exception, meaning: Meaning) -> None:
    assert trouble.meaning_for_token(error) is meaning


def test_the_outbox_is_told_how_long_discord_wants_to_be_left_alone() -> None:
    assert trouble.retry(discord.RateLimited(7.5)).after_s == 7.5
    assert trouble.retry(refusal(502)).after_s is None
    assert (trouble.retry(refusal(401)).after_s or 0) >= 60
    assert trouble.retry(TimeoutError()).after_s is None


def test_only_a_missing_permission_is_something_to_tell() -> None:
    assert trouble.forbids(refusal(403, 50013))
    assert not trouble.forbids(refusal(404, 10003))
