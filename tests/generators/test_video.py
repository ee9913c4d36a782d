"""Loops as files: what players find in them, and that equal frames are equal bytes."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from generators import video
from generators.contract import Media
from generators.media import Provenance

FPS, FRAMES = 10, 6
PROVENANCE = Provenance("diffusion", "abc", 7)


def frames(width: int = 48, height: int = 32) -> list[Image.Image]:
    """A grey bar that goes once around."""
    drawn = []
    for index in range(FRAMES):
        pixels = np.full((height, width, 3), 255, np.uint8)
        pixels[:, (np.arange(8) + index * width // FRAMES) % width] = (200, 30, 40)
        drawn.append(Image.fromarray(pixels))
    return drawn


@pytest.fixture(scope="module")
def made() -> list[Media]:
    return video.loop(frames(), FPS, PROVENANCE)


def test_one_item_in_three_formats(made: list[Media]) -> None:
    assert [(media.mime, media.role) for media in made] == [
        ("video/mp4", "item"),
        ("image/gif", "rendition"),
        ("video/webm", "rendition"),
    ]
    for media in made:
        assert dict(media.facts) == {
            "width": 48,
            "height": 32,
            "fps": FPS,
            "frames": FRAMES,
            "duration_s": 0.6,
        }


@pytest.mark.parametrize(("position", "codec"), [(0, "h264"), (2, "vp9")])
def test_players_find_all_frames_and_where_they_come_from(
    made: list[Media], position: int, codec: str
) -> None:
    with av.open(io.BytesIO(made[position].data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.canonical_name == codec
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == FPS
        assert "seed 7" in {k.lower(): v for k, v in container.metadata.items()}["comment"]
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(decoded) == FRAMES
    for shown, drawn in zip(decoded, frames(), strict=True):
        assert np.abs(shown.astype(int) - np.asarray(drawn, int)).mean() < 12


def test_the_index_of_the_mp4_comes_first(made: list[Media]) -> None:
    assert 0 < made[0].data.index(b"moov") < made[0].data.index(b"mdat")


def test_the_gif_repeats_for_ever_at_its_rate(made: list[Media]) -> None:
    with Image.open(io.BytesIO(made[1].data)) as gif:
        assert gif.info["loop"] == 0
        assert gif.info["duration"] == 100
        assert b"seed 7" in gif.info["comment"]
        shown = [np.asarray(frame.convert("RGB"), int) for frame in ImageSequence.Iterator(gif)]
    assert len(shown) == FRAMES
    assert all(
        np.abs(a - np.asarray(b, int)).mean() < 4 for a, b in zip(shown, frames(), strict=True)
    )


def test_equal_frames_are_equal_bytes(made: list[Media]) -> None:
    again = video.loop(frames(), FPS, PROVENANCE)
    assert [media.data for media in again] == [media.data for media in made]


def test_odd_sides_lose_a_pixel_in_the_videos() -> None:
    mp4 = video.loop(frames(33, 31)[:2], FPS, PROVENANCE)[0]
    with av.open(io.BytesIO(mp4.data)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (32, 30)
