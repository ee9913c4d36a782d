"""Sounds and videos: one piece with several formats, and files that players may jump about in."""

from __future__ import annotations

import re

import pytest
from web_studio import ServedStudio

from bot.core.domain import Artifact
from bot.platforms.web.pieces import pieces


def artifact(role: str, mime: str, position: int, **facts: int) -> Artifact:
    return Artifact(
        id=f"{position:032x}",
        job_id="0" * 32,
        account_id="a",
        community_id="c",
        key="k",
        mime=mime,
        size_bytes=1,
        role=role,
        position=position,
        facts=facts,
    )


def test_formats_and_plots_belong_to_the_item_before_them() -> None:
    first = [
        artifact("item", "audio/wav", 0),
        artifact("rendition", "audio/ogg; codecs=opus", 1),
        artifact("plot", "image/png", 2),
    ]
    second = [artifact("item", "audio/wav", 3), artifact("rendition", "image/gif", 4)]
    sheet, sent = artifact("grid", "image/png", 5), artifact("input", "image/png", 6)
    found = pieces([sheet, *second, *first, sent])
    assert [one.number for one in found] == [1, 2]
    assert found[0].downloads == tuple(first[:2])
    assert found[0].plot == first[2]
    assert found[1].sources == (second[0],)  # a GIF cannot be played as a sound
    assert [one.main for one in pieces([sheet, sent])] == [sheet]


@pytest.mark.parametrize(("side", "small"), [(64, True), (128, True), (129, False), (256, False)])
def test_small_pictures_are_told_from_large_ones(side: int, small: bool) -> None:
    (one,) = pieces([artifact("item", "image/png", 0, width=side, height=64)])
    assert one.small is small


async def test_a_sound_is_a_player_with_its_plot_and_its_formats(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        html = (await visitor.made("/sound drum count:2"))["html"]
        assert html.count("<audio controls") == 2
        assert 'aria-label="drum (2/2)"' in html
        assert html.count('alt="Waveform and spectrogram: drum"') == 2
        links = re.findall(r'href="(/artifacts/\w+\?download=\d)" download', html)
        names = [await self_name(visitor.http, link) for link in links]
    assert [name[-6:] for name in names] == ["-1.wav", "-1.ogg", "-2.wav", "-2.ogg"]


async def self_name(http: object, link: str) -> str:
    async with http.get(link) as response:  # type: ignore[attr-defined]
        found = re.search(r'filename="([^"]+)"', response.headers["Content-Disposition"])
        assert found is not None
        return found[1]


async def test_a_player_may_ask_for_a_part(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        html = (await visitor.made("/sound drum"))["html"]
        path, mime = re.findall(r'<source src="(/artifacts/\w+)" type="([^"]+)"', html)[0]
        async with visitor.http.get(path) as response:
            whole, tag = await response.read(), response.headers["ETag"]
            assert (response.status, response.content_type) == (200, mime)
            assert response.headers["Accept-Ranges"] == "bytes"
        for asked, expected in (
            ("bytes=0-3", whole[:4]),
            ("bytes=4-", whole[4:]),
            ("bytes=-5", whole[-5:]),
            ("bytes=0-99999999", whole),
        ):
            async with visitor.http.get(path, headers={"Range": asked}) as response:
                assert (response.status, await response.read()) == (206, expected)
                assert response.headers["Content-Range"].endswith(f"/{len(whole)}")
        beyond = {"Range": f"bytes={len(whole)}-"}
        async with visitor.http.get(path, headers=beyond) as response:
            assert response.status == 416
            assert response.headers["Content-Range"] == f"bytes */{len(whole)}"
        for headers in ({"Range": "lines=1-2"}, {"Range": "bytes=0-3", "If-Range": '"old"'}):
            async with visitor.http.get(path, headers=headers) as response:
                assert (response.status, await response.read()) == (200, whole)
        kept = {"Range": "bytes=0-3", "If-Range": tag}
        async with visitor.http.get(path, headers=kept) as response:
            assert response.status == 206
