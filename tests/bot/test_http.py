"""The one web server: probes, metrics, headers, logs, start and stop."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from bot.errors import SettingsError
from bot.http import SECURITY_HEADERS, HttpServer


class Source:
    """A platform with a page, a stream that only ends when told to, and a handler that breaks."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        return (
            web.get("/page", self._page),
            web.get("/stream", self._stream),
            web.get("/broken", self._broken),
        )

    async def close(self) -> None:
        self.closing.set()

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text="hello", headers={"Content-Security-Policy": "default-src 'self'"})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: hello\n\n")
        await self.closing.wait()
        return response

    async def _broken(self, request: web.Request) -> web.Response:
        raise RuntimeError("a secret detail")


def server(bind: Any = "127.0.0.1:0", **more: Any) -> HttpServer:
    return HttpServer(bind, registry=more.pop("registry", CollectorRegistry()), **more)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def _json(http: aiohttp.ClientSession, url: str, status: int = 200) -> Any:
    async with http.get(url) as response:
        assert response.status == status
        return await response.json()


async def test_answers_probes_without_any_platform(http: aiohttp.ClientSession) -> None:
    async with server() as running:
        assert await _json(http, f"{running.urls[0]}/healthz") == {"alive": True}
        assert await _json(http, f"{running.urls[0]}/readyz") == {"ready": True, "checks": {}}
        async with http.get(f"{running.urls[0]}/page") as response:
            assert response.status == 404


async def test_readyz_names_each_part_that_is_not_ready_and_keeps_details_in_the_log(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.http.PROBE_S", 0.01)

    async def database() -> str | None:
        raise ConnectionError("postgresql://anna:hunter2@db refused")

    async def migrations() -> str | None:
        return "two migrations are missing"

    async def hanging() -> str | None:
        await asyncio.Event().wait()
        return None

    async def fine() -> str | None:
        return None

    probes = {"database": database, "migrations": migrations, "hanging": hanging, "fine": fine}
    async with server(probes=probes) as running:
        with capture_logs() as logs:
            told = await _json(http, f"{running.urls[0]}/readyz", status=503)
    assert told["ready"] is False
    assert told["checks"] == {
        "database": "failed (ConnectionError)",
        "migrations": "two migrations are missing",
        "hanging": "no answer within 0.01 s",
        "fine": "ok",
    }
    assert any(line["event"] == "readiness probe failed" for line in logs)


async def test_metrics_are_served_to_this_machine_only(http: aiohttp.ClientSession) -> None:
    registry = CollectorRegistry()
    Counter("atelier_things", "Things.", registry=registry).inc()
    async with server(registry=registry) as running:
        url = f"{running.urls[0]}/metrics"
        async with http.get(url) as response:
            assert "atelier_things_total 1.0" in await response.text()
        for headers in (
            {"X-Forwarded-For": "203.0.113.9"},
            {"Forwarded": "for=203.0.113.9"},
            {"Host": "studio.example"},
        ):
            async with http.get(url, headers=headers) as response:
                assert response.status == 404, headers


async def test_metrics_can_have_an_address_of_their_own(http: aiohttp.ClientSession) -> None:
    async with server(metrics_bind="localhost:0") as running:
        main, *others = running.urls
        async with http.get(f"{main}/metrics") as response:
            assert response.status == 404
        async with http.get(f"{others[0]}/metrics") as response:
            assert "atelier_http_request_seconds" in await response.text()
        assert await _json(http, f"{others[0]}/healthz") == {"alive": True}


async def test_requests_are_measured_by_route_not_by_path(http: aiohttp.ClientSession) -> None:
    registry = CollectorRegistry()
    async with server(registry=registry, sources=[Source()]) as running:
        for path in ("/page", "/nowhere/1", "/nowhere/2", "/broken"):
            async with http.get(running.urls[0] + path) as response:
                await response.read()
        async with http.request("PROPFIND", running.urls[0] + "/page") as response:
            assert response.status == 405

    def count(method: str, route: str, status: int) -> float | None:
        labels = {"method": method, "route": route, "status": str(status)}
        return registry.get_sample_value("atelier_http_request_seconds_count", labels)

    assert count("GET", "/page", 200) == 1
    assert count("GET", "none", 404) == 2
    assert count("GET", "/broken", 500) == 1
    assert count("other", "none", 405) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nowhere", "/broken"])
async def test_every_response_has_the_security_headers(
    path: str, http: aiohttp.ClientSession
) -> None:
    async with server(sources=[Source()]) as running, http.get(running.urls[0] + path) as response:
        told = {name: response.headers.get(name) for name in SECURITY_HEADERS}
        assert response.headers["Server"] == "Atelier"
        assert "secret detail" not in await response.text()
    assert told == dict(SECURITY_HEADERS)


async def test_a_source_may_set_the_policy_of_its_own_pages(http: aiohttp.ClientSession) -> None:
    async with server(sources=[Source()]) as running, http.get(f"{running.urls[0]}/page") as page:
        assert page.headers["Content-Security-Policy"] == "default-src 'self'"
        assert page.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_access_log_has_no_query_strings(http: aiohttp.ClientSession) -> None:
    with capture_logs() as logs:
        async with server(sources=[Source()]) as running:
            await (await http.get(f"{running.urls[0]}/page?token=hunter2")).read()
    (line,) = [one for one in logs if one["event"] == "request"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/page", 200)
    assert "hunter2" not in json.dumps(logs, default=str)


async def test_an_address_in_use_is_a_setting_to_change() -> None:
    async with server() as running:
        taken = running.urls[0].removeprefix("http://")
        with pytest.raises(SettingsError, match=f"ATELIER_WEB_BIND: {taken} is in use"):
            await server(taken).start()
        with pytest.raises(SettingsError, match="ATELIER_METRICS_BIND"):
            await server(metrics_bind=taken).start()


async def test_serves_on_sockets_it_is_given(http: aiohttp.ClientSession) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        async with server([bound]) as running:
            assert running.urls == [f"http://127.0.0.1:{port}"]
            assert await _json(http, f"{running.urls[0]}/healthz") == {"alive": True}


async def test_stopping_ends_streams_instead_of_waiting_for_them(
    http: aiohttp.ClientSession,
) -> None:
    source = Source()
    running = server(sources=[source])
    await running.start()
    async with http.get(f"{running.urls[0]}/stream") as response:
        assert await response.content.readline() == b"event: hello\n"
        await running.stop()
        assert source.closing.is_set()
        await response.content.read()
    await running.stop()  # twice is no error
    assert running.urls == []
