"""Reports: a member opens a case on an answer, the community's moderators act on it or dismiss it.

A case is a row before anybody is told; `case_posting` brings it to the moderators' channel, and
`/cases` lists what is open. Every decision is audited. What moderators did is seen from the facts
(is the answer still there? is its maker blocked?), so that a button pressed twice, or on two
copies of a case, does no harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

from bot.core.chat import Origin, Role
from bot.core.domain import Job, Member
from bot.core.house import AuditEntry, Block, Case, CaseState, Community, Identity
from bot.core.ports import Clock, UnitOfWork, UnitOfWorkFactory
from bot.errors import NotAllowed, NotFound
from bot.services.access import not_found, owns, visible_job
from bot.services.erasing import Eraser
from bot.services.members import MemberService
from bot.services.rule_book import check_may_rule, ruled_place
from bot.services.transactions import repeated
from bot.services.withdrawal import Withdrawal

MAX_OPEN_BY_ONE: Final = 10
MAX_LISTED: Final = 20
_SAME_JOB: Final = 100  # open cases that are looked through for others on the same job

Act = Callable[[UnitOfWork, Member, Case], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with what one needs to decide. `job` is None once it was deleted, `block` where its
    maker may make things."""

    case: Case
    community: Community
    job: Job | None
    reporter: Identity | None
    subject: Identity | None
    block: Block | None


