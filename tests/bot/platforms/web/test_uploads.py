"""Pictures sent along with commands, and pictures of the history taken instead."""

from __future__ import annotations

import asyncio
import io
import json
import uuid

import pytest
from PIL import Image
from web_studio import ServedStudio, Visitor, artifact_paths, picture
from yarl import URL

from bot.core.chat import MAX_UPLOAD_BYTES
from bot.platforms.web import uploads
from bot.platforms.web.guard import MAX_BODY_BYTES

PHOTO = picture(5, side=96)


def side_of(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        return image.width


async def test_a_picture_travels_with_the_line_and_is_shown_with_what_was_asked(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        status, turn = await visitor.send([("image", PHOTO)], "/upscale scale:2")
        assert (status, turn["error"], turn["placement"]) == (200, False, "append")
        assert side_of((await served.painter.answer_one())["image"]) == 96
        await visitor.ended(turn["key"])
        html = (await visitor.turn(turn["key"]))["html"]
        shown = f"/pictures?of={turn['key']}%40image"
        assert f'<img src="{shown}"' in html
        async with visitor.http.get(shown.replace("&amp;", "&")) as response:
            assert (response.status, response.content_type) == (200, "image/png")
            assert side_of(await response.read()) == 96
            tag = response.headers["ETag"]
        async with visitor.http.get(shown, headers={"If-None-Match": tag}) as response:
            assert response.status == 304


async def test_a_form_takes_two_pictures_a_file_and_one_of_the_past(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart count:1")
        known = artifact_paths(made["html"])[0].rpartition("/")[2]
        status, turn = await visitor.send(
            [("image_b", PHOTO)], command="blend", options={"image": known}
        )
        assert (status, turn["error"]) == (200, False)
        given = await served.painter.answer_one()
    assert [side_of(given[name]) for name in ("image", "image_b")] == [64, 96]


async def test_a_line_may_point_at_pictures_of_the_past_without_any_file(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart count:1")
        known = artifact_paths(made["html"])[0].rpartition("/")[2]
        turn = await visitor.invoke("/upscale", options={"image": known})
        assert turn["error"] is False
        assert side_of((await served.painter.answer_one())["image"]) == 64


@pytest.mark.parametrize(
    ("line", "files", "says"),
    [
        ("/upscale", [("image", b"not a picture at all")], "cannot be read"),
        ("/ping", [("image", PHOTO)], "takes no file as image"),
        ("/upscale", [("image", b"")], "needs image"),
        ("/upscale", [("mask", PHOTO)], "takes no file as mask"),
    ],
)
async def test_a_file_that_does_not_fit_is_one_sentence_and_costs_nothing(
    line: str, files: list[tuple[str, bytes]], says: str, served: ServedStudio
) -> None:
    async with served.visitor() as visitor:
        status, turn = await visitor.send(files, line)
    assert (status, turn["error"]) == (200, True)
    assert says in turn["text"]
    assert served.store.tables.jobs == {}


async def test_too_large_and_too_many_files_are_refused_while_they_arrive(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        status, answer = await visitor.send([("image", b"x" * (MAX_UPLOAD_BYTES + 1))], "/upscale")
        assert (status, answer["error"]) == (413, "The picture is too large: at most 16 MiB fit.")
        status, answer = await visitor.send([(f"i{n}", PHOTO) for n in range(3)], "/upscale")
        assert (status, answer["error"]) == (413, "At most 2 pictures can be sent at once.")
        status, _ = await visitor.send([("image", PHOTO)], "/imagine " + "x" * MAX_BODY_BYTES)
        assert status == 413
    assert served.store.tables.jobs == {}


async def test_a_form_that_never_ends_is_given_up(
    served: ServedStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "UPLOAD_S", 0.05)
    async with served.visitor() as visitor:
        head = b'--x\r\nContent-Disposition: form-data; name="asked"\r\n\r\n{'
        status = await raw(visitor, head, "x", length=10_000)
    assert status == 408


@pytest.mark.filterwarnings("ignore::aiohttp.multipart.BadContentDispositionHeader")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x--\r\n",
        b"no form",
        b"--x\r\n\r\nno name\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="asked"\r\n\r\nno json\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="asked"\r\n\r\n[]\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="asked"\r\n\r\n{"id":',
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n--y--\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: \xff\xfe\r\n\r\n\r\n--x--\r\n",
    ],
)
async def test_a_mangled_form_is_a_bad_request(body: bytes, served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        assert await raw(visitor, body, "x") == 400


async def raw(visitor: Visitor, body: bytes, boundary: str, length: int | None = None) -> int:
    """Post bytes as they are; with `length`, more are promised than ever come."""
    url = URL(visitor.studio.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    cookies = visitor.http.cookie_jar.filter_cookies(url).output(header="", sep=";")
    head = (
        f"POST /api/invoke HTTP/1.1\r\nHost: {url.authority}\r\nOrigin: {url.origin()}\r\n"
        f"Cookie:{cookies}\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n"
        f"Content-Length: {length or len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    status = await reader.readline()
    writer.close()
    return int(status.split()[1])


async def test_the_picker_shows_ones_own_pictures_page_by_page(
    served: ServedStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.web.pictures.JOBS_LENGTH", 1)
    monkeypatch.setattr("bot.platforms.web.pictures.ENOUGH", 1)
    async with served.visitor() as visitor, served.visitor() as other:
        for line in ("/imagine owl count:2", "/write lighthouse", "/imagine red heart count:1"):
            await visitor.made(line)
        async with visitor.http.get("/api/pictures") as response:
            first = await response.json()
        assert first["html"].count('alt="red heart"') == 1
        before = {"before": first["older"]}
        async with visitor.http.get("/api/pictures", params=before) as response:
            second = await response.json()
        assert second["html"].count('alt="owl"') == 2  # the text between them has no picture
        assert second["older"] == ""
        async with other.http.get("/api/pictures") as response:
            assert await response.json() == {"html": "", "older": ""}


@pytest.mark.parametrize("reference", ["", "x", "0" * 32, "last", "last#9", "last@image", "../etc"])
async def test_a_name_that_means_no_picture_is_an_answer(
    reference: str, served: ServedStudio
) -> None:
    async with (
        served.visitor() as visitor,
        visitor.http.get("/pictures", params={"of": reference}) as response,
    ):
        assert response.status in {400, 404}
        assert (await response.json())["error"]


async def test_nobody_takes_a_picture_that_is_somebody_elses(served: ServedStudio) -> None:
    async with served.visitor() as visitor, served.visitor() as other:
        made = await visitor.made("/imagine red heart count:1")
        known = artifact_paths(made["html"])[0].rpartition("/")[2]
        async with visitor.http.get("/pictures", params={"of": "last"}) as response:
            assert response.status == 200
        for reference in (known, made["key"], f"{made['key']}#1"):
            async with other.http.get("/pictures", params={"of": reference}) as response:
                assert response.status == 404
            turn = await other.invoke("/upscale", options={"image": reference})
            assert turn["error"] is True


async def test_the_same_upload_again_is_the_same_job(served: ServedStudio) -> None:
    once = str(uuid.uuid4())
    async with served.visitor() as visitor:
        turns = [(await visitor.send([("image", PHOTO)], "/upscale", id=once))[1] for _ in range(2)]
    assert turns[0]["key"] == turns[1]["key"]
    assert len(served.store.tables.jobs) == 1
    assert json.dumps(turns[0]["quota"]) == json.dumps(turns[1]["quota"])
