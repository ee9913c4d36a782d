"""One's past jobs: pages, favourites, deletion."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.core.chat import Origin
from bot.core.domain import Artifact, Job
from bot.core.house import AuditEntry
from bot.core.i18n import replies
from bot.core.ports import UnitOfWork, UnitOfWorkFactory
from bot.core.storable import is_storable
from bot.errors import NotAllowed
from bot.services.access import job_to_end, may_be_listed, owns, visible_job
from bot.services.erasing import Eraser
from bot.services.transactions import repeated
from bot.services.withdrawal import Withdrawal
from generators.artifacts import ArtifactStore

MAX_PAGE = 1000
MAX_SEARCH_CHARACTERS = 200

Cursor = tuple[datetime, str]
"""The `created_at` and id of the last job seen."""


class HistoryService:
    """What a member made before."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        artifacts: ArtifactStore,
        withdrawal: Withdrawal | None = None,
    ) -> None:
        """`withdrawal` takes answers back from chats; None where there are none."""
        self._uow, self._eraser = uow, Eraser(uow, artifacts)
        self._withdrawal = withdrawal

    async def page(
        self,
        origin: Origin,
        *,
        limit: int,
        before: Cursor | None = None,
        favorites: bool = False,
        search: str = "",
    ) -> list[tuple[Job, tuple[Artifact, ...]]]:
        """Ended jobs, newest first, with their artifacts; `search` is text that occurs in the
        prompt, upper and lower case alike. In a community only what was made there, elsewhere
        everything of the account's."""
        if not is_storable(search):
            return []
        async with self._uow(write=False) as uow:
            member = await uow.accounts.find(origin)
            place = may_be_listed(origin, member)
            jobs = await uow.jobs.history(
                member.account_id,
                None if place is None else [place],
                limit=min(max(limit, 0), MAX_PAGE),
                before=before,
                favorites=favorites,
                search=search[:MAX_SEARCH_CHARACTERS],
            )
            artifacts = await uow.artifacts.of_jobs([job.id for job in jobs])
        return [(job, artifacts[job.id]) for job in jobs]

    async def set_favorite(self, origin: Origin, job_id: str, on: bool | None) -> bool:
        """Mark one's own job, unmark it, or with None the other of the two; returns what it is now.
        Raises NotFound or NotAllowed."""

        async def once() -> bool:
            async with self._uow() as uow:
                job, member = await visible_job(uow, origin, job_id)
                if not owns(member, job):
                    raise NotAllowed(replies.NOT_YOURS.en, replies.NOT_YOURS.zh)
                favorite = not job.favorite if on is None else on
                await uow.jobs.set_favorite(job_id, favorite)
                await uow.commit()
                return favorite

        return await repeated(once)

    async def delete(self, origin: Origin, job_id: str) -> None:
        """Erase a job's content and its media for good, and take its answer back from the chat;
        its owner or a moderator may. The ledger keeps what it cost. Raises NotFound, or NotAllowed
        for who may not, before it has ended, and while the answer cannot be removed."""
        async with self._uow(write=False) as uow:
            await _job_to_delete(uow, origin, job_id)
        if self._withdrawal is not None:
            await self._withdrawal.take_back(job_id, asked_on=origin.platform)

        async def once() -> list[Artifact]:
            async with self._uow() as uow:
                job = await _job_to_delete(uow, origin, job_id)
                gone = await uow.jobs.erase(job_id)
                await _audit_deletion(uow, origin, job)
                await uow.commit()
                return gone

        await self._eraser.forget(await repeated(once))


async def _job_to_delete(uow: UnitOfWork, origin: Origin, job_id: str) -> Job:
    job = await job_to_end(uow, origin, job_id)
    if not job.state.ended:
        raise NotAllowed(
            "This job has not ended yet. /cancel it first.",
            "这个任务还没有结束，请先用 /cancel 取消。",
        )
    return job


async def _audit_deletion(uow: UnitOfWork, origin: Origin, job: Job) -> None:
    """Write down that a moderator deleted what is not theirs."""
    now = datetime.now(UTC)  # as the audit of settings has it: the real time, whoever tests
    if owns(await uow.accounts.find(origin), job):
        return
    member = await uow.accounts.resolve(origin, now=now)
    await uow.audit.write(
        AuditEntry(now, member.account_id, job.community_id, "delete", subject=job.id)
    )
