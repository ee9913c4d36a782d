"""Who may see and change which job. One rule, used by every service that reads for a member.

One's own jobs can be seen from anywhere. Other people's only in the community they were made in,
never in a personal one and never where the job is private. To who may not see it a job does not
exist, so ids tell nothing.
"""

from __future__ import annotations

from bot.core.chat import Origin, Role
from bot.core.domain import Job, Member
from bot.core.i18n import replies
from bot.core.ports import UnitOfWork
from bot.errors import NotAllowed, NotFound


def owns(member: Member, job: Job) -> bool:
    """Whether the job is the member's own, made in whatever community."""
    return member.account_id != "" and member.account_id == job.account_id


def may_see(origin: Origin, member: Member, job: Job) -> bool:
    """Whether the job exists for this member."""
    if owns(member, job):
        return True
    return not origin.personal and not job.private and member.community_id == job.community_id


def may_end(origin: Origin, member: Member, job: Job) -> bool:
    """Whether the member may cancel or delete the job: its owner, or a moderator of its
    community."""
    if owns(member, job):
        return True
    return may_see(origin, member, job) and origin.role.at_least(Role.MODERATOR)


def may_be_listed(origin: Origin, member: Member) -> str | None:
    """The community whose jobs a list of the member's own may show, None for all: what one does in
    private is not listed where others read along."""
    return None if origin.personal else member.community_id


async def visible_job(uow: UnitOfWork, origin: Origin, job_id: str) -> tuple[Job, Member]:
    """The job and who asks for it. Raises NotFound unless they may see it."""
    member = await uow.accounts.find(origin)
    job = await uow.jobs.get(job_id)
    if job is None or not may_see(origin, member, job):
        raise not_found()
    return job, member


async def job_to_end(uow: UnitOfWork, origin: Origin, job_id: str) -> Job:
    """A job the member may cancel or delete. Raises NotFound, or NotAllowed for one they may only
    look at."""
    job, member = await visible_job(uow, origin, job_id)
    if not may_end(origin, member, job):
        raise NotAllowed(replies.NOT_YOURS.en, replies.NOT_YOURS.zh)
    return job


def not_found() -> NotFound:
    """Deleted, never there, or none of their business: the same sentence."""
    return NotFound(replies.GONE.en, replies.GONE.zh)
