"""A job from admission to its end, and reading it back: what commands, platforms and the dispatcher
use. Each method is one use case; what changes something is one transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from bot.core.chat import Invocation, JobTicket, Origin
from bot.core.domain import Artifact, DeliveryState, Job, JobState
from bot.core.ports import Clock, UnitOfWork, UnitOfWorkFactory
from bot.core.storable import storable, storable_text
from bot.errors import NotFound
from bot.services.access import (
    job_to_end,
    may_be_listed,
    may_see,
    not_found,
    owns,
    visible_job,
)
from bot.services.admission import Admission, JobDraft
from bot.services.inputs import Inputs
from bot.services.models import ModelOffers
from bot.services.moderation import ModerationService
from bot.services.places import Places
from bot.services.quota import QuotaService
from bot.services.rule_book import RuleBook
from bot.services.transactions import repeated
from generators.artifacts import ArtifactStore
from generators.engine.port import EngineResult

__all__ = ["JobDraft", "JobService"]

LIVE = (JobState.QUEUED, JobState.SENT, JobState.RUNNING)


class JobService:
    """Admits, ends and shows jobs.

    `on_admitted` wakes the dispatcher, `on_ended` the delivery (for jobs that end here, in
    `cancel`; who calls `complete` wakes it), `stop` asks the engine to stop a job that was sent.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        models: ModelOffers,
        quota: QuotaService,
        moderation: ModerationService,
        artifacts: ArtifactStore,
        rules: RuleBook,
        *,
        on_admitted: Callable[[], None],
        on_ended: Callable[[str], None],
        stop: Callable[[str], Awaitable[None]],
    ) -> None:
        self._uow, self._clock = uow, clock
        self._quota, self._artifacts = quota, artifacts
        inputs = Inputs(uow, artifacts, clock)
        self._admission = Admission(uow, clock, models, quota, moderation, inputs, rules)
        self._on_admitted, self._on_ended, self._stop = on_admitted, on_ended, stop

    async def admit(self, invocation: Invocation, draft: JobDraft) -> JobTicket:
        """Queue the work; when this returns it is safe on disk. The same invocation again gives the
        same ticket and has no second effect. Raises UserError for the member's mistakes."""
        job = await self._admission.admit(invocation, draft)
        self._on_admitted()
        position, eta_s = await self.place(job)
        return JobTicket(job.id, position, eta_s, private=job.private)

    async def cancel(self, origin: Origin, job_id: str | None) -> Job:
        """Cancel a job, None for the member's latest live one; returns it as it then is. One that
        waits is cancelled here and now; one that was sent is stopped by the engine, whose result
        ends it. Raises NotFound or NotAllowed."""
        async with self._uow(write=False) as uow:
            job = await self._to_cancel(uow, origin, job_id)
        job = await self._cancel(job)
        if job.state.ended and job.state is not JobState.CANCELLED:
            raise NotFound("That job has ended already.", "那个任务已经结束了。")
        return job

    async def cancel_all(self, account_id: str, community_id: str) -> int:
        """Cancel whatever of an account's has not ended in a community, in the empty one everywhere
        in the studio; returns how many jobs. Who may is the caller's to check."""
        async with self._uow(write=False) as uow:
            live = await uow.jobs.live_of(account_id, community_id or None)
        for job in live:
            await self._cancel(job)
        return len(live)

    async def _cancel(self, job: Job) -> Job:
        """Cancel a job that waits, have one stopped that was sent; returns it as it then is."""
        if job.state is JobState.QUEUED:
            cancelled = EngineResult(job_id=job.id, state="cancelled")
            if await repeated(lambda: self._end(cancelled, only_from=(JobState.QUEUED,))):
                self._on_ended(job.id)
            async with self._uow(write=False) as uow:
                job = await uow.jobs.get(job.id) or job
        if not job.state.ended:
            await self._request_cancel(job.id)
            await self._stop(job.id)
        return job

    async def complete(self, result: EngineResult) -> bool:
        """End a job as its worker says, in one transaction: state, artifacts, receipt, ledger, and
        an answer to deliver. The first result wins: False where the job had ended or is unknown."""
        return await repeated(lambda: self._end(result, only_from=LIVE))

    async def for_member(self, origin: Origin, job_id: str) -> tuple[Job, tuple[Artifact, ...]]:
        """A job and its artifacts, grid and items in order. Raises NotFound unless the member may
        see it."""
        async with self._uow(write=False) as uow:
            job, _ = await visible_job(uow, origin, job_id)
            return job, (await uow.artifacts.of_jobs([job.id]))[job.id]

    async def owns(self, origin: Origin, job: Job) -> bool:
        """Whether the job is the member's own."""
        async with self._uow(write=False) as uow:
            return owns(await uow.accounts.find(origin), job)

    async def place(self, job: Job) -> tuple[int, float | None]:
        """Position in line (1 is next, 0 once it was sent) and seconds until the result, None where
        nothing is known yet."""
        async with self._uow(write=False) as uow:
            return await Places(uow, self._clock).of(job)

    async def live(self, origin: Origin) -> list[tuple[Job, int, float | None]]:
        """The member's jobs that have not ended, oldest first, each with its place: those of this
        community, or of all where nobody else reads along."""
        async with self._uow(write=False) as uow:
            places = Places(uow, self._clock)
            return [(job, *await places.of(job)) for job in await _live_of(uow, origin)]

    async def artifact_for(self, origin: Origin, artifact_id: str) -> tuple[Artifact, bytes]:
        """An artifact and its bytes. Raises NotFound unless the member may see its job, and
        ArtifactMissing where the bytes are gone from the store."""
        async with self._uow(write=False) as uow:
            artifact = await uow.artifacts.get(artifact_id)
            job = None if artifact is None else await uow.jobs.get(artifact.job_id)
            member = await uow.accounts.find(origin)
        if artifact is None or job is None or not may_see(origin, member, job):
            raise not_found()
        return artifact, await self._artifacts.get(artifact.key)

    async def _request_cancel(self, job_id: str) -> None:
        """Write it down, so that a gateway that starts anew asks again."""

        async def once() -> None:
            async with self._uow() as uow:
                await uow.jobs.request_cancel(job_id, self._clock())
                await uow.commit()

        await repeated(once)

    async def _to_cancel(self, uow: UnitOfWork, origin: Origin, job_id: str | None) -> Job:
        if job_id is not None:
            return await job_to_end(uow, origin, job_id)
        live = await _live_of(uow, origin)
        if not live:
            raise NotFound("You have no job waiting or running.", "你没有正在排队或运行的任务。")
        return live[-1]

    async def _end(self, result: EngineResult, *, only_from: tuple[JobState, ...]) -> bool:
        now, state = self._clock(), JobState(result.state)
        gpu_ms = max(0, result.gpu_ms)
        values: dict[str, Any] = {
            "finished_at": now,
            "gpu_ms": gpu_ms,
            "error": None if result.error is None else storable_text(result.error),
            "error_zh": None if result.error_zh is None else storable_text(result.error_zh),
            "receipt": storable(result.receipt),
        }
        async with self._uow() as uow:
            job = await uow.jobs.get(result.job_id)
            if job is None or not await uow.jobs.move(
                job.id, state, only_from=only_from, values=values
            ):
                return False
            if state is JobState.DONE:
                await uow.artifacts.add(_artifacts(job, result))
            await self._quota.close(uow, job, state, gpu_ms)
            await uow.deliveries.move(
                job.id,
                DeliveryState.PENDING,
                only_from=(DeliveryState.WAITING,),
                values={"next_attempt_at": now},
            )
            await uow.commit()
        return True


async def _live_of(uow: UnitOfWork, origin: Origin) -> list[Job]:
    member = await uow.accounts.find(origin)
    return await uow.jobs.live_of(member.account_id, may_be_listed(origin, member))


def _artifacts(job: Job, result: EngineResult) -> list[Artifact]:
    return [
        Artifact.of(job, ref, id=uuid4().hex, position=position)
        for position, ref in enumerate(result.artifacts)
    ]
