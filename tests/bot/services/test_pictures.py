"""What an `image` option may hold: a file that is judged, or words for a picture of the past."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from desk import Desk
from people_and_jobs import origin
from PIL import Image

from bot.core.chat import Origin, Upload
from bot.errors import BadOption, NotFound
from bot.services.pictures import PictureService, UploadLimits
from generators.contract import Media
from generators.engine.port import ArtifactRef

ANNA, BEN = origin(), origin("ben")


def saved(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def colours(width: int = 32, height: int = 16) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


@pytest.fixture
def pictures(desk: Desk) -> PictureService:
    limits = UploadLimits(max_bytes=100_000, pixels=10_000, side_px=64)
    return PictureService(desk.store.unit_of_work, limits)


async def _taken(pictures: PictureService, data: bytes) -> Image.Image:
    media = await pictures.picture(ANNA, Upload(data, "image/x", "../x.png"), "image")
    assert isinstance(media, Media)
    image = Image.open(io.BytesIO(media.data))
    assert (image.format, media.mime) == ("PNG", "image/png")
    assert media.facts == {"width": image.width, "height": image.height}
    assert set(image.info) <= {"transparency"}
    return image


async def test_an_upload_becomes_an_upright_picture_without_metadata(
    pictures: PictureService,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
    exif[0x010E] = "where I live"
    turned = await _taken(pictures, saved(colours(), "JPEG", exif=exif, quality=95))
    assert turned.size == (16, 32)
    assert turned.getpixel((8, 2))[0] > 200  # red, now above
    assert turned.getpixel((8, 30))[2] > 200
    assert not turned.getexif()


async def test_of_an_animation_the_first_frame_is_taken(pictures: PictureService) -> None:
    frames = [colours(), Image.new("RGB", (32, 16), (0, 255, 0))]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    first = await _taken(pictures, data)
    assert first.convert("RGB").getpixel((2, 2)) == (255, 0, 0)


async def test_a_large_picture_is_made_smaller_and_a_deep_one_flatter(
    pictures: PictureService,
) -> None:
    assert (await _taken(pictures, saved(colours(96, 48)))).size == (64, 32)
    deep = await _taken(pictures, saved(Image.new("I;16", (16, 16), 0x8000)))
    assert deep.getpixel((3, 3)) == (128, 128, 128)
    clear = await _taken(pictures, saved(Image.new("RGBA", (16, 16), (9, 9, 9, 0))))
    assert clear.mode == "RGBA"


def _bomb() -> bytes:
    """A PNG that says it is 60,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        )

    header = struct.pack("!IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 99))


@pytest.mark.parametrize(
    ("data", "says", "says_zh"),
    [
        (b"x" * 100_001, "larger than the 0.0954 MiB", "超过允许的"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read", "无法读取"),
        (saved(colours())[:60], "cannot be read", "无法读取"),
        (saved(colours(), "TIFF"), "cannot be read", "无法读取"),
        (saved(colours(101, 100)), "101 x 100 pixels; at most 10000", "101 × 100"),
        (saved(colours(4, 40)), "too small", "太小"),
        (_bomb(), "too large", "太大"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 200, "cannot be read", "无法读取"),
    ],
    ids=["bytes", "svg", "cut off", "tiff", "pixels", "tiny", "bomb", "broken"],
)
async def test_a_bad_upload_is_refused_in_words(
    pictures: PictureService, desk: Desk, data: bytes, says: str, says_zh: str
) -> None:
    with pytest.raises(BadOption) as refused:
        await pictures.picture(ANNA, Upload(data), "image")
    assert says in refused.value.text("en")
    assert says_zh in refused.value.text("zh-CN")
    assert refused.value.text("en").startswith("image: ")
    assert desk.shelf.data == {}


async def _made(desk: Desk, who: Origin = ANNA, *pictures: bytes, **draft: object) -> str:
    job_id = (await desk.ask(who, **draft)).job_id  # type: ignore[arg-type]
    await desk.finish(job_id, 10, *(pictures or (b"1", b"2")))
    return job_id


async def test_a_picture_of_the_past_has_many_names(desk: Desk, pictures: PictureService) -> None:
    job_id = await _made(desk)
    first, second = await desk.artifacts(job_id)
    for words, wanted in {
        "last": first,
        "last#2": second,
        f" {job_id} ": first,
        f"{job_id.upper()}#2": second,
        second.id: second,
    }.items():
        found = await pictures.picture(ANNA, words, "image")
        assert isinstance(found, ArtifactRef)
        assert (found.key, found.role) == (wanted.key, "item"), words


async def test_an_upload_can_be_named_by_the_job_it_was_for(
    desk: Desk, pictures: PictureService
) -> None:
    upload = Media(b"a picture", "image/png")
    job_id = await _made(
        desk, model="lanczos", params={"scale": 2}, count=1, inputs={"image": upload}
    )
    found = await pictures.picture(ANNA, f"{job_id}@image", "image")
    assert found == (await desk.job(job_id)).inputs["image"]
    for gone in (f"{job_id}@image_b", f"{job_id}#3", "last#3", "f" * 32):
        with pytest.raises(NotFound):
            await pictures.picture(ANNA, gone, "image")


async def test_only_what_one_may_see_can_be_used(desk: Desk, pictures: PictureService) -> None:
    shared, private = await _made(desk), await _made(desk, private=True)
    (item, *_) = await desk.artifacts(private)
    assert await pictures.picture(BEN, shared, "image")
    for hidden in (private, item.id, f"{private}#2", "last"):
        with pytest.raises(NotFound) as refused:
            await pictures.picture(BEN, hidden, "image")
        assert "no such picture" in refused.value.text("en")
    await desk.history.delete(ANNA, private)
    with pytest.raises(NotFound):
        await pictures.picture(ANNA, item.id, "image")


async def test_words_that_name_no_picture_are_explained(
    desk: Desk, pictures: PictureService
) -> None:
    for words in ("my cat", "last#0", "last#", "../../etc/passwd"):
        with pytest.raises(BadOption, match="takes a file, “last”"):
            await pictures.picture(ANNA, words, "image")
    job_id = (await desk.ask(model="lexicon", params={"prompt": "fox"}, count=1)).job_id
    text = ArtifactRef(key="ab" * 32, mime="text/plain", size_bytes=3)
    await desk.report(job_id, "done", artifacts=(text,))
    with pytest.raises(BadOption, match="that is no picture, but text/plain"):
        await pictures.picture(ANNA, job_id, "image")
