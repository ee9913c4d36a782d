"""Who asks: a signed cookie names a guest; the owner link makes a guest the owner, for a while.

Nothing is kept on the server but the count of new guests per address: a visitor is what the cookie
says, signed with the studio's key. Used by `guard` (reads, makes) and `pages` (the owner link).
"""

from __future__ import annotations

import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from bot.core.chat import Origin, Role
from bot.core.ports import Clock
from bot.core.signing import Signer
from bot.errors import LANGUAGES, UserError

PURPOSE: Final = "web-visitor"
GUEST_FOR: Final = timedelta(days=400)  # the longest a browser keeps a cookie (RFC 6265bis)
OWNER_FOR: Final = timedelta(days=30)
RENEW_AFTER: Final = timedelta(days=1)
LANGUAGE_COOKIE: Final = "atelier-language"
THEME_COOKIE: Final = "atelier-theme"
THEMES: Final = ("light", "dark")

_IDENTITY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Visitor:
    """A visitor, as the cookie tells. `owner_until` is in the past or None for a guest."""

    identity: str
    issued_at: datetime
    owner_until: datetime | None = None
    owner: bool = False
    locale: str = "en"
    theme: str = ""

    def origin(self) -> Origin:
        """The visitor as commands know them: alone in a community of their own."""
        name = "Owner" if self.owner else f"Guest {self.identity[:4]}"
        return Origin(
            platform="web",
            community_external_id=self.identity,
            personal=True,
            identity_external_id=self.identity,
            display_name=name,
            role=Role.OWNER if self.owner else Role.MEMBER,
            locale=self.locale,
        )


class Visitors:
    """Reads and writes visitor cookies."""

    def __init__(self, signer: Signer, clock: Clock, *, locale: str) -> None:
        """`locale`: the language for browsers that name none of ours."""
        self._signer = signer
        self._clock = clock
        self._locale = locale
        # Browsers share cookies between ports of a host: two studios on one machine must not
        # overwrite each other's, so the name belongs to the key.
        self.cookie_name = "atelier-" + signer.sign("name", PURPOSE)[-8:]

    def new(self, cookies: Mapping[str, str], accept_language: str) -> Visitor:
        """A guest nobody has seen before."""
        visitor = Visitor(identity=secrets.token_hex(16), issued_at=self._clock())
        return self._personal(visitor, cookies, accept_language)

    def read(self, cookies: Mapping[str, str], accept_language: str) -> Visitor | None:
        """The visitor in the cookie, or None where there is none or it is forged or too old."""
        value = cookies.get(self.cookie_name, "")
        if not value or len(value) > 1000:
            return None
        now = self._clock()
        try:
            facts = json.loads(self._signer.unsign(value, PURPOSE, now=now))
            identity, issued_at = str(facts["id"]), _moment(facts["at"])
            owner_until = _moment(facts["owner_until"]) if "owner_until" in facts else None
        except (UserError, ValueError, TypeError, KeyError):
            return None
        if not _IDENTITY.fullmatch(identity):
            return None
        visitor = Visitor(
            identity=identity,
            issued_at=issued_at,
            owner_until=owner_until,
            owner=owner_until is not None and owner_until > now,
        )
        return self._personal(visitor, cookies, accept_language)

    def cookie_value(self, visitor: Visitor) -> str:
        """The cookie's value."""
        facts = {"id": visitor.identity, "at": int(visitor.issued_at.timestamp())}
        if visitor.owner and visitor.owner_until is not None:
            facts["owner_until"] = int(visitor.owner_until.timestamp())
        return self._signer.sign(
            json.dumps(facts), PURPOSE, expires_at=visitor.issued_at + GUEST_FOR
        )

    def due(self, visitor: Visitor) -> bool:
        """Whether the cookie should be written again, so that regular visitors never lose it."""
        return self._clock() - visitor.issued_at > RENEW_AFTER

    def renewed(self, visitor: Visitor) -> Visitor:
        """The same visitor with a young cookie."""
        return replace(visitor, issued_at=self._clock())

    def as_owner(self, visitor: Visitor) -> Visitor:
        """The same visitor, acting as the studio's owner for `OWNER_FOR`."""
        return replace(self.renewed(visitor), owner=True, owner_until=self._clock() + OWNER_FOR)

    def _personal(
        self, visitor: Visitor, cookies: Mapping[str, str], accept_language: str
    ) -> Visitor:
        chosen = cookies.get(LANGUAGE_COOKIE, "")
        theme = cookies.get(THEME_COOKIE, "")
        return replace(
            visitor,
            locale=chosen if chosen in LANGUAGES else best_language(accept_language, self._locale),
            theme=theme if theme in THEMES else "",
        )


class GuestLimiter:
    """How many new guests an address may bring: a token bucket for each, a bounded number kept."""

    MAX_ADDRESSES: Final = 10_000

    def __init__(self, per_hour: int, clock: Clock) -> None:
        self._per_hour = per_hour
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def admit(self, address: str) -> bool:
        """Count one more; False where the address has brought too many."""
        now = self._clock()
        left, since = self._buckets.pop(address, (float(self._per_hour), now))
        left = min(self._per_hour, left + (now - since).total_seconds() * self._per_hour / 3600)
        allowed = left >= 1
        self._buckets[address] = (left - 1 if allowed else left, now)
        if len(self._buckets) > self.MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return allowed


def best_language(accept_language: str, default: str) -> str:
    """The language of ours that the header ranks highest (RFC 9110, 12.5.4).

    >>> best_language("fr, zh-CN;q=0.8, en;q=0.5", "en")
    'zh'
    """
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language[:500].split(",")):
        tag, _, weight = part.partition(";q=")
        language = tag.strip().split("-")[0].lower()
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and quality > 0:
            ranked.append((-quality, place, language))
    return min(ranked)[2] if ranked else default


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
