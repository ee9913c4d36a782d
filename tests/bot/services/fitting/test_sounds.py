"""Soundboard clips and voice messages, decoded again: seconds, bytes, loudness over time."""

from __future__ import annotations

import asyncio
import base64
import io

import av
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from bot.services import fitting
from bot.services.fitting import sounds
from bot.services.fitting.values import SOUND_BYTES, SOUND_S, WAVEFORM_POINTS, Unfit
from generators import media_audio
from generators.media import Provenance

PROVENANCE = Provenance("audio_gan", "abc123", 7)
RATE = 16_000


def tone(seconds: float, *, loud: float = 0.8) -> NDArray[np.float32]:
    """440 Hz, silent in the second half."""
    at = np.arange(round(seconds * RATE)) / RATE
    return (loud * np.sin(2 * np.pi * 440 * at) * (at < seconds / 2)).astype(np.float32)


def wav(samples: NDArray[np.float32]) -> bytes:
    return media_audio.wav(samples, RATE, PROVENANCE)


def decoded(data: bytes) -> tuple[NDArray[np.int16], av.AudioStream, dict[str, str]]:
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        told = {**stream.metadata, **container.metadata}
        pieces = [frame.to_ndarray() for frame in container.decode(stream)]
    samples = np.concatenate(pieces, axis=1)[0]
    if samples.dtype != np.int16:
        samples = (samples * 32767).clip(-32768, 32767).astype(np.int16)
    return samples, stream, told


def loudness(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(float))))) if len(samples) else 0.0


async def test_a_voice_message_is_opus_with_its_length_and_waveform() -> None:
    made = await fitting.voice(wav(tone(3)))
    samples, stream, told = decoded(made.data)
    assert (stream.codec_context.name, stream.rate, stream.channels) == ("opus", 48_000, 1)
    assert (made.mime, made.filename) == ("audio/ogg", "voice-message.ogg")
    assert made.duration_s == 3.0
    assert abs(len(samples) / 48_000 - made.duration_s) < 0.02
    assert told["comment"] == PROVENANCE.sentence
    assert len(made.waveform) <= 256
    points = base64.b64decode(made.waveform)
    assert len(points) == 30  # one for each tenth of a second
    assert min(points[:14]) > 240
    assert max(points[16:]) < 10


async def test_a_soundboard_sound_is_mp3_within_its_limits() -> None:
    made = await fitting.sound(wav(tone(30)))
    assert made.data.startswith(b"ID3")  # what discord.py knows an MP3 by
    assert len(made.data) <= SOUND_BYTES
    samples, stream, told = decoded(made.data)
    assert "mp3" in stream.codec_context.name
    assert told["comment"] == PROVENANCE.sentence
    # As it is counted by who ignores what an encoder added to fill its frames.
    frames = -(-len(samples) // 1152) + 3
    assert 5.0 < len(samples) / 48_000 <= frames * 1152 / 48_000 <= SOUND_S
    end = samples[-int(0.02 * 48_000) :]
    assert loudness(end) < 0.2 * loudness(samples[48_000:96_000])  # it fades instead of clicking


def test_a_short_sound_is_not_cut() -> None:
    made = sounds.clip(wav(tone(1)))
    assert made.facts["duration_s"] == 1.0
    samples, _, _ = decoded(made.data)
    assert loudness(samples[12_000:20_000]) > 10_000


def test_a_longer_voice_gets_fewer_bits_not_fewer_seconds() -> None:
    long = wav(np.random.default_rng(0).uniform(-0.5, 0.5, 20 * RATE).astype(np.float32))
    loose = sounds.voice(long, limit_bytes=1_000_000)
    tight = sounds.voice(long, limit_bytes=100_000)
    assert len(tight.data) <= 100_000 < len(loose.data)
    assert tight.facts["duration_s"] == loose.facts["duration_s"] == 20.0
    assert len(base64.b64decode(str(tight.facts["waveform"]))) == WAVEFORM_POINTS
    with pytest.raises(Unfit):
        sounds.voice(long, limit_bytes=10_000)


def test_silence_is_drawn_as_silence() -> None:
    made = sounds.voice(wav(tone(1, loud=0)), limit_bytes=1_000_000)
    assert set(base64.b64decode(str(made.facts["waveform"]))) == {0}


def test_what_is_no_sound_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in (b"", b"no sound at all"):
        with pytest.raises(Unfit) as refused:
            sounds.clip(broken)
        assert refused.value.texts["zh"]
    monkeypatch.setattr(sounds, "VOICE_S", 1.0)
    with pytest.raises(Unfit, match="too long"):
        sounds.voice(wav(tone(2)), limit_bytes=1_000_000)


async def test_a_child_does_not_outlive_whoever_asked() -> None:
    before = set(psutil.Process().children())
    asked = asyncio.create_task(fitting.voice(wav(tone(60))))
    while not (started := set(psutil.Process().children()) - before):
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not [child for child in started if child.is_running()]
