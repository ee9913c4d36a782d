"""Jobs in SQL: written once at admission, moved from state to state, read back, erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from bot.core.domain import Artifact, Delivery, DeliveryState, Job, JobState
from bot.store.job_queue import JOBS, SqlJobQueue
from bot.store.rows import ERASED, artifact_from, delivery_row, job_from, job_row, job_values
from bot.store.schema import table_of
from bot.store.tables import DONE, IN_HISTORY, LIVE, ArtifactRow, DeliveryRow

_artifacts = table_of(ArtifactRow)
_deliveries = table_of(DeliveryRow)

_BY_IDS = sa.select(JOBS).where(
    JOBS.c.id.in_(sa.bindparam("ids", expanding=True)), JOBS.c.erased_at.is_(None)
)
_BY_ORIGIN = sa.select(JOBS).where(JOBS.c.origin_key == sa.bindparam("origin_key"))
_MOVE = sa.update(JOBS).where(
    JOBS.c.id == sa.bindparam("of_job"),
    JOBS.c.state.in_(sa.bindparam("only_from", expanding=True)),
)
_MOST = sa.bindparam("most", type_=sa.Integer)
_NEWEST = JOBS.c.finished_at.desc()
_COSTS = (
    sa.select(JOBS.c.gpu_ms, JOBS.c.count.label("items"))
    .where(DONE, JOBS.c.model == sa.bindparam("model"), JOBS.c.command == sa.bindparam("command"))
    .order_by(_NEWEST)
    .limit(_MOST)
)
_FINISHED = sa.select(JOBS.c.finished_at).where(DONE).order_by(_NEWEST).limit(_MOST)


class SqlJobs(SqlJobQueue):
    """The port `JobStore`."""

    async def add(self, job: Job, delivery: Delivery) -> bool:
        """Insert both, or return False where a job with this origin_key exists already."""
        if not await self._tx.add_new(JOBS, job_row(job)):
            return False
        await self._tx.add(_deliveries, delivery_row(delivery))
        return True

    async def get(self, job_id: str) -> Job | None:
        """A job that was not erased."""
        found = await self.get_many([job_id])
        return found[0] if found else None

    async def get_many(self, job_ids: Sequence[str]) -> list[Job]:
        """Those of the jobs that exist and were not erased, in no particular order."""
        if not job_ids:
            return []
        rows = await self._tx.all(_BY_IDS, ids=list(job_ids))
        return [job_from(row) for row in rows]

    async def by_origin_key(self, origin_key: str) -> Job | None:
        """The job an event made, erased ones included: their event must not make another."""
        row = await self._tx.one(_BY_ORIGIN, origin_key=origin_key)
        return None if row is None else job_from(row)

    async def move(
        self,
        job_id: str,
        to: JobState,
        *,
        only_from: Sequence[JobState],
        values: Mapping[str, Any] | None = None,
    ) -> bool:
        """Compare and set; returns whether it did."""
        changed = await self._tx.change(
            _MOVE,
            of_job=job_id,
            only_from=[str(state) for state in only_from],
            **job_values({**(values or {}), "state": to}),
        )
        return changed == 1

    async def request_cancel(self, job_id: str, at: datetime) -> None:
        """When the cancel of a live job was asked for; the first time counts."""
        await self._tx.change(
            sa.update(JOBS)
            .where(LIVE, JOBS.c.id == job_id, JOBS.c.cancel_requested_at.is_(None))
            .values(cancel_requested_at=at)
        )

    async def set_strikes(self, job_id: str, strikes: int) -> None:
        """How often the job has taken a worker down."""
        await self._tx.change(sa.update(JOBS).where(JOBS.c.id == job_id).values(strikes=strikes))

    async def set_favorite(self, job_id: str, favorite: bool) -> None:
        """Mark or unmark."""
        await self._tx.change(sa.update(JOBS).where(JOBS.c.id == job_id).values(favorite=favorite))

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
        query = sa.select(JOBS).where(IN_HISTORY, JOBS.c.account_id == account_id)
        if community_ids is not None:
            query = query.where(JOBS.c.community_id.in_(community_ids))
        if before is not None:
            last_seen = sa.tuple_(
                sa.literal(before[0], JOBS.c.created_at.type), sa.literal(before[1], JOBS.c.id.type)
            )
            query = query.where(sa.tuple_(JOBS.c.created_at, JOBS.c.id) < last_seen)
        if favorites:
            query = query.where(JOBS.c.favorite)
        if search:
            query = query.where(JOBS.c.search_text.contains(search.casefold(), autoescape=True))
        rows = await self._tx.all(
            query.order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc()).limit(limit)
        )
        return [job_from(row) for row in rows]

    async def erase(self, job_id: str) -> list[Artifact]:
        """Erase the content and hide the job. Of its artifacts those are returned whose bytes
        nothing else of this account shows or waits for."""
        self._tx.check_writable()
        job = await self.get(job_id)
        if job is None:
            return []
        of_job = _artifacts.c.job_id == job_id
        gone = [
            artifact_from(row) for row in await self._tx.all(sa.select(_artifacts).where(of_job))
        ]
        await self._tx.change(sa.delete(_artifacts).where(of_job))
        await self._tx.change(
            sa.update(JOBS)
            .where(JOBS.c.id == job_id)
            .values({**job_values(ERASED), "erased_at": datetime.now(UTC)})
        )
        await self._tx.change(
            sa.update(_deliveries)
            .where(_deliveries.c.job_id == job_id)
            .where(_deliveries.c.state != DeliveryState.DELIVERED.value)
            .values(state=DeliveryState.GONE.value)
        )
        await self._tx.change(
            sa.update(_deliveries).where(_deliveries.c.job_id == job_id).values(address={})
        )
        kept = await self._keys_in_use(job.account_id, [artifact.key for artifact in gone])
        return [artifact for artifact in gone if artifact.key not in kept]

    async def _keys_in_use(self, account_id: str, keys: Sequence[str]) -> set[str]:
        rows = await self._tx.all(
            sa.select(_artifacts.c.key).where(
                _artifacts.c.account_id == account_id, _artifacts.c.key.in_(keys)
            )
        )
        waiting = await self.live_of(account_id)
        return {row.key for row in rows} | {
            ref.key for job in waiting for ref in job.inputs.values()
        }

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
        query = to_erase_query(before, community_ids, excluding)
        if not favorites:
            query = query.where(sa.not_(JOBS.c.favorite))
        rows = await self._tx.all(query.limit(limit))
        return [row.id for row in rows]

    async def recent_gpu_ms_per_item(
        self, model: str, command: str, *, limit: int = 50
    ) -> list[float]:
        """Measured cost per item of the latest done jobs of a command by a model, newest first."""
        rows = await self._tx.all(_COSTS, model=model, command=command, most=limit)
        return [row.gpu_ms / row.items for row in rows if row.gpu_ms is not None]

    async def recent_finish_times(self, *, limit: int = 50) -> list[datetime]:
        """When the latest jobs were done, newest first."""
        rows = await self._tx.all(_FINISHED, most=limit)
        return [row.finished_at for row in rows]


def to_erase_query(
    before: datetime, community_ids: Sequence[str] | None, excluding: Sequence[str] = ()
) -> sa.Select[tuple[str]]:
    """What ended before this moment, the oldest first: of these communities, or of all but some."""
    query = sa.select(JOBS.c.id).where(IN_HISTORY, JOBS.c.finished_at < before)
    if community_ids is not None:
        query = query.where(JOBS.c.community_id.in_(list(community_ids)))
    elif excluding:
        query = query.where(JOBS.c.community_id.not_in(list(excluding)))
    return query.order_by(JOBS.c.finished_at, JOBS.c.id)
