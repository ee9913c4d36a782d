"""Which names the studio answers to, and which pages may post to it.

A page of another site can make a browser send requests here. Its name in DNS can even be pointed at
this machine (DNS rebinding), so that it seems to be the same site: then only the Host header
gives it away. Used by `guard`.
"""

from __future__ import annotations

import ipaddress

from aiohttp import hdrs, web
from yarl import URL


class Hosts:
    """`bind` is where the server listens (`host:port`), `public_url` what a proxy calls it."""

    def __init__(self, bind: str, public_url: str) -> None:
        address = URL(f"http://{bind}")
        self._public = URL(public_url) if public_url else None
        self._names = {"localhost", address.host, self._public.host if self._public else None}
        self._loopback_only = _is_loopback(address.host or "")
        shown = "127.0.0.1" if address.host in {"0.0.0.0", "::"} else address.host  # noqa: S104
        self.url = (
            self._public.with_path("/").with_query(None)
            if self._public
            else URL.build(scheme="http", host=shown or "127.0.0.1", port=address.port, path="/")
        )

    def answers_to(self, request: web.Request) -> bool:
        """Whether the Host header names this studio.

        Bare addresses are fine where the host opened the studio to a network: rebinding needs a
        name. A studio on loopback answers to loopback addresses only."""
        host = _host_of(request)
        if host in self._names:
            return host is not None
        try:
            address = ipaddress.ip_address(host or "")
        except ValueError:
            return False
        return address.is_loopback or not self._loopback_only

    def same_site(self, request: web.Request) -> bool:
        """Whether a changing request comes from a page of ours: by `Origin`, which every browser
        sends with a POST, or, without one, by `Sec-Fetch-Site`. Neither is an answer too: no."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return request.headers.get("Sec-Fetch-Site") == "same-origin"
        try:
            given = URL(origin).origin()
        except ValueError:
            return False
        if self._public is not None and given == self._public.origin():
            return True
        return given.authority == URL(f"{given.scheme}://{request.host}").authority

    def secure(self, request: web.Request) -> bool:
        """Whether the browser came by HTTPS (through the proxy that `public_url` speaks of)."""
        return (
            self._public is not None
            and self._public.scheme == "https"
            and _host_of(request) == self._public.host
        )

    def address_of(self, request: web.Request) -> str:
        """The visitor's network address. A proxy's word counts only if it is on this machine and
        the host said that there is one; the last entry is the one the proxy itself added."""
        remote = request.remote or ""
        forwarded = request.headers.get("X-Forwarded-For", "")
        if self._public is not None and forwarded and _is_loopback(remote):
            return forwarded.rsplit(",", 1)[-1].strip()[:100]
        return remote


def _host_of(request: web.Request) -> str | None:
    try:
        return URL(f"http://{request.host}").host
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
