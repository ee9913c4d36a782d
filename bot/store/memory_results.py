"""The ports `ArtifactRows`, `DeliveryStore` and `Ledger` in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bot.core.domain import Artifact, Delivery, DeliveryState, LedgerEntry, Usage
from bot.store.memory_tables import Version

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class MemoryArtifacts:
    """Artifact rows of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def add(self, artifacts: Sequence[Artifact]) -> None:
        """Insert; ids are fresh."""
        self._version.change("artifacts").update({one.id: one for one in artifacts})

    async def get(self, artifact_id: str) -> Artifact | None:
        """One by its id."""
        return self._version.tables.artifacts.get(artifact_id)

    async def held(self, account_id: str, keys: Sequence[str]) -> set[str]:
        """Those of the keys under which an account's artifacts lie."""
        mine = self._version.tables.artifacts.values()
        return {one.key for one in mine if one.account_id == account_id and one.key in keys}

    async def of_jobs(self, job_ids: Sequence[str]) -> dict[str, tuple[Artifact, ...]]:
        """The artifacts of each job, in order; jobs without any get an empty tuple."""
        found: dict[str, list[Artifact]] = {job_id: [] for job_id in job_ids}
        for artifact in self._version.tables.artifacts.values():
            if artifact.job_id in found:
                found[artifact.job_id].append(artifact)
        return {
            job_id: tuple(sorted(artifacts, key=lambda artifact: artifact.position))
            for job_id, artifacts in found.items()
        }


class MemoryDeliveries:
    """The outbox of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def get(self, job_id: str) -> Delivery | None:
        """The delivery of a job."""
        return self._version.tables.deliveries.get(job_id)

    async def due(self, now: datetime, *, limit: int) -> list[Delivery]:
        """Pending and sending ones whose next attempt is due, oldest first."""
        due = [
            delivery
            for delivery in self._version.tables.deliveries.values()
            if delivery.state in {DeliveryState.PENDING, DeliveryState.SENDING}
            and (delivery.next_attempt_at or _LONG_AGO) <= now
        ]
        return sorted(due, key=lambda delivery: delivery.next_attempt_at or _LONG_AGO)[:limit]

    async def move(
        self,
        job_id: str,
        to: DeliveryState,
        *,
        only_from: Sequence[DeliveryState],
        values: Mapping[str, Any] | None = None,
    ) -> bool:
        """Compare and set; returns whether it did."""
        self._version.check_writable()
        delivery = self._version.tables.deliveries.get(job_id)
        if delivery is None or delivery.state not in only_from:
            return False
        changed = replace(delivery, **{**(values or {}), "state": to})
        self._version.change("deliveries")[job_id] = changed
        return True

    async def set_address(self, job_id: str, address: Mapping[str, Any]) -> None:
        """Record where the waiting message is."""
        deliveries = self._version.change("deliveries")
        if job_id in deliveries:
            deliveries[job_id] = replace(deliveries[job_id], address=dict(address))


class MemoryLedger:
    """The ledger of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def post(self, entry: LedgerEntry) -> bool:
        """Append, or return False where this event was posted already."""
        entries = self._version.change("ledger")
        if entry.event_id in entries:
            return False
        entries[entry.event_id] = entry
        return True

    async def usage(self, account_id: str, community_id: str, *, since: datetime) -> Usage:
        """Sums over the postings counted after `since`."""
        counted = [
            entry
            for entry in self._version.tables.ledger.values()
            if entry.community_id == community_id and entry.counted_at > since
        ]
        own = [entry for entry in counted if entry.account_id == account_id]
        per_job: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
        for entry in own:
            per_job[entry.job_id].append(entry)
        still_counted = [
            min(entry.counted_at for entry in entries)
            for entries in per_job.values()
            if sum(entry.gpu_ms for entry in entries) or sum(entry.jobs for entry in entries)
        ]
        return Usage(
            gpu_ms=sum(entry.gpu_ms for entry in own),
            jobs=sum(entry.jobs for entry in own),
            community_gpu_ms=sum(entry.gpu_ms for entry in counted),
            oldest_counted_at=min(still_counted, default=None),
        )

    async def of_job(self, job_id: str) -> list[LedgerEntry]:
        """A job's postings: the reservation, and how it ended."""
        found = [entry for entry in self._version.tables.ledger.values() if entry.job_id == job_id]
        return sorted(found, key=lambda entry: entry.jobs, reverse=True)
