"""The pages as a browser without scripts gets them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from web_studio import ServedStudio, artifact_paths

import bot.platforms.web
from bot.core.chat import Button, Role, Text
from bot.platforms.web.rendering import row_says
from bot.platforms.web.texts import TEXTS, Texts

PAGES = ("/", "/history", "/help", "/owner", "/owner?token=x")


class Outline(HTMLParser):
    """What the pages promise to everybody: names, languages, nothing inline."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.inline: list[str] = []
        self.language = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        self.labels += [values["for"]] if "for" in values else []
        if tag == "html":
            self.language = values["lang"]
        if tag == "style" or "style" in values or any(name.startswith("on") for name in values):
            self.inline.append(tag)
        if tag == "script" and "src" not in values and values["type"] != "application/json":
            self.inline.append(tag)


def outline(html: str) -> Outline:
    parsed = Outline()
    parsed.feed(html)
    return parsed


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_well_formed_and_hold_nothing_inline(
    path: str, served: ServedStudio
) -> None:
    async with served.visitor() as visitor:
        await visitor.made("/imagine red heart") if path == "/history" else None
        page = outline(await visitor.look(path))
    assert page.inline == []
    assert len(page.ids) == len(set(page.ids))
    assert set(page.labels) <= set(page.ids)
    assert page.language == "en"


