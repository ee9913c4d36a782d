"""Emoji and stickers, still and moving, decoded again: sides, bytes, seconds, transparency."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw

from bot.services import fitting
from bot.services.fitting import motion, paper
from bot.services.fitting.values import EMOJI_BYTES, STICKER_BYTES, Unfit
from generators import video
from generators.media import Provenance, png

PROVENANCE = Provenance("diffusion", "abc123", 7)
RED = (200, 30, 60)


def drawing(background: tuple[int, ...], size: tuple[int, int] = (200, 100)) -> Image.Image:
    """A red disc with a white eye, left of the middle."""
    mode = "RGBA" if len(background) == 4 else "RGB"
    image = Image.new(mode, (size[0] * 4, size[1] * 4), background)
    draw = ImageDraw.Draw(image)
    opaque = (255,) if mode == "RGBA" else ()
    draw.ellipse((80, 80, 320, 320), fill=(*RED, *opaque))
    draw.ellipse((160, 160, 200, 200), fill=(255, 255, 255, *opaque))
    return image.resize(size, Image.Resampling.LANCZOS)


def turning(count: int, side: int, noise: float = 0) -> list[Image.Image]:
    frames = []
    for index in range(count):
        frame = drawing((255, 255, 255), (side, side)).rotate(360 * index / count)
        grain = Image.effect_noise((side, side), noise).convert("RGB")
        frames.append(Image.blend(frame, grain, 0.3 if noise else 0))
    return frames


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


async def test_an_emoji_fits_and_says_where_it_comes_from() -> None:
    made = await fitting.emoji(png(drawing((255, 255, 255)), PROVENANCE).data)
    assert (made.mime, made.filename) == ("image/png", "emoji.png")
    assert len(made.data) <= EMOJI_BYTES
    image = opened(made.data)
    assert (image.format, image.size, image.mode) == ("PNG", (128, 128), "RGBA")
    assert image.info["Generator"] == "diffusion"
    assert image.info["Seed"] == "7"


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0, 0)])
def test_what_is_around_the_drawing_is_transparent_and_the_drawing_fills_the_square(
    background: tuple[int, ...],
) -> None:
    image = opened(motion.emoji(png(drawing(background), PROVENANCE).data).data)
    opacity = image.getchannel("A")
    assert [opacity.getpixel(at) for at in ((0, 0), (127, 0), (0, 127), (127, 127))] == [0] * 4
    left, top, right, bottom = opacity.point(lambda value: value > 128 and 255).getbbox()
    assert left <= 2
    assert top <= 2
    assert right >= 126
    assert bottom >= 126
    red = image.getpixel((100, 64))
    assert all(abs(one - other) < 12 for one, other in zip(red, (*RED, 255), strict=True))
    assert min(image.getpixel((53, 53))) > 240  # the eye is white and stays


def test_a_picture_with_a_background_keeps_it() -> None:
    scene = drawing((40, 90, 160))
    assert paper.lifted(scene) is scene
    image = opened(motion.sticker(png(scene, PROVENANCE).data).data)
    assert image.size == (320, 320)
    # Twice as wide as high: the rest of the square is transparent.
    assert image.getchannel("A").getbbox() == (0, 80, 320, 240)


def test_soft_edges_show_no_white_on_dark() -> None:
    lifted = paper.lifted(drawing((255, 255, 255), (400, 200)))
    dark = Image.new("RGB", lifted.size, (20, 20, 20))
    dark.paste(lifted, mask=lifted.getchannel("A"))
    ring = [dark.getpixel((20 + offset, 50)) for offset in range(-3, 4)]
    assert max(max(pixel[1:]) for pixel in ring) < 110  # neither green nor blue: no white rim


def test_a_sticker_is_exact_and_small_pictures_grow() -> None:
    noise = Image.merge("RGB", [Image.effect_noise((64, 64), 90) for _ in range(3)])
    made = motion.sticker(png(noise, PROVENANCE).data)
    assert len(made.data) <= STICKER_BYTES
    assert opened(made.data).size == (320, 320)


def test_a_moving_picture_becomes_a_moving_emoji() -> None:
    gif = video.loop(turning(12, 96), 12, PROVENANCE)[1].data
    made = motion.emoji(gif)
    assert (made.mime, made.filename, made.facts["how"]) == (
        "image/gif",
        "emoji.gif",
        "every 1, 255 colours",
    )
    image = opened(made.data)
    assert (image.format, image.size, image.n_frames) == ("GIF", (128, 128), 12)
    assert PROVENANCE.sentence.encode() == image.info["comment"]


def test_a_moving_sticker_gives_up_colours_then_frames_and_ends_after_five_seconds() -> None:
    gif = video.loop(turning(60, 96, noise=60), 10, PROVENANCE)[1].data
    made = motion.sticker(gif)
    assert made.mime == "image/png"
    assert len(made.data) <= STICKER_BYTES
    image = opened(made.data)
    assert (image.format, image.size) == ("PNG", (320, 320))
    assert 2 <= image.n_frames == made.facts["frames"] < 50
    shown_ms = 0.0
    for index in range(image.n_frames):
        image.seek(index)
        shown_ms += image.info["duration"]
    assert shown_ms == 5_000
    assert PROVENANCE.sentence == image.info["Source"]


@pytest.mark.parametrize("made_of", [motion.emoji, motion.sticker])
def test_a_moving_drawing_stays_transparent(made_of: object) -> None:
    frames = [drawing((0, 0, 0, 0)).rotate(15 * index) for index in range(4)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=80, disposal=2)
    image = opened(made_of(buffer.getvalue()).data)  # type: ignore[operator]
    for index in range(4):
        image.seek(index)
        shown = image.convert("RGBA")
        assert shown.getpixel((0, 0))[3] == 0
        assert shown.getchannel("A").getextrema() == (0, 255)


def test_what_is_no_picture_is_refused_in_words() -> None:
    for broken in (b"", b"no picture", png(drawing((0, 0, 0)), PROVENANCE).data[:200]):
        with pytest.raises(Unfit) as refused:
            motion.emoji(broken)
        assert refused.value.texts["zh"]
