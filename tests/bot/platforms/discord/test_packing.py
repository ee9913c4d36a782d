"""What goes along with a message: read, fitted, named, and within Discord's sizes."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from typing import Any

import pytest
from desk import Shelf
from people_and_jobs import a_job, an_artifact
from PIL import Image

from bot.core.chat import Card, Reply
from bot.core.domain import Artifact, Member
from bot.platforms.discord.packing import Packed, pack, pieces, stem

MIB = 1024 * 1024
JOB = a_job(Member("account", "community", "member"))


async def stored(shelf: Shelf, data: bytes, position: int = 0, **more: Any) -> Artifact:
    key = await shelf.put(data, owner="account")
    more = {"mime": "image/png", "facts": {}, **more}
    return replace(an_artifact(JOB, key, position), size_bytes=len(data), **more)


def noise(side: int) -> bytes:
    """A picture that no lossless format makes smaller."""
    picture = Image.frombytes("RGB", (side, side), random.Random(7).randbytes(side * side * 3))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


async def test_pictures_that_fit_go_as_they_are() -> None:
    shelf = Shelf()
    pictures = [await stored(shelf, b"picture %d" % n, n) for n in range(4)]

    luggage = await pack(shelf, Reply(media=tuple(pictures)), 10 * MIB)

    files = [luggage.files[one.id] for one in pictures]
    assert [one.data for one in files] == [b"picture %d" % n for n in range(4)]
    assert [one.filename for one in files] == [f"atelier-{JOB.id[:8]}-{n}.png" for n in range(1, 5)]


async def test_a_picture_that_is_too_large_climbs_down_the_ladder() -> None:
    shelf = Shelf()
    picture = await stored(shelf, noise(256))
    limit = picture.size_bytes // 3

    luggage = await pack(shelf, Reply(media=(picture,)), limit)

    packed = luggage.files[picture.id]
    assert packed.data is not None
    assert len(packed.data) <= limit
    assert Image.open(io.BytesIO(packed.data)).size == (256, 256)
    assert packed.filename.endswith((".webp", ".jpg"))


async def test_what_fits_in_no_way_is_left_out_and_named() -> None:
    shelf = Shelf()
    broken = await stored(shelf, b"no picture at all" * 100)
    film = await stored(shelf, b"film" * 1000, 1, mime="video/mp4")

    luggage = await pack(shelf, Reply(media=(broken, film)), 1000)

    assert luggage.files == {}
    assert luggage.too_large == {broken.id, film.id}


async def test_a_large_film_gives_way_to_its_smaller_format() -> None:
    shelf = Shelf()
    film = await stored(shelf, b"m" * 5000, 0, mime="video/mp4")
    small = await stored(shelf, b"w" * 900, 1, mime="video/webm", role="rendition")
    still = await stored(shelf, b"g" * 10, 2, mime="image/gif", role="rendition")

    luggage = await pack(shelf, Reply(media=(film, small, still)), 1000)

    assert luggage.files[film.id] == Packed(f"{stem(small)}.webm", b"w" * 900)


async def test_all_files_together_fit_into_one_request() -> None:
    shelf = Shelf()
    sounds = [await stored(shelf, bytes([n]) * 9 * MIB, n, mime="audio/wav") for n in range(4)]
    small = await stored(shelf, b"s", 9, mime="audio/wav")

    luggage = await pack(shelf, Reply(media=(*sounds, small)), 10 * MIB)

    assert sum(one.size_bytes for one in luggage.files.values()) <= 25 * MIB
    assert small.id in luggage.files
    assert len(luggage.files) + len(luggage.too_large) == 5


async def test_ten_files_at_most_and_things_before_their_plots() -> None:
    shelf = Shelf()
    media = []
    for n in range(8):
        media.append(await stored(shelf, b"s%d" % n, 2 * n, mime="audio/wav"))
        media.append(await stored(shelf, b"p%d" % n, 2 * n + 1, role="plot"))

    luggage = await pack(shelf, Reply(media=tuple(media)), 10 * MIB)

    assert len(luggage.files) == 10
    assert all(one.id in luggage.files for one in media[::2])


async def test_bytes_that_are_gone_are_missing_not_fatal() -> None:
    picture = an_artifact(JOB, "nowhere")

    luggage = await pack(Shelf(), Reply(media=(picture,)), MIB)

    assert (luggage.missing, luggage.too_large) == ({picture.id}, frozenset())


async def test_files_that_the_message_has_are_not_sent_again() -> None:
    shelf = Shelf()
    picture = await stored(shelf, b"picture")
    there = Packed(f"{stem(picture)}.webp", attachment_id="55")

    luggage = await pack(shelf, Reply(media=(picture,)), MIB, kept={stem(picture): there})

    assert luggage.files[picture.id] is there


async def test_texts_are_read_whole() -> None:
    shelf = Shelf()
    text = await stored(shelf, "心 and more".encode(), mime="text/plain", facts={"text": "心"})
    told = await stored(shelf, b"all", 1, mime="text/plain; charset=utf-8", facts={"text": "all"})

    luggage = await pack(shelf, Reply(media=(text, told)), MIB)

    assert luggage.texts == {text.id: "心 and more", told.id: "all"}


async def test_cards_bring_one_small_picture_each() -> None:
    shelf = Shelf()
    large = noise(640)
    pictures = [await stored(shelf, large, n) for n in range(2)]
    card = Card(JOB.id, "t", "x", tuple(pictures))

    luggage = await pack(shelf, Reply(cards=(card,)), 10 * MIB)

    assert list(luggage.files) == [pictures[0].id]
    assert luggage.files[pictures[0].id].size_bytes <= MIB


@pytest.mark.parametrize("roles", [("grid",), ("item", "item", "grid")])
def test_a_contact_sheet_stands_in_only_where_there_is_nothing_else(roles: tuple[str, ...]) -> None:
    media = [an_artifact(JOB, "k", n, role=role) for n, role in enumerate(roles)]

    assert len(pieces(media)) == max(1, roles.count("item"))