class CaseService:
    """Opens and closes cases."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        eraser: Eraser,
        members: MemberService,
        withdrawal: Withdrawal,
    ) -> None:
        """Set `on_opened` to be told of new cases."""
        self._uow, self._clock = uow, clock
        self._eraser, self._members, self._withdrawal = eraser, members, withdrawal
        self.on_opened: Callable[[], None] = lambda: None

    async def report(self, origin: Origin, job_id: str, reason: str) -> bool:
        """Open a case on somebody else's answer; False where the member had reported it already.
        Raises NotFound, NotAllowed."""

        async def once() -> bool:
            async with self._uow() as uow:
                now = self._clock()
                reporter = await uow.accounts.resolve(origin, now=now)
                job, _ = await visible_job(uow, origin, job_id)
                await self._check_report(uow, reporter, job)
                opened = await uow.cases.add(
                    Case(
                        id=uuid4().hex,
                        community_id=job.community_id,
                        reporter_account_id=reporter.account_id,
                        subject_account_id=job.account_id,
                        job_id=job.id,
                        reason=reason,
                        state=CaseState.OPEN,
                        opened_at=now,
                        next_attempt_at=now,
                    )
                )
                await uow.commit()
                return opened

        opened = await repeated(once)
        if opened:
            self.on_opened()
        return opened

    async def open(self, origin: Origin) -> list[CaseView]:
        """The open cases of the community, the oldest first; of all communities for the host.
        Raises NotAllowed for who is no moderator."""
        async with self._uow(write=False) as uow:
            member = await uow.accounts.find(origin)
            check_may_rule(origin)
            place = None if origin.personal else ruled_place(origin, member)
            cases = await uow.cases.open_in(place, limit=MAX_LISTED)
            return [await self._view(uow, case) for case in cases]

    async def view(self, case_id: str) -> CaseView:
        """One case, for whoever posts it. Raises NotFound."""
        async with self._uow(write=False) as uow:
            return await self._view(uow, await _case(uow, case_id))

    async def delete(self, origin: Origin, case_id: str) -> CaseView:
        """Take the reported answer back from where it is shown and erase it. Raises NotFound for
        who is no moderator of the case, NotAllowed where the answer cannot be removed yet."""
        async with self._uow(write=False) as uow:
            case = await _case(uow, case_id)
            _check_moderator(origin, await uow.accounts.find(origin), case)
            job = None if case.job_id is None else await uow.jobs.get(case.job_id)
        if job is not None and not job.state.ended:
            raise NotAllowed(
                "This job has not ended yet. /cancel it first.",
                "这个任务还没有结束，请先用 /cancel 取消。",
            )
        if job is not None:
            await self._withdrawal.take_back(job.id)
            await self._eraser.erase(job.id)
        return await self._decide(
            origin, case_id, CaseState.UPHELD, "deleted", done=job is not None
        )

    async def block(self, origin: Origin, case_id: str) -> CaseView:
        """Block the maker of the reported answer in its community. Raises NotFound, NotAllowed."""

        async def act(uow: UnitOfWork, moderator: Member, case: Case) -> None:
            await self._members.put_block(
                uow, moderator, case.subject_account_id, case.community_id, reason=case.reason
            )

        return await self._decide(origin, case_id, CaseState.UPHELD, "blocked", act=act)

    async def dismiss(self, origin: Origin, case_id: str) -> CaseView:
        """Nothing was wrong. Raises NotFound."""
        return await self._decide(origin, case_id, CaseState.DISMISSED, "dismissed")

    async def _decide(
        self,
        origin: Origin,
        case_id: str,
        state: CaseState,
        resolution: str,
        *,
        act: Act | None = None,
        done: bool = False,
    ) -> CaseView:
        """Close a case, and with `act` do more in the same transaction. Audited where that changes
        anything or something was `done` already."""

        async def once() -> CaseView:
            async with self._uow() as uow:
                now = self._clock()
                moderator = await uow.accounts.resolve(origin, now=now)
                case = await _case(uow, case_id)
                _check_moderator(origin, moderator, case)
                if act is not None:
                    await act(uow, moderator, case)
                alike = await _alike(uow, case) if state is CaseState.UPHELD else [case]
                closed = [
                    await uow.cases.close(one.id, state, resolution=resolution, at=now)
                    for one in alike
                ]
                if done or any(closed):
                    await uow.audit.write(_entry(moderator, case, resolution, now))
                view = await self._view(uow, await _case(uow, case_id))
                await uow.commit()
                return view

        return await repeated(once)

    async def _check_report(self, uow: UnitOfWork, reporter: Member, job: Job) -> None:
        if owns(reporter, job):
            raise NotAllowed(
                "This is your own. You can delete it with 🗑️.", "这是你自己的作品，可以用 🗑️ 删除。"
            )
        if await uow.cases.open_by(reporter.account_id) >= MAX_OPEN_BY_ONE:
            raise NotAllowed(
                f"You have {MAX_OPEN_BY_ONE} open reports. Please let the moderators look at those"
                " first.",
                f"你已有 {MAX_OPEN_BY_ONE} 个未处理的举报，请先等管理员处理。",
            )

    async def _view(self, uow: UnitOfWork, case: Case) -> CaseView:
        community = await uow.communities.get(case.community_id)
        if community is None:
            raise not_found()
        people = await uow.accounts.identities(
            community.platform, [case.reporter_account_id, case.subject_account_id]
        )
        measures = await uow.measures.of(
            case.subject_account_id, case.community_id, now=self._clock()
        )
        return CaseView(
            case=case,
            community=community,
            job=None if case.job_id is None else await uow.jobs.get(case.job_id),
            reporter=people.get(case.reporter_account_id),
            subject=people.get(case.subject_account_id),
            block=next(iter(measures.blocks), None),
        )


async def _case(uow: UnitOfWork, case_id: str) -> Case:
    case = await uow.cases.get(case_id)
    if case is None:
        raise NotFound("There is no such report.", "没有这个举报。")
    return case


async def _alike(uow: UnitOfWork, case: Case) -> list[Case]:
    """The case, and open ones of other members on the same answer: one decision is enough."""
    others = await uow.cases.open_in(case.community_id, limit=_SAME_JOB)
    return [case, *(one for one in others if one.job_id == case.job_id and one.id != case.id)]


def _entry(moderator: Member, case: Case, resolution: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        at=now,
        account_id=moderator.account_id,
        community_id=case.community_id,
        action=f"case_{resolution}",
        subject=case.id,
        details={"job": case.job_id},
    )


def _check_moderator(origin: Origin, member: Member, case: Case) -> None:
    """Raise NotFound unless the case is theirs to decide: to others it does not exist."""
    if origin.role is Role.OWNER:
        return
    here = not origin.personal and member.community_id == case.community_id
    if not (here and origin.role.at_least(Role.MODERATOR)):
        raise not_found()