async def test_a_first_visitor_sees_what_to_do(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        page = await visitor.look("/")
    assert "What shall we make?" in page
    assert 'data-example="/imagine red heart"' in page
    assert 'data-example="/write lighthouse"' in page
    assert "0 s of 10 min used" in page


async def test_the_conversation_is_there_on_load_newest_last(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        first = await visitor.made("/imagine red heart")
        second = await visitor.made("/write lighthouse")
        waiting = await visitor.invoke("/imagine owl")
        page = await visitor.look("/")
    keys = re.findall(r'<article class="turn" id="turn-([0-9a-f]{32})"', page)
    assert keys == [first["key"], second["key"], waiting["key"]]
    assert page.count('alt="red heart"') == 4
    assert "and the rest of &lt;b&gt;it&lt;/b&gt;." in page  # text with its line break, escaped
    assert re.search(r'<section class="welcome"[^>]* hidden', page)


async def test_an_answer_looks_the_same_live_and_on_load(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        live = await visitor.made("/imagine red heart")
        page = await visitor.look("/")

    def plain(html: str) -> str:
        return re.sub(r"\s+", " ", html).strip()

    assert plain(live["html"]) in plain(page)


async def test_history_is_searched_filtered_and_paged(
    served: ServedStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.web.pages.HISTORY_LENGTH", 2)
    async with served.visitor() as visitor:
        for prompt in ("red heart", "owl", "blue heart"):
            await visitor.made(f"/imagine {prompt} count:1")
        newest = await visitor.look("/history")
        assert re.findall(r'data-prompt="([^"]+)"', newest) == ["blue heart", "owl"]
        older = re.search(r'href="(/history\?[^"]+)">Older', newest)
        assert older is not None
        second = await visitor.look(older[1].replace("&amp;", "&"))
        assert re.findall(r'data-prompt="([^"]+)"', second) == ["red heart"]
        hearts = await visitor.look("/history?q=heart")
        assert re.findall(r'data-prompt="([^"]+)"', hearts) == ["blue heart", "red heart"]
        assert "Nothing matches." in await visitor.look("/history?favorites=1")
        assert "Nothing matches." in await visitor.look("/history?q=%00%F0%28zebra")


@pytest.mark.parametrize("before", ["", "x", "2026-01-01,1", "2026-01-01T00:00:00+00:00", ","])
async def test_a_mangled_page_of_the_history_is_a_page(before: str, served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        await visitor.look(f"/history?before={before}")


async def test_an_empty_history_invites(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        assert "Nothing here yet." in await visitor.look("/history")


async def test_help_lists_the_commands(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        page = await visitor.look("/help")
    assert all(f">/{name}</dt>" in page for name in ("imagine", "write", "quota"))


@pytest.mark.parametrize("path", ["/nowhere", "/static", "/artifacts/../x", "/api/turns/xyz"])
async def test_other_addresses_are_a_page_that_leads_back(path: str, served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        page = await visitor.look(path, status=404)
    assert "There is nothing here" in page
    assert 'href="/"' in page


@pytest.mark.parametrize(
    ("accepts", "language"),
    [("zh-CN,zh;q=0.9", "zh-Hans"), ("de, zh;q=0.3, en;q=0.5", "en"), ("fr", "en"), ("", "en")],
)
async def test_speaks_the_browsers_language(
    accepts: str, language: str, served: ServedStudio
) -> None:
    async with served.visitor(**{"Accept-Language": accepts}) as visitor:
        assert outline(await visitor.look("/")).language == language


async def test_the_language_can_be_switched_for_pages_and_commands(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        await visitor.look("/")
        origin = {"Origin": served.url}
        form = {"language": "zh", "next": "/history"}
        async with visitor.http.post("/language", data=form, headers=origin) as response:
            assert response.url.path == "/history"
            assert "你的历史" in await response.text()
        refused = await visitor.invoke("/imagine")
        assert "需要 prompt" in refused["text"]


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example", "/\r\nX: 1", ""]
)
async def test_the_language_switch_leads_nowhere_else(path: str, served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        form = {"language": "en", "next": path}
        async with visitor.http.post(
            "/language", data=form, headers={"Origin": served.url}, allow_redirects=False
        ) as response:
            assert (response.status, response.headers["Location"]) == (303, "/")


async def test_the_chosen_theme_is_drawn_by_the_server(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        visitor.http.cookie_jar.update_cookies({"atelier-theme": "dark"})
        assert 'data-theme="dark"' in await visitor.look("/")
        visitor.http.cookie_jar.update_cookies({"atelier-theme": '"><script>'})
        assert "data-theme" not in (await visitor.look("/")).split("<body")[0]


async def test_static_files_are_kept_for_ever_by_the_version_in_their_path(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        page = await visitor.look("/")
        files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))
        assert {file.rpartition(".")[2] for file in files} == {"css", "js", "svg"}
        for file in files:
            async with visitor.http.get(file) as response:
                assert response.status == 200
                assert "immutable" in response.headers["Cache-Control"]
        version = files.pop().split("/")[2]
        async with visitor.http.get("/static/0000/app.js") as response:
            assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
        for name in ("settings.py", "..%2fsettings.py", "%2e%2e/settings.py", "app.js%00"):
            async with visitor.http.get(f"/static/{version}/{name}") as response:
                assert response.status == 404, name


async def test_pictures_are_served_as_what_they_are(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        path = artifact_paths((await visitor.made("/imagine red heart count:1"))["html"])[0]
        async with visitor.http.get(path) as response:
            assert response.content_type == "image/png"
            assert (await response.read()).startswith(b"\x89PNG")
            assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            tag = response.headers["ETag"]
        async with visitor.http.get(path, headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        async with visitor.http.get(f"{path}?download=1") as response:
            disposition = response.headers["Content-Disposition"]
            assert re.fullmatch(r'attachment; filename="atelier-[0-9a-f]{8}-1\.png"', disposition)


@pytest.mark.parametrize("mime", ["image/svg+xml", "text/html", "application/x-whatever"])
async def test_what_could_run_script_is_only_ever_saved(mime: str, served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        turn = await visitor.invoke("/imagine red heart count:1")
        lease = await served.painter.take()
        evil = await served.painter.keep(b"<script>alert(1)</script>", mime, lease.job)
        await served.painter.finish(lease, [evil])
        await visitor.ended(turn["key"])
        html = (await visitor.turn(turn["key"]))["html"]
        path = re.search(r'href="(/artifacts/[0-9a-f]{32})\?download=1"', html)
        assert path is not None
        async with visitor.http.get(path[1]) as response:
            assert response.content_type == "application/octet-stream"
            assert response.headers["Content-Disposition"].startswith("attachment")
            assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


async def test_sound_and_video_get_players_and_a_long_text_is_shown_whole(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        turn = await visitor.invoke("/imagine thunder count:1")
        lease = await served.painter.take()
        long = "word " * 500
        media = [
            await served.painter.keep(b"RIFF", "audio/wav", lease.job),
            await served.painter.keep(b"....ftyp", "video/mp4", lease.job),
            await served.painter.keep(
                long.encode(), "text/plain; charset=utf-8", lease.job, text=long[:500]
            ),
        ]
        await served.painter.finish(lease, media)
        await visitor.ended(turn["key"])
        html = (await visitor.turn(turn["key"]))["html"]
    assert "<audio controls" in html
    assert "<video controls" in html
    assert long in html


def test_every_text_is_in_every_language_with_the_same_places() -> None:
    for name, text in TEXTS.items():
        assert text.en.strip(), name
        assert text.zh.strip(), name
        places = [sorted(re.findall(r"\{(\w+)\}", one)) for one in (text.en, text.zh)]
        assert places[0] == places[1], name


def test_every_text_is_said_somewhere() -> None:
    folder = Path(bot.platforms.web.__file__).parent
    sources = [p for p in folder.rglob("*") if p.suffix in {".py", ".html", ".js"}]
    said = "\n".join(p.read_text(encoding="utf-8") for p in sources if p.name != "texts.py")
    for name in TEXTS:
        in_script = rf"""say\(.*["']{name.removeprefix("js_")}["']"""
        elsewhere = rf"""\bt\.{name}\b|["']{name}["']"""
        assert re.search(in_script if name.startswith("js_") else elsewhere, said), name


def test_a_text_that_does_not_exist_is_a_mistake_in_a_template() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = Texts("en").nonsense


@pytest.mark.parametrize(
    ("buttons", "says"),
    [
        ([("U1", "Enlarge picture 1"), ("U2", "Enlarge picture 2")], "Enlarge picture"),
        ([("U1", "放大第 1 张图"), ("U2", "放大第 2 张图")], "放大第…张图"),
        ([("U1", "Enlarge picture 1")], "Enlarge picture 1"),
        ([("Again", "Make it again"), ("U1", "Enlarge")], ""),
        ([("A", "Left"), ("B", "Up")], ""),
        ([], ""),
    ],
)
def test_a_row_of_short_labels_says_what_they_have_in_common(
    buttons: list[tuple[str, str]], says: str
) -> None:
    row = [Button(label=label, data="x", description=text) for label, text in buttons]
    assert row_says(row) == says


async def test_commands_above_ones_role_are_not_offered(served: ServedStudio) -> None:
    from bot.core.chat import Command
    from bot.platforms.web.forms import visible
    from bot.platforms.web.visitors import Visitor

    def command(name: str, role: Role) -> Command:
        return Command(name=name, summary=Text("x", "x"), run=None, role=role)  # type: ignore[arg-type]

    commands = [command("ping", Role.MEMBER), command("settings", Role.OWNER)]
    guest = Visitor(identity="0" * 32, issued_at=served.services.clock())
    assert [one.name for one in visible(commands, guest)] == ["ping"]
