"""Where an answer has to go on Discord: stored with the delivery, read again by the courier.

Written by `reading` from an interaction, in JSON values only, so that it survives a restart in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Final

TOKEN_LIFE: Final = timedelta(minutes=15)
"""How long an interaction's token may be used, from the moment it was issued."""


@dataclass(frozen=True, slots=True)
class Address:
    """The interaction that is to be answered, and where to turn once its token is dead.

    `token` is good for this one conversation and for `TOKEN_LIFE` only. `issued_at` is ISO 8601 in
    UTC, from the interaction's own id. `identity` is the member's user id. `limit_bytes` is what
    one file of an answer may weigh there. `ephemeral`: the member asked for an answer to them
    alone; a reply may be so for other reasons too.
    """

    application_id: str
    token: str = field(repr=False)  # as good as a password while it lives
    issued_at: str
    channel_id: str
    guild_id: str | None
    identity: str
    limit_bytes: int
    ephemeral: bool
    locale: str

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Address:
        """As it was stored. Raises KeyError where a part is missing; unknown ones, which a later
        version may have written, are left out."""
        return cls(**{one.name: data[one.name] for one in fields(cls)})

    def expires_at(self) -> datetime:
        """When the token dies, aware."""
        return datetime.fromisoformat(self.issued_at) + TOKEN_LIFE

    def lives(self, now: datetime, *, margin: timedelta = timedelta(0)) -> bool:
        """Whether the token may be used at `now`, with `margin` to spare for the request itself."""
        return now + margin < self.expires_at()
