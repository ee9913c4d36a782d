"""The ladder of a picture that is too large: each step decoded again and held against the limit."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from bot.services import fitting
from bot.services.fitting import pictures
from bot.services.fitting.search import best_that_fits
from bot.services.fitting.values import MAX_INPUT_PIXELS, Unfit
from generators.media import Provenance, png

PROVENANCE = Provenance("diffusion", "abc123", 7)
SIDE = 256


def photo(mode: str = "RGB") -> Image.Image:
    """Smooth with a grain: large as a PNG, and small where a little may be lost."""
    waves = Image.radial_gradient("L").resize((SIDE, SIDE))
    grain = Image.effect_noise((SIDE, SIDE), 12)
    planes = [ImageChops.overlay(waves.rotate(turn), grain) for turn in (0, 90, 180)]
    image = Image.merge("RGB", planes)
    if mode == "RGBA":
        image.putalpha(waves.point(lambda value: min(255, 2 * value)))
    return image


def stored(image: Image.Image) -> bytes:
    return png(image, PROVENANCE).data


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean of all channels, of 255."""
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


async def test_what_fits_is_not_touched() -> None:
    data = stored(photo())
    made = await fitting.picture(data, "image/png", len(data), stem="red heart")
    assert made is not None
    assert (made.data, made.mime, made.filename) == (data, "image/png", "red heart.png")


async def test_the_door_gives_a_webp_that_fits_and_says_where_it_comes_from() -> None:
    picture = photo("RGBA")
    data = stored(picture)
    made = await fitting.picture(data, "image/png", len(data) // 4)
    assert made is not None
    assert made.mime == "image/webp"
    assert made.filename == "picture.webp"
    assert len(made.data) <= len(data) // 4
    again = opened(made.data)
    assert (again.format, again.size, again.mode) == ("WEBP", (SIDE, SIDE), "RGBA")
    assert difference(again.getchannel("A"), picture.getchannel("A")) < 2
    assert PROVENANCE.sentence in again.getexif().values()


async def test_where_nothing_fits_there_is_nothing_to_send() -> None:
    assert await fitting.picture(stored(photo()), "image/png", 500) is None
    assert await fitting.picture(b"x" * 2000, "image/png", 1000) is None


def test_lossless_comes_first_and_loses_nothing() -> None:
    flat = Image.radial_gradient("L").convert("RGB")
    data = stored(flat)
    made = pictures.ladder(data, limit_bytes=len(data) - 1, stem="x")
    assert made.facts["how"] == "webp lossless"
    assert difference(opened(made.data).convert("RGB"), flat) == 0


def test_quality_is_the_highest_that_fits() -> None:
    picture = photo()
    data = stored(picture)
    tight = pictures.ladder(data, limit_bytes=12_000, stem="x")
    loose = pictures.ladder(data, limit_bytes=24_000, stem="x")
    assert 6_000 < len(tight.data) <= 12_000 < len(loose.data) <= 24_000
    assert difference(opened(loose.data), picture) < difference(opened(tight.data), picture) < 20


def test_what_webp_cannot_hold_becomes_a_jpeg_on_white() -> None:
    wide = Image.new("RGBA", (17_000, 8), (200, 0, 0, 0))
    wide.paste((200, 0, 0, 255), (0, 0, 8_000, 8))
    noise = Image.effect_noise(wide.size, 90)
    wide = Image.composite(wide, Image.merge("RGBA", [noise] * 3 + [wide.getchannel("A")]), noise)
    made = pictures.ladder(stored(wide), limit_bytes=100_000, stem="x")
    assert (made.mime, made.filename) == ("image/jpeg", "x.jpg")
    again = opened(made.data)
    assert again.size == (17_000, 8)
    assert min(again.crop((16_000, 0, 16_100, 8)).getextrema())[0] > 200  # was transparent
    assert PROVENANCE.sentence in again.getexif().values()


def test_an_animation_is_not_reduced_to_a_still() -> None:
    buffer = io.BytesIO()
    photo().save(buffer, "GIF", save_all=True, append_images=[photo().rotate(90)])
    with pytest.raises(Unfit):
        pictures.ladder(buffer.getvalue(), limit_bytes=10_000, stem="x")


def test_pixels_are_counted_before_they_are_decoded() -> None:
    side = 8_100
    assert side * side > MAX_INPUT_PIXELS
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    with pytest.raises(Unfit, match="8100 x 8100"):
        pictures.still(buffer.getvalue())


@pytest.mark.parametrize("limit", range(0, 12))
def test_the_search_finds_the_first_that_fits(limit: int) -> None:
    sizes = [10, 9, 7, 4, 2]
    asked: list[int] = []

    def encode(size: int) -> bytes:
        asked.append(size)
        return b"x" * size

    found = best_that_fits(sizes, encode, limit)
    first = next((size for size in sizes if size <= limit), None)
    assert (None if found is None else found[0]) == first
    assert len(asked) <= 3


def test_what_cannot_be_encoded_does_not_fit() -> None:
    sizes = [10, 9, 7, 4, 2]
    found = best_that_fits(sizes, lambda size: None if size > 4 else b"x" * size, 9)
    assert found == (4, b"xxxx")
