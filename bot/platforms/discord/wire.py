"""Requests that show something: one try each, none before Discord allows it, never logged.

discord.py repeats and sleeps inside its own requests. That is right for one message, and wrong for
an outbox that has its own record of tries and for progress that must give way to the answer; so the
courier sends for itself, over the client's session and with its token. Raises what discord.py
raises (`discord.HTTPException` and its kin, `discord.RateLimited`), and aiohttp's errors.
The addresses hold interaction tokens: nothing here puts one into a log or a message.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

import aiohttp
import discord
from discord.http import HTTPClient

from bot.platforms.discord.message import EPHEMERAL, Message
from bot.platforms.discord.packing import Packed

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=10)
_MAX_PAUSES: Final = 4096  # buckets that are remembered; a token is worth nothing after 15 minutes


class Gate:
    """When each bucket of requests may be used again, as Discord said. Times are monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._everything = 0.0
        self._buckets: dict[str, float] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, bucket: str) -> asyncio.Lock:
        """Held while a request of the bucket is out: the next one must know what it was told."""
        lock = self._locks.get(bucket)
        if lock is None:
            self._locks[bucket] = lock = asyncio.Lock()
        return lock

    def wait_s(self, bucket: str, *, exempt: bool = False) -> float:
        """How long until a request may be sent; 0 where it may be now. `exempt`: the limit on all
        of a bot's requests does not count."""
        now = self._clock()
        everything = 0.0 if exempt else self._everything - now
        return max(0.0, everything, self._buckets.get(bucket, 0.0) - now)

    def close(self, bucket: str, for_s: float, *, everything: bool = False) -> None:
        """No request of the bucket (or none at all) for so long."""
        until = self._clock() + for_s
        if everything:
            self._everything = max(self._everything, until)
        self._buckets[bucket] = max(self._buckets.get(bucket, 0.0), until)
        if len(self._buckets) > _MAX_PAUSES:
            now = self._clock()
            self._buckets = {name: end for name, end in self._buckets.items() if end > now}


