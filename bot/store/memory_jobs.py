"""The port `JobStore` in memory: the same answers as SQL by looking at every job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.core.domain import Artifact, Delivery, DeliveryState, Job, JobState
from bot.core.ports import Standing
from bot.store.memory_tables import Version
from bot.store.rows import ERASED, search_text


class MemoryJobs:
    """Jobs of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def add(self, job: Job, delivery: Delivery) -> bool:
        """Insert both, or return False where a job with this origin_key exists already."""
        if job.origin_key in self._version.tables.origin_keys:
            self._version.check_writable()
            return False
        self._version.change("origin_keys")[job.origin_key] = job.id
        self._version.change("jobs")[job.id] = job
        self._version.change("deliveries")[job.id] = delivery
        return True

    async def get(self, job_id: str) -> Job | None:
        """A job that was not erased."""
        tables = self._version.tables
        return None if job_id in tables.erased else tables.jobs.get(job_id)

    async def get_many(self, job_ids: Sequence[str]) -> list[Job]:
        """Those of the jobs that exist and were not erased."""
        found = [await self.get(job_id) for job_id in dict.fromkeys(job_ids)]
        return [job for job in found if job is not None]

    async def by_origin_key(self, origin_key: str) -> Job | None:
        """The job an event made, erased ones included."""
        tables = self._version.tables
        job_id = tables.origin_keys.get(origin_key)
        return None if job_id is None else tables.jobs[job_id]

    async def standing(self, account_id: str, community_id: str) -> Standing:
        """Where a member stands."""
        mine = [
            job
            for job in self._all()
            if (job.account_id, job.community_id) == (account_id, community_id)
        ]
        tags = (job.finish_tag for job in mine if job.state is not JobState.CANCELLED)
        return Standing(
            waiting=sum(job.state is JobState.QUEUED for job in mine),
            running=sum(job.state in {JobState.SENT, JobState.RUNNING} for job in mine),
            last_finish_tag=max(tags, default=0.0),
            virtual_time=self._version.tables.virtual_time,
        )

    async def fair_head(self, limit: int, *, skip: Sequence[tuple[str, str]] = ()) -> list[Job]:
        """The first queued jobs in the fair order, without those of the skipped members."""
        skipped = set(skip)
        waiting = (
            job for job in self._queued() if (job.account_id, job.community_id) not in skipped
        )
        return sorted(waiting, key=_order)[:limit]

    async def waiting_before(self, job: Job) -> int:
        """How many queued jobs come before this one."""
        return sum(_order(other) < _order(job) for other in self._queued())

    async def queued_count(self) -> int:
        """How many jobs wait in all."""
        return sum(1 for _ in self._queued())

    async def in_flight(self) -> list[Job]:
        """All jobs that are sent or running."""
        return [job for job in self._all() if job.state in {JobState.SENT, JobState.RUNNING}]

    async def live_of(self, account_id: str, community_id: str | None = None) -> list[Job]:
        """An account's live jobs, oldest first; in one community if one is named."""
        live = (
            job
            for job in self._all()
            if not job.state.ended
            and job.account_id == account_id
            and community_id in {None, job.community_id}
        )
        return sorted(live, key=lambda job: (job.created_at, job.id))

    async def move(
        self,
        job_id: str,
        to: JobState,
        *,
        only_from: Sequence[JobState],
        values: Mapping[str, Any] | None = None,
    ) -> bool:
        """Compare and set; returns whether it did."""
        self._version.check_writable()
        job = self._version.tables.jobs.get(job_id)
        if job is None or job.state not in only_from:
            return False
        self._put(job, {**(values or {}), "state": to})
        return True

    async def request_cancel(self, job_id: str, at: datetime) -> None:
        """When the cancel of a live job was asked for; the first time counts."""
        job = self._version.tables.jobs.get(job_id)
        live = job is not None and not job.state.ended and job.cancel_requested_at is None
        self._put(job if live else None, {"cancel_requested_at": at})

    async def set_strikes(self, job_id: str, strikes: int) -> None:
        """How often the job has taken a worker down."""
        self._put(self._version.tables.jobs.get(job_id), {"strikes": strikes})

    async def set_favorite(self, job_id: str, favorite: bool) -> None:
        """Mark or unmark."""
        self._put(self._version.tables.jobs.get(job_id), {"favorite": favorite})

    async def history(
        self,
        account_id: str,
        community_ids: Sequence[str] | None,
        *,
        limit: int,
        before: tuple[datetime, str] | None = None,
        favorites: bool = False,
        search: str = "",
    ) -> list[Job]:
        """Ended jobs by (created_at, id), newest first; `before` is the last one seen."""
        tables = self._version.tables
        found = [
            job
            for job in self._all()
            if job.account_id == account_id
            and job.finished_at is not None
            and job.id not in tables.erased
            and (community_ids is None or job.community_id in community_ids)
            and (before is None or (job.created_at, job.id) < before)
            and (job.favorite or not favorites)
            and search.casefold() in search_text(job.params)
        ]
        return sorted(found, key=lambda job: (job.created_at, job.id), reverse=True)[:limit]

    async def erase(self, job_id: str) -> list[Artifact]:
        """Erase the content and hide the job; see the SQL twin."""
        self._version.check_writable()
        job = await self.get(job_id)
        if job is None:
            return []
        artifacts = self._version.change("artifacts")
        gone = [artifact for artifact in artifacts.values() if artifact.job_id == job_id]
        for artifact in gone:
            del artifacts[artifact.id]
        self._put(job, ERASED)
        self._version.change("erased")[job_id] = None
        deliveries = self._version.change("deliveries")
        delivery = deliveries[job_id]
        delivered = delivery.state is DeliveryState.DELIVERED
        deliveries[job_id] = replace(
            delivery, address={}, state=delivery.state if delivered else DeliveryState.GONE
        )
        kept = {other.key for other in artifacts.values() if other.account_id == job.account_id}
        for live in await self.live_of(job.account_id):
            kept.update(ref.key for ref in live.inputs.values())
        return [artifact for artifact in gone if artifact.key not in kept]

    async def to_erase(
        self,
        before: datetime,
        *,
        community_ids: Sequence[str] | None,
        excluding: Sequence[str] = (),
        favorites: bool,
        limit: int,
    ) -> list[str]:
        """Ids of ended jobs that nothing keeps any more, the oldest first."""
        found = [
            (job.finished_at, job.id)
            for job in self._all()
            if job.finished_at is not None
            and job.finished_at < before
            and job.id not in self._version.tables.erased
            and (favorites or not job.favorite)
            and (
                job.community_id not in excluding
                if community_ids is None
                else job.community_id in community_ids
            )
        ]
        return [job_id for _, job_id in sorted(found)][:limit]

    async def recent_gpu_ms_per_item(
        self, model: str, command: str, *, limit: int = 50
    ) -> list[float]:
        """Measured cost per item of the latest done jobs of a command by a model, newest first."""
        wanted = (model, command)
        done = [job for job in self._done() if (job.model, job.command) == wanted][:limit]
        return [job.gpu_ms / job.count for job in done if job.gpu_ms is not None]

    async def recent_finish_times(self, *, limit: int = 50) -> list[datetime]:
        """When the latest jobs were done, newest first."""
        return [job.finished_at for job in self._done()[:limit] if job.finished_at is not None]

    def _all(self) -> Iterator[Job]:
        return iter(self._version.tables.jobs.values())

    def _queued(self) -> Iterator[Job]:
        return (job for job in self._all() if job.state is JobState.QUEUED)

    def _done(self) -> list[Job]:
        done = (job for job in self._all() if job.state is JobState.DONE and job.finished_at)
        return sorted(done, key=lambda job: str(job.finished_at), reverse=True)

    def _put(self, job: Job | None, values: Mapping[str, Any]) -> None:
        jobs = self._version.change("jobs")
        if job is not None:
            jobs[job.id] = replace(job, **values)


def _order(job: Job) -> tuple[float, datetime, str]:
    return (job.start_tag, job.created_at, job.id)
