"""The stores behind the rules of the house: communities, measures on members, cases, the audit log.

Parts of a `ports.UnitOfWork`; what holds for all stores is said there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.core.house import AuditEntry, Block, Case, CaseState, Community, Grant, Measures


class CommunityStore(Protocol):
    async def get(self, community_id: str) -> Community | None: ...

    async def here(self, platform: str) -> list[Community]:
        """The platform's communities that the studio has not left, personal ones left out."""
        ...

    async def set_left(
        self, platform: str, external_ids: Sequence[str], at: datetime | None
    ) -> int:
        """Start the clock of those it does not run for, or with None stop it. Returns how many
        changed; communities the studio has not met are no error."""
        ...

    async def left_before(self, at: datetime, *, limit: int) -> list[Community]:
        """Communities left before this moment and not forgotten yet, the longest gone first."""
        ...

    async def forget(self, community_id: str, *, at: datetime) -> None:
        """Erase what is the community's own: its name, its settings, measures on members, the words
        of its cases, which are closed. The clock stops: nothing is left that it could run out
        for."""
        ...


class MeasureStore(Protocol):
    async def of(self, account_id: str, community_id: str, *, now: datetime) -> Measures:
        """What holds for a member: blocks of the community and of the whole studio, grants."""
        ...

    async def block(self, block: Block) -> None:
        """Put in force, in place of an earlier one."""
        ...

    async def unblock(self, account_id: str, community_id: str) -> bool:
        """Take back; False where there was none."""
        ...

    async def blocked(self, community_id: str, *, now: datetime, limit: int) -> list[Block]:
        """Whom the community blocks, the latest first."""
        ...

    async def grant(self, grant: Grant) -> bool:
        """Add, or return False where a grant of this id is there already."""
        ...


class CaseStore(Protocol):
    async def add(self, case: Case) -> bool:
        """Open, or return False where this reporter has reported this job already."""
        ...

    async def get(self, case_id: str) -> Case | None: ...

    async def open_in(self, community_id: str | None, *, limit: int) -> list[Case]:
        """Open cases, of all communities with None, the oldest first."""
        ...

    async def open_by(self, reporter_account_id: str) -> int:
        """How many open cases somebody has reported."""
        ...

    async def due(self, now: datetime, *, limit: int) -> list[Case]:
        """Open cases that no channel has, and whose next attempt is due, the longest due first."""
        ...

    async def posted(self, case_id: str, *, at: datetime, message_id: str) -> None:
        """The moderators' channel has it."""
        ...

    async def put_off(self, case_id: str, *, until: datetime, attempts: int) -> None: ...

    async def close(self, case_id: str, to: CaseState, *, resolution: str, at: datetime) -> bool:
        """Close an open case; False where it was closed already."""
        ...


class AuditLog(Protocol):
    async def write(self, entry: AuditEntry) -> None:
        """Append. Nothing is ever changed in it."""
        ...

    async def recent(self, community_id: str, *, limit: int) -> list[AuditEntry]:
        """The latest first."""
        ...