class Wire:
    """Sends messages to Discord's REST API."""

    def __init__(
        self, client: Callable[[], discord.Client], api_base: str, gate: Gate | None = None
    ) -> None:
        """`client` gives the logged-in client of the moment."""
        self._client, self._base = client, api_base.rstrip("/")
        self._gate = gate or Gate()

    # --- with an interaction's token ---

    async def respond(
        self, interaction: str, token: str, body: Mapping[str, Any], files: Sequence[Packed] = ()
    ) -> None:
        """The first response to an interaction; `body`: its type and data."""
        path = f"/interactions/{interaction}/{token}/callback"
        await self._send("POST", path, f"respond/{token}", body, files, patience_s=1.0)

    async def edit(
        self, application: str, token: str, message: Message, *, patience_s: float = 5.0
    ) -> str:
        """Edit `@original`; returns its id."""
        path = f"/webhooks/{application}/{token}/messages/@original"
        body, files = message.payload(), message.new_files
        sent = await self._send("PATCH", path, f"token/{token}", body, files, patience_s=patience_s)
        return str(sent["id"])

    async def seen_by_all(self, application: str, token: str) -> bool:
        """Whether `@original` is there for everybody to see."""
        path = f"/webhooks/{application}/{token}/messages/@original"
        found = await self._send("GET", path, f"token/{token}", patience_s=5.0)
        return not int(found.get("flags") or 0) & EPHEMERAL

    async def remove(self, application: str, token: str) -> None:
        """Delete `@original`."""
        path = f"/webhooks/{application}/{token}/messages/@original"
        await self._send("DELETE", path, f"token/{token}", patience_s=5.0)

    async def follow(
        self, application: str, token: str, message: Message, *, ephemeral: bool
    ) -> str:
        """One more message for an interaction; returns its id."""
        path = f"/webhooks/{application}/{token}?wait=true"
        body, files = message.payload(ephemeral=ephemeral), message.new_files
        sent = await self._send("POST", path, f"token/{token}", body, files, patience_s=5.0)
        return str(sent["id"])

    # --- as the bot ---

    async def post(
        self, channel: str, body: Mapping[str, Any], files: Sequence[Packed], *, nonce: str
    ) -> str:
        """A message in a channel; returns its id. The same nonce again, within minutes, posts
        nothing and returns the first message's id."""
        path = f"/channels/{channel}/messages"
        body = {**body, "nonce": nonce, "enforce_nonce": True}
        bucket = f"channel/{channel}"
        sent = await self._send("POST", path, bucket, body, files, patience_s=5.0, as_bot=True)
        return str(sent["id"])

    async def edit_own(self, channel: str, message_id: str, message: Message) -> str:
        """Edit a message of the bot's, of any age; returns its id."""
        path, bucket = f"/channels/{channel}/messages/{message_id}", f"edit/{channel}"
        body, files = message.payload(), message.new_files
        sent = await self._send("PATCH", path, bucket, body, files, patience_s=5.0, as_bot=True)
        return str(sent["id"])

    async def remove_own(self, channel: str, message_id: str) -> None:
        """Delete a message of the bot's, of any age."""
        path, bucket = f"/channels/{channel}/messages/{message_id}", f"remove/{channel}"
        await self._send("DELETE", path, bucket, patience_s=5.0, as_bot=True)

    async def direct_channel(self, person: str) -> str:
        """The id of the channel of direct messages with a person."""
        path, body = "/users/@me/channels", {"recipient_id": person}
        found = await self._send("POST", path, "direct", body, patience_s=5.0, as_bot=True)
        return str(found["id"])

    # --- all of them ---

    async def _send(
        self,
        method: str,
        path: str,
        bucket: str,
        body: Mapping[str, Any] | None = None,
        files: Sequence[Packed] = (),
        *,
        patience_s: float,
        as_bot: bool = False,
    ) -> Any:
        """One request. Waits until it is allowed, at most `patience_s`; raises RateLimited where
        that is too short, and where Discord says so."""
        async with self._gate.lock(bucket):
            # With an interaction's token, the limit on all of the bot's requests does not count.
            while wait_s := self._gate.wait_s(bucket, exempt=not as_bot):
                if wait_s > patience_s:
                    raise discord.RateLimited(wait_s)
                await asyncio.sleep(wait_s)
            http = self._client().http
            headers = {"User-Agent": http.user_agent}
            if as_bot:
                headers["Authorization"] = f"Bot {http.token}"
            async with self._session().request(
                method,
                self._base + path,
                data=_form(body, files) if files else _json(body),
                headers=headers | ({} if files or body is None else _JSON),
                timeout=_TIMEOUT,
            ) as response:
                told = await _told(response)
                self._heed(bucket, response, told)
                if response.status < 300:
                    return told
                raise _refusal(response, told)

    def _session(self) -> aiohttp.ClientSession:
        # The one public way to a client's session: webhooks are given it.
        try:
            session = discord.Webhook.partial(0, "", client=self._client()).session
        except TypeError:  # it has none yet
            raise ConnectionError("not logged in to Discord") from None
        if session.closed:
            raise ConnectionError("not logged in to Discord any more")
        return session

    def _heed(self, bucket: str, response: aiohttp.ClientResponse, told: Any) -> None:
        """Remember what Discord says about the next request."""
        headers = response.headers
        if response.status == 429:
            everything = "X-RateLimit-Global" in headers or (
                isinstance(told, dict) and bool(told.get("global"))
            )
            self._gate.close(bucket, _retry_after_s(headers, told), everything=everything)
            if everything:
                self._hold(self._client().http)
        elif headers.get("X-RateLimit-Remaining") == "0":
            self._gate.close(bucket, _number(headers.get("X-RateLimit-Reset-After")))

    def _hold(self, http: HTTPClient) -> None:
        """Let discord.py's own requests (commands, emoji) wait for as long as ours must: the limit
        is one, and it has no public door for it."""
        wait_s = self._gate.wait_s("")
        if wait_s > 0:
            http._global_over.clear()
            asyncio.get_running_loop().call_later(wait_s, self._hold, http)
        else:
            http._global_over.set()


_JSON: Final = {"Content-Type": "application/json"}


def _json(body: Mapping[str, Any] | None) -> bytes | None:
    return None if body is None else json.dumps(body, ensure_ascii=False).encode()


def _form(body: Mapping[str, Any] | None, files: Sequence[Packed]) -> aiohttp.FormData:
    """JSON and files in one request (Discord's documentation, reference: uploading files)."""
    form = aiohttp.FormData(quote_fields=False)  # quoted brackets in names are not understood
    form.add_field(
        "payload_json", json.dumps(body, ensure_ascii=False), content_type="application/json"
    )
    for n, one in enumerate(files):
        form.add_field(
            f"files[{n}]",
            io.BytesIO(one.data or b""),
            filename=one.filename,
            content_type="application/octet-stream",
        )
    return form


async def _told(response: aiohttp.ClientResponse) -> Any:
    """The answer's JSON; its text where it is none (a proxy on the way speaks HTML)."""
    text = await response.text(encoding="utf-8", errors="replace")
    if response.content_type != "application/json":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refusal(response: aiohttp.ClientResponse, told: Any) -> Exception:
    """What discord.py would raise."""
    if response.status == 429:
        return discord.RateLimited(_retry_after_s(response.headers, told))
    kinds = {403: discord.Forbidden, 404: discord.NotFound}
    kind = discord.DiscordServerError if response.status >= 500 else discord.HTTPException
    return kinds.get(response.status, kind)(response, told)


def _retry_after_s(headers: Mapping[str, str], told: Any) -> float:
    """How long to wait after a 429: the body is exact, the header in whole seconds."""
    exact = told.get("retry_after") if isinstance(told, dict) else None
    return max(_number(exact), _number(headers.get("Retry-After")) if exact is None else 0.0, 0.05)


def _number(value: Any) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        return 1.0
