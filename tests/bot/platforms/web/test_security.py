"""Who is let in, and what forgers, strangers and other sites get."""

from __future__ import annotations

import base64
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from web_studio import KEY, ServedStudio, Visitor, actions, artifact_paths, serve_studio

from bot.core.signing import Signer
from bot.platforms.web.guard import PAGE_POLICY
from bot.platforms.web.hosts import Hosts
from bot.platforms.web.visitors import PURPOSE, GuestLimiter, best_language

XSS = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>{{7*7}}"


KNOWN_ATTRIBUTES = frozenset(
    re.findall(
        r"[^ ,]+",
        "id,class,for,href,src,rel,type,lang,title,hidden,role,alt,width,height,loading,decoding,"
        "open,method,action,name,value,content,charset,media,placeholder,maxlength,rows,min,max,"
        "low,high,optimum,step,list,required,checked,selected,autocomplete,autocapitalize,"
        "spellcheck,download,enterkeyhint,controls,loop,autoplay,muted,playsinline,preload,poster,"
        "accept,multiple,tabindex,viewbox,fill,stroke,"
        "stroke-width,stroke-linecap,stroke-linejoin,focusable,d,cx,cy,r,rx,x,y",
    )
)


def attributes_in(html: str) -> set[str]:
    """All attributes' names but data-* and aria-*."""
    found: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update(name for name, _ in attrs if not name.startswith(("data-", "aria-")))

    Reader().feed(html)
    return found


def cookie_name() -> str:
    return "atelier-" + Signer(KEY).sign("name", PURPOSE)[-8:]


def cookie_of(visitor: Visitor) -> str:
    """The visitor's cookie as the browser holds it."""
    jar = {morsel.key: morsel.value for morsel in visitor.http.cookie_jar}
    return jar[cookie_name()]


def forged(**facts: Any) -> str:
    """A cookie signed with somebody else's key."""
    return Signer(b"another studio's key").sign(json.dumps(facts), PURPOSE)


# --- pages of other sites ---


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("[::1]:{port}", 200),
        ("LOCALHOST", 200),
        ("evil.example:{port}", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.168.1.20:{port}", 421),
        ("localhost:{port}@evil.example", 421),
        ("", 421),
        ("[", 421),
    ],
)
async def test_only_hosts_that_are_meant_are_answered(
    host: str, status: int, served: ServedStudio
) -> None:
    port = served.url.rpartition(":")[2]
    async with served.visitor() as visitor:
        for path in ("/", "/api/turns", "/static/x/app.js"):
            headers = {"Host": host.format(port=port)}
            async with visitor.http.get(path, headers=headers) as response:
                assert response.status == status, (path, await response.text())


@pytest.mark.parametrize(
    ("bind", "public", "host", "allowed"),
    [
        ("0.0.0.0:80", "", "192.168.1.20", True),
        ("0.0.0.0:80", "", "studio.lan", False),
        ("0.0.0.0:80", "http://studio.lan", "studio.lan", True),
        ("[::]:80", "", "[fe80::1]:80", True),
        ("192.168.1.20:80", "", "192.168.1.20", True),
        ("127.0.0.1:80", "https://art.example/", "art.example", True),
        ("127.0.0.1:80", "https://art.example/", "other.example", False),
        ("studio.lan:80", "", "studio.lan:80", True),
    ],
)
def test_the_host_decides_which_names_are_meant(
    bind: str, public: str, host: str, allowed: bool
) -> None:
    request = cast(web.Request, SimpleNamespace(host=host))
    assert Hosts(bind, public).answers_to(request) is allowed


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": "{url}"}, True),
        ({"Origin": "{url}", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({}, False),
    ],
)
async def test_only_our_own_pages_may_post(
    headers: dict[str, str], allowed: bool, served: ServedStudio
) -> None:
    sent = {name: value.format(url=served.url) for name, value in headers.items()}
    async with served.visitor() as visitor:
        body = {"id": str(uuid.uuid4()), "line": "/imagine red heart"}
        async with visitor.http.post("/api/invoke", json=body, headers=sent) as response:
            assert response.status == (200 if allowed else 403)
        for path in ("/language", "/owner"):
            async with visitor.http.post(path, data={"language": "en"}, headers=sent) as response:
                assert (response.status == 403 and "another site" in await response.text()) != (
                    allowed
                )
    assert len(served.store.tables.jobs) == int(allowed)


