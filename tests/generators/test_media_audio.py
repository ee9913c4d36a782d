"""Sounds survive their encoding, equal sounds are equal bytes, and each says where it is from."""

import io
import wave

import av
import numpy as np
import pytest
from PIL import Image

from generators import media_audio
from generators.contract import Media
from generators.media import Provenance

RATE = 16_000
PROVENANCE = Provenance("audio_gan", "abcd", 7)


@pytest.fixture(scope="module")
def tone() -> np.ndarray:
    time = np.arange(RATE // 2) / RATE
    return (0.8 * np.sin(2 * np.pi * 440 * time) * np.exp(-4 * time)).astype(np.float32)


@pytest.fixture(scope="module")
def made(tone: np.ndarray) -> list[Media]:
    return media_audio.clip(tone, RATE, "Flute · A4", {"sound": "Flute"}, PROVENANCE)


def test_a_sound_comes_as_wav_opus_and_plot(made: list[Media]) -> None:
    assert [(m.role, m.mime) for m in made] == [
        ("item", "audio/wav"), ("rendition", "audio/ogg"), ("plot", "image/png"),
    ]  # fmt: skip
    assert dict(made[0].facts) == {"sound": "Flute", "duration_s": 0.5, "sample_rate": RATE}


def test_the_wav_holds_the_samples(made: list[Media], tone: np.ndarray) -> None:
    with wave.open(io.BytesIO(made[0].data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    assert np.abs(samples - tone).max() < 2e-5
    assert b"seed 7" in made[0].data


def test_the_opus_plays_the_same_tone(made: list[Media], tone: np.ndarray) -> None:
    with av.open(io.BytesIO(made[1].data)) as container:
        stream = container.streams.audio[0]
        assert "seed 7" in stream.metadata["comment"]
        resampler = av.AudioResampler("flt", "mono", RATE)
        frames = [f for frame in container.decode(stream) for f in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])[: len(tone)]
    assert np.corrcoef(samples, tone[: len(samples)])[0, 1] > 0.95


def test_the_plot_shows_where_the_sound_is(made: list[Media]) -> None:
    with Image.open(io.BytesIO(made[2].data)) as picture:
        assert picture.size == (made[2].facts["width"], made[2].facts["height"])
        assert picture.text["Seed"] == "7"
        wave_part = np.asarray(picture.convert("L"))[media_audio.HEADER :][
            : media_audio.WAVE_HEIGHT
        ]
    ink = (wave_part < 200).sum(0)
    assert ink[30:60].mean() > 4 * ink[-60:-30].mean(), "the tone dies away"


def test_equal_sounds_are_equal_bytes(made: list[Media], tone: np.ndarray) -> None:
    again = media_audio.clip(tone, RATE, "Flute · A4", {"sound": "Flute"}, PROVENANCE)
    assert [m.data for m in again] == [m.data for m in made]


def test_silence_and_a_moment_can_be_shown() -> None:
    for samples in (np.zeros(3200, np.float32), np.ones(200, np.float32)):
        assert len(media_audio.clip(samples, RATE, "", {}, PROVENANCE)) == 3
