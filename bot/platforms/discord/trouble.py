"""What Discord's refusals mean for an answer: later, another way, or never.

Pure judgement over discord.py's exceptions. Used by `courier` and `progress`.
Source: Discord's documentation, topics/opcodes-and-status-codes (JSON error codes).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import aiohttp
import discord

from bot.core.chat import Text
from bot.errors import DeliveryRetry

UNKNOWN_MESSAGE: Final = 10008
UNKNOWN_INTERACTION: Final = 10062
ALREADY_ACKNOWLEDGED: Final = 40060

_DEAD_TOKEN: Final = {10015, 50027, UNKNOWN_INTERACTION}  # unknown webhook, invalid webhook token
_CLOSED: Final = {
    10003,  # unknown channel
    10004,  # unknown guild
    50001,  # missing access
    50008,  # no text can be sent there
    50013,  # missing permissions
    50083,  # the thread is archived
    50009,  # the channel wants more verification than we have
    50024,  # not in this kind of channel
    160005,  # the thread is locked
}
_NO_DIRECT: Final = {
    10013,  # unknown user
    50007,  # they take no messages from us
    50278,  # no community in common
}
_TOO_LARGE: Final = {40005, 50045}
_HTTP_TOO_LARGE: Final = 413
_BAD_TOKEN_RETRY_S: Final = 600.0  # the host must act; then answers go on

NO_PERMISSION = Text(
    en="I am not allowed to post in {channel}, so here is your answer. A moderator there can give "
    "me “View Channel”, “Send Messages” and “Attach Files”.",
    zh="我没有在 {channel} 发言的权限，所以把结果发到这里。该社区的管理员可以授予我"
    "“查看频道”“发送消息”和“附加文件”权限。",
)
CHANNEL_GONE = Text(
    en="The channel you asked in is gone, so here is your answer.",
    zh="你提问的频道已不存在，所以把结果发到这里。",
)


class Meaning(Enum):
    """What to do about a refusal."""

    LATER = auto()  # the same again after a while
    TOKEN_DEAD = auto()  # the interaction is over: send a message of ours
    MESSAGE_GONE = auto()  # somebody deleted it: post anew
    CLOSED = auto()  # we may not or cannot speak in this channel
    NO_DIRECT = auto()  # this person takes no direct messages from us
    TOO_LARGE = auto()  # with smaller files, or with none
    REFUSED = auto()  # Discord finds fault with the message itself


def meaning(error: Exception) -> Meaning:
    """What an error of a request means. Errors that are not Discord's are networks': later."""
    if not isinstance(error, discord.HTTPException):
        return Meaning.LATER
    code, status = error.code, error.status
    if status >= 500 or status == 429:
        return Meaning.LATER
    for codes, found in (
        (_DEAD_TOKEN, Meaning.TOKEN_DEAD),
        ({UNKNOWN_MESSAGE}, Meaning.MESSAGE_GONE),
        (_CLOSED, Meaning.CLOSED),
        (_NO_DIRECT, Meaning.NO_DIRECT),
        (_TOO_LARGE, Meaning.TOO_LARGE),
    ):
        if code in codes:
            return found
    if status == _HTTP_TOO_LARGE:
        return Meaning.TOO_LARGE
    if status == 401:
        return Meaning.LATER
    if status == 403:
        return Meaning.CLOSED
    return Meaning.REFUSED


def meaning_for_token(error: Exception) -> Meaning:
    """The same for a request with an interaction's token, where 401 and 404 speak of the token."""
    if isinstance(error, discord.HTTPException) and error.status in {401, 404}:
        return Meaning.MESSAGE_GONE if error.code == UNKNOWN_MESSAGE else Meaning.TOKEN_DEAD
    return meaning(error)


def forbids(error: Exception) -> bool:
    """Whether a permission would have helped."""
    return isinstance(error, discord.Forbidden) and error.code in {0, 50001, 50013}


def retry(error: Exception) -> DeliveryRetry:
    """What the outbox is told of an error that passes. Every way of ours to send may be repeated
    (an edit, a nonce), so an outcome nobody knows is no trouble."""
    if isinstance(error, DeliveryRetry):
        return error
    if isinstance(error, discord.RateLimited):
        return DeliveryRetry("Discord asks to wait", after_s=error.retry_after)
    if isinstance(error, discord.HTTPException):
        after_s = _BAD_TOKEN_RETRY_S if error.status == 401 else None
        return DeliveryRetry(f"Discord answered {error.status} ({error.code})", after_s=after_s)
    return DeliveryRetry(f"Discord was not reached: {type(error).__name__}")


ERRORS: Final = (
    discord.DiscordException,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    DeliveryRetry,
)
"""Everything that a request may end in; DeliveryRetry where there is no client to send it."""