def test_behind_a_proxy_the_public_name_is_ours_and_cookies_are_secure() -> None:
    hosts = Hosts("127.0.0.1:8080", "https://art.example")

    def request(host: str, **headers: str) -> web.Request:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return cast(web.Request, SimpleNamespace(host=host, headers=names, remote="127.0.0.1"))

    assert hosts.same_site(request("127.0.0.1:8080", Origin="https://art.example"))
    assert not hosts.same_site(request("127.0.0.1:8080", Origin="http://art.example"))
    assert hosts.secure(request("art.example"))
    assert not hosts.secure(request("127.0.0.1:8080"))
    through = request("art.example", X_Forwarded_For="6.6.6.6, 203.0.113.9")
    assert hosts.address_of(through) == "203.0.113.9"
    direct = Hosts("127.0.0.1:8080", "")
    assert direct.address_of(through) == "127.0.0.1"


async def test_pages_may_run_nothing_but_our_own_files_and_may_not_be_framed(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        for path in ("/", "/history", "/help", "/owner", "/nowhere"):
            async with visitor.http.get(path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert policy == PAGE_POLICY
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in PAGE_POLICY
    assert "frame-ancestors 'none'" in PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY


# --- what members write ---


async def test_what_members_write_is_text_wherever_it_shows(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        quoted = json.dumps(XSS)
        turn = await visitor.made(f"/imagine {quoted} negative_prompt:{quoted} count:1")
        job = served.store.tables.jobs[turn["key"]]
        assert job.params["prompt"] == XSS
        text = await visitor.made(f"/write {quoted}")
        form = await visitor.invoke(action=actions(turn["html"])["remix"])
        wrong = await visitor.invoke(f"/{XSS}")
        _, filled = await visitor.post("/api/form", {"line": f"/imagine {quoted}"})
        shown = [
            turn["html"],
            text["html"],
            form["html"],
            wrong["html"],
            filled["html"],
            await visitor.look("/"),
            await visitor.look("/history"),
            await visitor.look("/history?q=%3Cscript%3Ealert(2)%3C/script%3E"),
            await visitor.look("/owner?token=%22%3E%3Cscript%3Ealert(2)"),
            await visitor.look("/%3Cscript%3Ealert(2)", status=404),
        ]
    for html in shown:
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert attributes_in(html) <= KNOWN_ATTRIBUTES
        assert "54444439" not in html


# --- who one is ---


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "x",
        "x" * 5000,
        ".." * 10,
        forged(id="0" * 32, at=0),
        Signer(KEY).sign("not json", PURPOSE),
        Signer(KEY).sign(json.dumps([]), PURPOSE),
        Signer(KEY).sign(json.dumps({"id": 7}), PURPOSE),
        Signer(KEY).sign(json.dumps({"id": "../../etc"}), PURPOSE),
        Signer(KEY).sign(json.dumps({"id": "0" * 32}), "another-purpose"),
    ],
)
async def test_a_forged_cookie_is_no_cookie(cookie: str, served: ServedStudio) -> None:
    async with served.stranger() as stranger:
        headers = {"Cookie": f"{cookie_name()}={cookie}"}
        async with stranger.http.get("/api/turns", headers=headers) as response:
            assert response.status == 401
        async with stranger.http.get("/", headers=headers) as response:
            assert response.status == 200
            assert cookie_name() in response.cookies  # welcomed as somebody new


async def test_a_cookie_cannot_be_raised_to_the_owners(served: ServedStudio) -> None:
    async with served.visitor() as visitor, served.stranger() as stranger:
        body, _, signature = cookie_of(visitor).rpartition(".")
        value, _, expiry = body.partition(".")
        facts = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        facts["owner_until"] = 2**40
        raised = base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")
        cookie = f"{cookie_name()}={raised}.{expiry}.{signature}"
        async with stranger.http.get("/api/turns", headers={"Cookie": cookie}) as response:
            assert response.status == 401


async def test_the_cookie_is_for_this_site_and_not_for_scripts(served: ServedStudio) -> None:
    async with served.stranger() as stranger, stranger.http.get("/") as response:
        header = response.headers["Set-Cookie"]
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Path=/" in header
    assert "Secure" not in header  # plain HTTP on loopback


async def test_new_guests_from_one_address_are_limited_and_old_ones_stay(tmp_path: Path) -> None:
    async with (
        serve_studio(tmp_path, guests_per_hour=2) as studio,
        studio.visitor() as first,
        studio.visitor(),
        studio.stranger() as third,
    ):
        async with third.http.get("/") as response:
            assert response.status == 429
            assert "Too many new visitors" in await response.text()
            assert not response.cookies
        await first.look("/")


def test_an_address_may_bring_guests_again_as_time_passes() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    limiter = GuestLimiter(60, lambda: now)
    assert [limiter.admit("a") for _ in range(61)] == [True] * 60 + [False]
    assert limiter.admit("b")
    now += timedelta(minutes=2)
    assert [limiter.admit("a") for _ in range(3)] == [True, True, False]


async def test_a_session_lasts_as_long_as_one_comes_back(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    async with (
        serve_studio(tmp_path, clock=lambda: now) as studio,
        studio.visitor() as visitor,
        studio.stranger() as stranger,
    ):
        first = cookie_of(visitor)
        await visitor.look("/")
        assert cookie_of(visitor) == first
        now += timedelta(days=399)
        await visitor.look("/")
        assert cookie_of(visitor) != first
        now += timedelta(days=399)
        async with visitor.http.get("/api/turns") as response:
            assert response.status == 200
        headers = {"Cookie": f"{cookie_name()}={first}"}
        async with stranger.http.get("/api/turns", headers=headers) as response:
            assert response.status == 401


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh", "zh"),
        ("en;q=0.1, zh;q=0.2", "zh"),
        ("en, zh", "en"),
        ("zh;q=0, en;q=0.1", "en"),
        ("zh;q=x", "en"),
        ("*", "en"),
        ("," * 1000, "en"),
    ],
)
def test_the_language_ranked_highest_is_taken(header: str, language: str) -> None:
    assert best_language(header, "en") == language


