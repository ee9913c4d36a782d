"""Interactions over HTTP: `POST /discord/interactions`, for those who scale the gateway out.

Discord signs every request with the application's Ed25519 key and refuses an address that takes
unsigned ones. What passes is the same payload the gateway brings, and goes the same way: to the
`Desk`, which answers at the callback address; the request itself is answered 202 at once, as
Discord asks of those who answer there. Used by `platform`.
Source: Discord's documentation, interactions/receiving-and-responding and interactions/overview.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import discord
import structlog
from aiohttp import web
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from bot.core.ports import Clock
from bot.errors import DeliveryRetry
from bot.platforms.discord.settings import INTERACTIONS_PATH

log = structlog.get_logger(__name__)

WINDOW_S: Final = 300
"""How far a request's time may be from ours: less is a replay, or a clock that is wrong."""

_PING: Final = 1
_PONG: Final = {"type": 1}
_TIME = re.compile(r"\d{1,12}", re.ASCII)
_SIGNATURE_BYTES: Final = 64
_CLOSE_S: Final = 2.5  # what is not answered three seconds after it was asked is lost anyway

Take = Callable[[discord.Interaction], Awaitable[None]]


class HttpInteractions:
    """Takes interactions over HTTP. Keeps nothing: who takes them knows one that came twice."""

    def __init__(
        self, public_key: str, take: Take, client: Callable[[], discord.Client], *, clock: Clock
    ) -> None:
        """`public_key`: 64 hexadecimal digits. `take` answers an interaction and never raises.
        `client` gives the logged-in client, or raises DeliveryRetry while there is none."""
        self._key = VerifyKey(bytes.fromhex(public_key))
        self._take, self._client, self._clock = take, client, clock
        self._busy: set[asyncio.Task[None]] = set()

    # --- bot.http.RouteSource ---

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The one address to be entered in the developer portal."""
        return (web.post(INTERACTIONS_PATH, self._receive),)

    async def close(self) -> None:
        """Let what is being answered finish, for a moment."""
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=_CLOSE_S)

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._genuine(request, body):
            return web.Response(status=401, text="invalid request signature")
        try:
            payload = json.loads(body)
            kind, interaction_id = payload["type"], payload.get("id", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return web.Response(status=400, text="not an interaction")
        if kind == _PING:
            return web.json_response(_PONG)
        try:
            interaction = self._read(payload)
        except DeliveryRetry:
            return web.Response(status=503, text="the studio is just starting")
        except (KeyError, TypeError, ValueError):
            log.warning("an interaction cannot be read", invocation_id=str(interaction_id))
            return web.Response(status=400, text="not an interaction")
        task = asyncio.create_task(self._answer(interaction), name=f"http-{interaction_id}")
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        return web.Response(status=202)

    async def _answer(self, interaction: discord.Interaction) -> None:
        await self._take(interaction)

    def _genuine(self, request: web.Request, body: bytes) -> bool:
        """Whether Discord signed this, and just now."""
        signature = request.headers.get("X-Signature-Ed25519", "")
        signed_at = request.headers.get("X-Signature-Timestamp", "")
        try:
            raw = bytes.fromhex(signature)
        except ValueError:
            return False
        if len(raw) != _SIGNATURE_BYTES or not _TIME.fullmatch(signed_at):
            return False
        try:
            self._key.verify(signed_at.encode() + body, raw)
        except BadSignatureError:
            return False
        off_s = self._clock().timestamp() - int(signed_at)
        if abs(off_s) > WINDOW_S:
            # Signed by Discord all the same: the host should hear of a clock that is wrong.
            log.warning("a signed request is not of now; is the clock right?", off_s=round(off_s))
            return False
        return True

    def _read(self, payload: Any) -> discord.Interaction:
        # As discord.py does with the gateway's events; it has no public door for it.
        return discord.Interaction(data=payload, state=self._client()._connection)
