"""Attachments: from Discord only, never more than promised; what is wrong is said."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.errors import BadOption
from bot.platforms.discord.attachments import Fetcher
from bot.platforms.discord.reading import Attached

LIMIT = 1000


@pytest.fixture
async def files() -> AsyncIterator[TestServer]:
    """A file server of the configured API's host, with files that behave in various ways."""

    async def serve(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "moved":
            raise web.HTTPFound("http://169.254.169.254/latest/meta-data")
        if name == "gone":
            raise web.HTTPNotFound
        if name == "down":
            raise web.HTTPBadGateway
        if name == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(b"x" * 4096)
            except ConnectionError:
                return response
        if name == "cut":
            response = web.StreamResponse(headers={"Content-Length": "500"})
            await response.prepare(request)
            await response.write(b"x")
            assert request.transport is not None
            request.transport.close()
            return response
        return web.Response(body=f"{name} {request.query_string}".encode())

    app = web.Application()
    app.router.add_get("/attachments/{name}", serve)
    async with TestServer(app) as server:
        yield server


@pytest.fixture
async def fetcher(files: TestServer) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(str(files.make_url("/api/v10")), max_bytes=LIMIT)
    yield fetcher
    await fetcher.close()


def _file(files: TestServer, name: str, size: int = 10, mime: str = "image/png") -> Attached:
    return Attached(str(files.make_url(f"/attachments/{name}")), size, mime, "cat.png")


async def test_files_arrive_by_the_name_of_their_option(
    fetcher: Fetcher, files: TestServer
) -> None:
    asked = {"image": _file(files, "a"), "image_b": _file(files, "b")}
    found = await fetcher.fetch(asked)
    assert {name: upload.data for name, upload in found.items()} == {
        "image": b"a ",
        "image_b": b"b ",
    }
    assert (found["image"].mime, found["image"].filename) == ("image/png", "cat.png")


async def test_the_signature_in_the_address_is_sent_as_it_came(
    fetcher: Fetcher, files: TestServer
) -> None:
    signed = "a?ex=6a%2Bb&is=2&hm=%E4"
    file = Attached(f"{files.make_url('/attachments/')}{signed}", 10, "image/png", "cat.png")
    found = await fetcher.fetch({"image": file})
    assert found["image"].data == b"a ex=6a%2Bb&is=2&hm=%E4"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://cdn.discordapp.com.evil.example/a.png",
        "https://cdn.discordapp.com@evil.example/a.png",
        "http://cdn.discordapp.com/a.png",
        "https://cdn.discordapp.com:8443/a.png",
        "file:///etc/passwd",
        "//cdn.discordapp.com/a.png",
        "/attachments/a",
        "https://[",
        "",
    ],
)
async def test_nobody_but_discord_is_asked(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(BadOption, match="does not lie with Discord"):
        await fetcher.fetch({"image": Attached(url, 10, "image/png", "cat.png")})


async def test_another_port_of_this_machine_is_not_the_api(
    fetcher: Fetcher, files: TestServer
) -> None:
    other = f"http://127.0.0.1:{(files.port or 0) + 1}/attachments/a"
    with pytest.raises(BadOption, match="does not lie with Discord"):
        await fetcher.fetch({"image": Attached(other, 10, "image/png", "cat.png")})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("moved", "does not hand the file out"),
        ("gone", "does not hand the file out"),
        ("down", "could not be fetched"),
        ("cut", "could not be fetched"),
        ("endless", "at most 1000 B are allowed"),
    ],
)
async def test_what_is_not_to_be_had_is_said(
    fetcher: Fetcher, files: TestServer, name: str, said: str
) -> None:
    with pytest.raises(BadOption, match=said):
        await fetcher.fetch({"image": _file(files, name)})


async def test_too_large_or_no_picture_is_said_before_anything_is_asked_for(
    fetcher: Fetcher, files: TestServer
) -> None:
    with pytest.raises(BadOption, match="the file has 2 KiB; at most 1000 B"):
        await fetcher.fetch({"image": _file(files, "a", size=2048)})
    with pytest.raises(BadOption, match="no picture, but video/mp4"):
        await fetcher.fetch({"image": _file(files, "a", mime="video/mp4")})
    with pytest.raises(BadOption) as caught:
        await fetcher.fetch({"image": _file(files, "a", size=2048)})
    assert "最多允许" in caught.value.text("zh-CN")