# --- the owner ---


@pytest.fixture
def link(served: ServedStudio) -> str:
    found = served.web.owner_link(served.url).removeprefix(served.url)
    assert found.startswith("/owner?token=")
    return found


async def become_owner(visitor: Visitor, link: str) -> tuple[int, str]:
    data = {"token": link.partition("=")[2]}
    headers = {"Origin": visitor.studio.url}
    async with visitor.http.post("/owner", data=data, headers=headers) as response:
        return response.status, await response.text()


async def test_looking_at_the_owner_link_spends_nothing_and_makes_nobody_owner(
    served: ServedStudio, link: str
) -> None:
    async with served.visitor() as preview, served.visitor() as owner:
        for _ in range(3):
            page = await preview.look(link)
            assert 'method="post" action="/owner"' in page
        assert ">Owner<" not in await preview.look("/")
        status, page = await become_owner(owner, link)
        assert status == 200
        assert ">Owner<" in page


async def test_the_owner_link_works_once(served: ServedStudio, link: str) -> None:
    async with served.visitor() as owner, served.visitor() as late:
        await become_owner(owner, link)
        status, page = await become_owner(late, link)
        assert status == 403
        assert "used already" in page
        assert ">Owner<" not in await late.look("/")
        assert (await become_owner(late, "/owner?token="))[0] == 403
        assert (await become_owner(late, "/owner?token=" + "x" * 400))[0] == 403


