"""What every request passes before a handler sees it, and what becomes of a handler's errors.

In order: does the studio answer to this Host; does a changing request come from our own page; who
asks; is there room. Handlers get the visitor and raise UserError for what people did wrong.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import hdrs, web

from bot.core.i18n import formats
from bot.errors import NotAllowed, NotFound, UserError
from bot.platforms.web.hosts import Hosts
from bot.platforms.web.rendering import Pages
from bot.platforms.web.texts import TEXTS
from bot.platforms.web.visitors import GUEST_FOR, GuestLimiter, Visitor, Visitors

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request, Visitor], Awaitable[web.StreamResponse]]
PlainHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES: Final = 256 * 1024
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class Refused(UserError):
    """A request that never reaches a handler; `status` is what HTTP calls it."""

    def __init__(self, status: int, text: str, **values: object) -> None:
        sentence = TEXTS[text].format(**values)
        super().__init__(sentence.en, sentence.zh)
        self.status = status


class Guard:
    """Wraps handlers."""

    def __init__(
        self, hosts: Hosts, visitors: Visitors, limiter: GuestLimiter, pages: Pages
    ) -> None:
        self._hosts = hosts
        self._visitors = visitors
        self._limiter = limiter
        self._pages = pages

    def page(self, handler: Handler) -> PlainHandler:
        """A page: strangers become guests, errors are pages."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            visitor: Visitor | None = None
            try:
                self._check(request)
                known = self._read(request)
                visitor = known or self._welcome(request)
                response = await handler(request, visitor)
                if known is None or self._visitors.due(known):
                    self.remember(request, response, self._visitors.renewed(visitor))
            except (UserError, Exception) as error:
                status, sentence = self._explain(request, error)
                stranger = visitor or self._stranger(request)
                response = self._pages.error(stranger, status, sentence)
            response.headers["Content-Security-Policy"] = PAGE_POLICY
            return response

        return guarded

    def api(self, handler: Handler, *, max_bytes: int = MAX_BODY_BYTES) -> PlainHandler:
        """What scripts and tags fetch: only for who has a cookie; errors are JSON. A request that
        says it is longer than `max_bytes` is not read at all."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._check(request, max_bytes)
                visitor = self._read(request)
                if visitor is None:
                    raise Refused(401, "unknown_visitor")
                return await handler(request, visitor)
            except (UserError, Exception) as error:
                status, sentence = self._explain(request, error)
                return web.json_response({"error": sentence}, status=status)

        return guarded

    def asset(self, handler: PlainHandler) -> PlainHandler:
        """A static file: no visitor needed."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._hosts.answers_to(request):
                raise web.HTTPMisdirectedRequest
            return await handler(request)

        return guarded

    def remember(
        self, request: web.Request, response: web.StreamResponse, visitor: Visitor
    ) -> None:
        """Write the visitor's cookie."""
        response.set_cookie(
            self._visitors.cookie_name,
            self._visitors.cookie_value(visitor),
            max_age=int(GUEST_FOR.total_seconds()),
            httponly=True,
            samesite="Lax",
            secure=self._hosts.secure(request),
            path="/",
        )

    def _check(self, request: web.Request, max_bytes: int = MAX_BODY_BYTES) -> None:
        if not self._hosts.answers_to(request):
            raise Refused(421, "not_here", url=self._hosts.url)
        if request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
            return
        if not self._hosts.same_site(request):
            raise Refused(403, "foreign_origin")
        if (request.content_length or 0) > max_bytes:
            raise Refused(413, "request_too_large", limit=formats.size(max_bytes))

    def _read(self, request: web.Request) -> Visitor | None:
        return self._visitors.read(request.cookies, _languages(request))

    def _stranger(self, request: web.Request) -> Visitor:
        return self._visitors.new(request.cookies, _languages(request))

    def _welcome(self, request: web.Request) -> Visitor:
        if not self._limiter.admit(self._hosts.address_of(request)):
            raise Refused(429, "too_many_guests")
        return self._stranger(request)

    def _explain(self, request: web.Request, error: Exception) -> tuple[int, str]:
        """The status and the sentence for an error; HTTP's own pass through."""
        if isinstance(error, web.HTTPException):
            raise error
        reader = self._read(request) or self._stranger(request)
        if isinstance(error, UserError):
            return _status(error), error.text(reader.locale)
        if isinstance(error, ConnectionError):  # the browser left while we wrote
            raise error
        error_id = secrets.token_hex(4)
        log.error("request failed", path=request.path[:200], error_id=error_id, exc_info=error)
        return 500, TEXTS["internal"].format(id=error_id).in_(reader.locale)


async def read_json(request: web.Request) -> Any:
    """The body as JSON. Raises Refused for another type, too many bytes, or what is not JSON."""
    if request.content_type != "application/json":
        raise Refused(415, "bad_request")
    try:
        return json.loads(await _read_body(request))
    except (ValueError, RecursionError) as error:
        raise Refused(400, "bad_request") from error


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a posted HTML form (no files)."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise Refused(415, "bad_request")
    try:
        text = (await _read_body(request)).decode()
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20))
    except ValueError as error:
        raise Refused(400, "bad_request") from error


async def _read_body(request: web.Request) -> bytes:
    """The body, never holding more than allowed: without a length, it is counted on the way."""
    try:
        return await request.clone(client_max_size=MAX_BODY_BYTES).read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(413, "request_too_large", limit=formats.size(MAX_BODY_BYTES)) from error


def _languages(request: web.Request) -> str:
    return request.headers.get(hdrs.ACCEPT_LANGUAGE, "")


def _status(error: UserError) -> int:
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, NotFound):
        return 404
    return 403 if isinstance(error, NotAllowed) else 400
