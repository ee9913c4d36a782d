"""The ports behind the rules of the house in memory: communities, measures, cases, audit log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.core.house import AuditEntry, Block, Case, CaseState, Community, Grant, Measures
from bot.store.memory_tables import Version


class MemoryCommunities:
    """Communities of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def get(self, community_id: str) -> Community | None:
        """One by its id."""
        return self._version.tables.communities.get(community_id)

    async def here(self, platform: str) -> list[Community]:
        """The platform's communities that were not left."""
        return [
            one
            for one in self._version.tables.communities.values()
            if one.platform == platform and one.left_at is None and not one.personal
        ]

    async def set_left(
        self, platform: str, external_ids: Sequence[str], at: datetime | None
    ) -> int:
        """Start or stop the clock."""
        communities = self._version.change("communities")
        changing = [
            one
            for one in communities.values()
            if one.platform == platform
            and one.external_id in external_ids
            and not one.personal
            and (one.left_at is None) == (at is not None)
        ]
        for one in changing:
            communities[one.id] = replace(one, left_at=at)
        return len(changing)

    async def left_before(self, at: datetime, *, limit: int) -> list[Community]:
        """Those left longest ago, first."""
        gone = [
            (one.left_at, one)
            for one in self._version.tables.communities.values()
            if one.left_at is not None and one.left_at < at
        ]
        return [one for _, one in sorted(gone, key=lambda pair: pair[0])][:limit]

    async def forget(self, community_id: str, *, at: datetime) -> None:
        """Erase what is the community's own and stop the clock."""
        self._drop("settings", lambda key, _: key[0] == community_id)
        self._drop("blocks", lambda key, _: key[0] == community_id)
        self._drop("grants", lambda _, grant: grant.community_id == community_id)
        cases = self._version.change("cases")
        for case in [one for one in cases.values() if one.community_id == community_id]:
            shut = {"state": CaseState.DISMISSED, "resolution": "forgotten", "closed_at": at}
            closing = shut if case.state is CaseState.OPEN else {}
            cases[case.id] = replace(case, reason="", **closing)
        communities = self._version.change("communities")
        if community_id in communities:
            communities[community_id] = replace(communities[community_id], name="", left_at=None)

    def _drop(self, table: str, gone: Callable[[Any, Any], bool]) -> None:
        rows = self._version.change(table)
        for key in [key for key, row in rows.items() if gone(key, row)]:
            del rows[key]


class MemoryMeasures:
    """Blocks and grants of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def of(self, account_id: str, community_id: str, *, now: datetime) -> Measures:
        """What holds for a member."""
        found = [self._version.tables.blocks.get((at, account_id)) for at in (community_id, "")]
        granted = sum(
            grant.gpu_ms
            for grant in self._version.tables.grants.values()
            if (grant.account_id, grant.community_id) == (account_id, community_id)
            and grant.expires_at > now
        )
        return Measures(tuple(one for one in found if one and _in_force(one, now)), granted)

    async def block(self, block: Block) -> None:
        """Put in force, in place of an earlier one."""
        self._version.change("blocks")[block.community_id, block.account_id] = block

    async def unblock(self, account_id: str, community_id: str) -> bool:
        """Take back; False where there was none."""
        return self._version.change("blocks").pop((community_id, account_id), None) is not None

    async def blocked(self, community_id: str, *, now: datetime, limit: int) -> list[Block]:
        """Whom the community blocks, the latest first."""
        found = [
            one
            for one in self._version.tables.blocks.values()
            if one.community_id == community_id and _in_force(one, now)
        ]
        return sorted(found, key=lambda one: one.blocked_at, reverse=True)[:limit]

    async def grant(self, grant: Grant) -> bool:
        """Add once."""
        grants = self._version.change("grants")
        return grants.setdefault(grant.id, grant) is grant


class MemoryCases:
    """Cases of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def add(self, case: Case) -> bool:
        """Open, once for each reporter and job."""
        cases = self._version.change("cases")
        reported = (case.reporter_account_id, case.job_id)
        if any((one.reporter_account_id, one.job_id) == reported for one in cases.values()):
            return False
        cases[case.id] = case
        return True

    async def get(self, case_id: str) -> Case | None:
        """One by its id."""
        return self._version.tables.cases.get(case_id)

    async def open_in(self, community_id: str | None, *, limit: int) -> list[Case]:
        """Open cases, the oldest first."""
        found = [one for one in self._open() if community_id in {None, one.community_id}]
        return sorted(found, key=lambda one: (one.opened_at, one.id))[:limit]

    async def open_by(self, reporter_account_id: str) -> int:
        """How many open cases somebody has reported."""
        return sum(one.reporter_account_id == reporter_account_id for one in self._open())

    async def due(self, now: datetime, *, limit: int) -> list[Case]:
        """Those to be posted, the longest due first."""
        due = [one for one in self._open() if one.posted_at is None and one.next_attempt_at <= now]
        return sorted(due, key=lambda one: (one.next_attempt_at, one.id))[:limit]

    async def posted(self, case_id: str, *, at: datetime, message_id: str) -> None:
        """The moderators' channel has it."""
        self._put(case_id, posted_at=at, message_id=message_id)

    async def put_off(self, case_id: str, *, until: datetime, attempts: int) -> None:
        """Try again then."""
        self._put(case_id, next_attempt_at=until, attempts=attempts)

    async def close(self, case_id: str, to: CaseState, *, resolution: str, at: datetime) -> bool:
        """Close an open case; False where it was closed already."""
        self._version.check_writable()
        case = self._version.tables.cases.get(case_id)
        if case is None or case.state is not CaseState.OPEN:
            return False
        self._put(case_id, state=to, resolution=resolution, closed_at=at)
        return True

    def _open(self) -> list[Case]:
        return [one for one in self._version.tables.cases.values() if one.state is CaseState.OPEN]

    def _put(self, case_id: str, **values: Any) -> None:
        cases = self._version.change("cases")
        if case_id in cases:
            cases[case_id] = replace(cases[case_id], **values)


class MemoryAuditLog:
    """The audit log of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def write(self, entry: AuditEntry) -> None:
        """Append."""
        log = self._version.change("audit_log")
        log[len(log)] = entry

    async def recent(self, community_id: str, *, limit: int) -> list[AuditEntry]:
        """The latest first."""
        log = self._version.tables.audit_log.values()
        return [entry for entry in reversed(log) if entry.community_id == community_id][:limit]


def _in_force(block: Block, now: datetime) -> bool:
    return block.until is None or block.until > now