async def test_the_owner_keeps_who_they_were_and_acts_as_owner(
    served: ServedStudio, link: str
) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart")
        await become_owner(visitor, link)
        assert made["key"] in await visitor.look("/")
        await visitor.invoke("/ping")
    members = served.store.tables.members.values()
    assert {str(member.role) for member in members} <= {"member", "owner"}


async def test_an_owners_session_ends_after_a_month(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    async with serve_studio(tmp_path, clock=lambda: now) as studio, studio.visitor() as visitor:
        await become_owner(visitor, studio.web.owner_link())
        now += timedelta(days=29)
        assert ">Owner<" in await visitor.look("/")
        now += timedelta(days=2)
        assert ">Owner<" not in await visitor.look("/")


async def test_the_owner_link_is_nowhere_in_the_logs(served: ServedStudio, link: str) -> None:
    with capture_logs() as logs:
        async with served.visitor() as owner:
            await owner.look(link)
            await become_owner(owner, link)
    assert logs
    assert link.partition("=")[2] not in json.dumps(logs, default=str)


@pytest.mark.parametrize(
    ("bind", "public", "base"),
    [
        ("127.0.0.1:8080", "", "http://127.0.0.1:8080/"),
        ("0.0.0.0:8080", "", "http://127.0.0.1:8080/"),
        ("[::1]:8080", "", "http://[::1]:8080/"),
        ("127.0.0.1:8080", "https://art.example", "https://art.example/"),
    ],
)
def test_the_link_leads_to_where_the_studio_can_be_opened(
    bind: str, public: str, base: str
) -> None:
    assert str(Hosts(bind, public).url) == base


# --- what belongs to others ---


async def test_other_peoples_work_does_not_exist(served: ServedStudio) -> None:
    async with served.visitor() as visitor, served.visitor() as other, served.stranger() as nobody:
        made = await visitor.made("/imagine red heart")
        path = artifact_paths(made["html"])[0]
        for address in (path, f"{path}?download=1", f"/api/turns/{made['key']}"):
            async with visitor.http.get(address) as response:
                assert response.status == 200
            async with other.http.get(address) as response:
                assert response.status == 404
                assert (await response.json())["error"]
            async with nobody.http.get(address) as response:
                assert response.status == 401
        for data in actions(made["html"]).values():
            refused = await other.invoke(action=data)
            assert refused["error"] is True
        assert made["key"] not in await other.look("/history")
        async with visitor.http.get(path) as response:
            assert response.status == 200


async def test_buttons_that_we_did_not_sign_do_nothing(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart")
        signed = actions(made["html"])["fav"]
        verb, job_id, signature = signed.split(":")
        for data in (f"delete:{job_id}:{signature}", signed[:-1], f"{verb}::", "", "💥" * 50):
            refused = await visitor.invoke(action=data)
            assert refused["error"] is True
        assert made["key"] in await visitor.look("/history")


@pytest.mark.parametrize(
    "path",
    [
        "/artifacts/",
        "/artifacts/" + "0" * 31,
        "/artifacts/" + "G" * 32,
        "/artifacts/..%2f..%2fetc%2fpasswd",
        "/artifacts/" + "0" * 32,
    ],
)
async def test_paths_that_name_no_artifact_are_not_found(path: str, served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        await visitor.look(path, status=404)


async def test_a_file_missing_from_the_store_is_not_found(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart count:1")
        (artifact,) = served.store.tables.artifacts.values()
        await served.services.artifacts.forget(artifact.key, owner=artifact.account_id)
        await visitor.look(artifact_paths(made["html"])[0], status=404)


async def test_what_breaks_on_our_side_is_one_sentence_with_a_reference(
    served: ServedStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://anna:hunter2@db")

    async with served.visitor() as visitor:
        monkeypatch.setattr(type(served.services.history), "page", broken)
        with capture_logs() as logs:
            page = await visitor.look("/history", status=500)
            async with visitor.http.get("/api/turns") as response:
                assert response.status == 500
                sentence = (await response.json())["error"]
    references = [line["error_id"] for line in logs if line["event"] == "request failed"]
    assert references[0] in page
    assert references[1] in sentence
    assert "hunter2" not in page + sentence
