"""Sounds as voice messages: one tap to play on a phone, with their waveform.

A voice message is a message of its own and holds nothing else, so it follows the answer and answers
to it. It is a courtesy: where it is not allowed, or a sound does not fit, the answer has the file
all the same. Used by `courier`.
Source: Discord's documentation, resources/message (voice messages).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from bot.core.domain import Artifact
from bot.platforms.discord import trouble
from bot.platforms.discord.packing import Packed, kind, pieces
from bot.platforms.discord.trouble import Meaning
from bot.platforms.discord.wire import Wire
from bot.services import fitting
from generators.artifacts import ArtifactMissing, ArtifactStore

log = structlog.get_logger(__name__)

IS_VOICE_MESSAGE: Final = 1 << 13
_ASK_AGAIN_S: Final = 3600.0  # refused requests count against us, so a channel's no is remembered
_REMEMBER: Final = 1024


class VoiceMessages:
    """Sends the sounds of an answer as voice messages, where that is allowed."""

    def __init__(
        self, wire: Wire, store: ArtifactStore, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wire, self._store, self._monotonic = wire, store, monotonic
        self._refused: OrderedDict[str, float] = OrderedDict()

    async def send(
        self, media: Iterable[Artifact], channel: str, answer: str, *, nonce: str, limit_bytes: int
    ) -> list[str]:
        """One voice message for each sound, as replies to the message `answer`; the ids of those
        sent. `nonce`: at most 24 characters; repeating sends nothing twice. Never raises."""
        sounds = [one.main for one in pieces(media) if one.kind == "audio"]
        sent: list[str] = []
        for n, sound in enumerate(sounds):
            if self._refuses(channel):
                break
            try:
                voice = await fitting.voice(await self._store.get(sound.key), limit_bytes)
                body = _body(voice, answer)
                packed = Packed(voice.filename, voice.data)
                sent.append(await self._wire.post(channel, body, (packed,), nonce=f"{nonce}{n}"))
            except (ArtifactMissing, fitting.Unfit) as error:
                log.info("a sound is no voice message", artifact_id=sound.id, error=repr(error))
            except trouble.ERRORS as error:
                self._learn(channel, error)
                break
        return sent

    def _refuses(self, channel: str) -> bool:
        return self._refused.get(channel, 0.0) > self._monotonic()

    def _learn(self, channel: str, error: Exception) -> None:
        """Why there is no voice message; whether to try again here soon."""
        log.info("no voice message", channel=channel, error=repr(error))
        if trouble.meaning(error) is not Meaning.LATER:
            self._refused[channel] = self._monotonic() + _ASK_AGAIN_S
            self._refused.move_to_end(channel)
            while len(self._refused) > _REMEMBER:
                self._refused.popitem(last=False)


def has_sound(media: Iterable[Artifact]) -> bool:
    """Whether there is anything to say out loud."""
    return any(one.role == "item" and kind(one) == "audio" for one in media)


def _body(voice: fitting.Voice, answer: str) -> dict[str, Any]:
    return {
        "flags": IS_VOICE_MESSAGE,
        "attachments": [
            {
                "id": "0",
                "filename": voice.filename,
                "duration_secs": voice.duration_s,
                "waveform": voice.waveform,
            }
        ],
        "message_reference": {"message_id": answer, "fail_if_not_exists": False},
        "allowed_mentions": {"parse": [], "replied_user": False},
    }
