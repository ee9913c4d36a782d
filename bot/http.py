"""The one web server of the gateway: health, metrics, and the routes that platforms contribute.

Built and started by `bot.app`; it knows no platform. The studio can be switched off and the server
still answers probes and carries webhooks. Every response gets strict security headers here; a
source may only replace the content security policy of its own pages.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import structlog
from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from yarl import URL

from bot.errors import SettingsError

log = structlog.get_logger(__name__)

Probe = Callable[[], Awaitable[str | None]]
"""Asks one part of the gateway whether it is ready: None, or the reason why not, in a sentence
that anybody may read."""

SHUTDOWN_S: Final = 5.0
PROBE_S: Final = 2.0
MAX_BODY_BYTES: Final = 1024 * 1024
QUIET_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with that, browsers send `Origin: null` when a page of ours posts a form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


class RouteSource(Protocol):
    """A platform that wants to be reached over HTTP.

    An implementer must not claim `/healthz`, `/readyz` or `/metrics`, must check for itself who
    asks, and must not put secrets into paths (paths are logged, queries are not).
    """

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The routes, asked for once, before the server starts."""
        ...

    async def close(self) -> None:
        """The server stops: end streams that would otherwise stay open."""
        ...


class HttpServer:
    """Serves until left: `async with HttpServer(...) as server: ...`.

    `bind` is `host:port` (port 0 takes a free one) or sockets that are bound already. `probes` are
    what `/readyz` asks. With `metrics_bind` empty, `/metrics` is served here but to this machine
    only; else it has an address of its own and is not served here.
    """

    def __init__(
        self,
        bind: str | Sequence[socket.socket],
        *,
        registry: CollectorRegistry,
        sources: Sequence[RouteSource] = (),
        probes: Mapping[str, Probe] | None = None,
        metrics_bind: str = "",
    ) -> None:
        self._bind = bind
        self._registry = registry
        self._sources = tuple(sources)
        self._probes = dict(probes or {})
        self._metrics_bind = metrics_bind if metrics_bind != bind else ""
        self._runners: list[web.AppRunner] = []
        self._seconds = Histogram(
            "atelier_http_request_seconds",
            "Time from request to response, streams left out",
            ("method", "route", "status"),
            registry=registry,
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind and serve. Raises SettingsError where the address cannot be had."""
        try:
            await self._serve(self._main_app(), self._bind, "ATELIER_WEB_BIND")
            if self._metrics_bind:
                await self._serve(self._metrics_app(), self._metrics_bind, "ATELIER_METRICS_BIND")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more requests, end streams, give running requests a moment, close. Repeatable."""
        while self._runners:
            await self._runners.pop().cleanup()

    @property
    def urls(self) -> list[str]:
        """Where the server really listens, the web server's addresses first."""
        return [
            str(URL.build(scheme="http", host=address[0], port=address[1]))
            for runner in self._runners
            for address in runner.addresses
        ]

    async def _serve(
        self, app: web.Application, bind: str | Sequence[socket.socket], setting: str
    ) -> None:
        runner = web.AppRunner(
            app, access_log_class=AccessLog, shutdown_timeout=SHUTDOWN_S, handle_signals=False
        )
        await runner.setup()
        self._runners.append(runner)
        if not isinstance(bind, str):
            for bound in bind:
                await web.SockSite(runner, bound).start()
            return
        address = URL(f"http://{bind}")
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else "cannot be listened on"
            raise SettingsError(
                f"{setting}: {bind} {reason} ({error.strerror or error}). "
                "Give a free host:port of this machine."
            ) from error

    def _main_app(self) -> web.Application:
        app = self._app()
        if not self._metrics_bind:
            app.router.add_get("/metrics", self._metrics_for_this_machine)
        for source in self._sources:
            app.add_routes(source.routes())
        app.on_shutdown.append(self._close_sources)
        return app

    def _metrics_app(self) -> web.Application:
        app = self._app()
        app.router.add_get("/metrics", self._metrics)
        return app

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._measure])
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/healthz", _healthz)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def _close_sources(self, app: web.Application) -> None:
        for source in self._sources:
            await source.close()

    @web.middleware
    async def _measure(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        started = asyncio.get_running_loop().time()
        status = 500
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        except ConnectionError:  # the other side left while we wrote
            raise
        except Exception:  # of any page: the next request must find us alive
            log.exception("request failed", path=request.path[:200])
            response = web.Response(status=status, text="500: Internal Server Error")
        finally:
            self._observe(request, status, asyncio.get_running_loop().time() - started)
        return response

    def _observe(self, request: web.Request, status: int, seconds: float) -> None:
        if "text/event-stream" in request.headers.get(hdrs.ACCEPT, ""):
            return  # a stream takes as long as its tab is open
        method = request.method if request.method in hdrs.METH_ALL else "other"
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        self._seconds.labels(method, route, str(status)).observe(seconds)

    async def _readyz(self, request: web.Request) -> web.Response:
        """200 when every part is ready, else 503; either way who is and who is not, and why."""
        reasons = await asyncio.gather(*(_ask(name, probe) for name, probe in self._probes.items()))
        checks = {name: reason or "ok" for name, reason in zip(self._probes, reasons, strict=True)}
        ready = not any(reasons)
        return web.json_response({"ready": ready, "checks": checks}, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _metrics_for_this_machine(self, request: web.Request) -> web.Response:
        """As `_metrics`, but not for others, nor for what a proxy on this machine passes on."""
        host = URL(f"http://{request.host}").host or ""
        local = _is_loopback(request.remote or "") and (host == "localhost" or _is_loopback(host))
        if not local or "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
            raise web.HTTPNotFound
        return await self._metrics(request)


class AccessLog(AbstractAccessLogger):
    """One structured line per request: no query strings, no headers, no bodies."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line; probes are written at debug level."""
        write = log.debug if request.path in QUIET_PATHS else log.info
        write(
            "request",
            method=request.method,
            path=request.path[:200],
            status=response.status,
            size_bytes=response.body_length,
            ms=round(time * 1000, 1),
            remote=request.remote,
        )


async def _healthz(request: web.Request) -> web.Response:
    """The process lives and its event loop turns."""
    return web.json_response({"alive": True})


async def _ask(name: str, probe: Probe) -> str | None:
    try:
        async with asyncio.timeout(PROBE_S):
            return await probe()
    except TimeoutError:
        return f"no answer within {PROBE_S:g} s"
    except Exception as error:  # of any part: that it broke is the answer
        # What went wrong may name hosts or users: that is for the log, not for who asked.
        log.warning("readiness probe failed", probe=name, exc_info=error)
        return f"failed ({type(error).__name__})"


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers[hdrs.SERVER] = "Atelier"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
