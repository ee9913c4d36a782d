"""What members may use and have used: limits, estimates, and the three postings of a job.

`JobService` reserves, settles and releases inside its own transactions; commands and the web read
`view`. A job's postings always add up to what it really used: the reservation at admission, then
either the difference to the measured cost (never above the reservation; the excess is the house's)
or the whole of it back where the member got nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from bot.core.chat import Origin
from bot.core.domain import Job, JobState, LedgerEntry, Limits, Member, PostingKind, Usage
from bot.core.i18n import formats
from bot.core.ports import Clock, UnitOfWork, UnitOfWorkFactory
from bot.errors import QuotaExceeded
from bot.services.house_rules import STUDIO
from bot.services.limits import SETTING, limits_of

__all__ = ["STUDIO", "QuotaService", "QuotaView"]


@dataclass(frozen=True, slots=True)
class QuotaView:
    """A member's limits and use now. `frees_at`: when the oldest counted job leaves the window.
    `granted_gpu_ms` was granted by moderators for a while, and is part of the limit already."""

    limits: Limits
    usage: Usage
    frees_at: datetime | None
    granted_gpu_ms: int = 0


class QuotaService:
    """Reads limits and use, and writes the ledger."""

    def __init__(
        self, uow: UnitOfWorkFactory, clock: Clock, defaults: Limits | None = None
    ) -> None:
        self._uow, self._clock = uow, clock
        self._defaults = defaults if defaults is not None else Limits()

    async def view(self, origin: Origin) -> QuotaView:
        """What the member may use and has used in the community they are in."""
        async with self._uow(write=False) as uow:
            member = await uow.accounts.find(origin)
            limits = await self.limits_for(uow, member)
            measures = await uow.measures.of(
                member.account_id, member.community_id, now=self._clock()
            )
            return await self._view(uow, member, limits, measures.granted_gpu_ms)

    async def limits_for(self, uow: UnitOfWork, member: Member) -> Limits:
        """The member's limits: defaults < studio < community < their strongest role."""
        found = await uow.settings.get_many([STUDIO, member.community_id], [SETTING])
        return self.limits_in(found, member)

    async def usual_limits(self, origin: Origin) -> Limits:
        """What a member without any role may use in the community; the roles' own limits are in
        `Limits.roles`."""
        async with self._uow(write=False) as uow:
            found = await uow.accounts.find(origin)
            return await self.limits_for(
                uow, Member(found.account_id, found.community_id, "member")
            )

    def limits_in(self, settings: Mapping[tuple[str, str], Any], member: Member) -> Limits:
        """The same out of settings that were read already, by (community id, key)."""
        layers = [settings.get((place, SETTING)) for place in (STUDIO, member.community_id)]
        return limits_of(self._defaults, layers, member)

    async def estimate(
        self, uow: UnitOfWork, model: str, command: str, count: int, first_guess_ms: int
    ) -> int:
        """What a job will cost, in gpu_ms: the median of what an item of this command by this model
        cost lately (a loop is another thing than a still picture) times the items; the first guess
        before there is a history."""
        recent = await uow.jobs.recent_gpu_ms_per_item(model, command)
        return round((median(recent) if recent else first_guess_ms) * count)

    async def check(
        self,
        uow: UnitOfWork,
        member: Member,
        limits: Limits,
        estimate_ms: int,
        *,
        granted_ms: int = 0,
    ) -> None:
        """Raise QuotaExceeded, with what is used, the limit and when it frees, unless one more job
        of this cost fits. `granted_ms` comes on top of the member's own limit, not of the
        community's."""
        if limits.community_gpu_ms is not None:
            await uow.accounts.lock_community(member.community_id)
        view = await self._view(uow, member, limits, granted_ms)
        used, limits = view.usage, view.limits
        if limits.gpu_ms is not None and used.gpu_ms + estimate_ms > limits.gpu_ms:
            raise _out_of_gpu_time(view, estimate_ms, self._clock())
        if limits.jobs is not None and used.jobs + 1 > limits.jobs:
            raise _out_of_jobs(view, self._clock())
        everybody = limits.community_gpu_ms
        if everybody is not None and used.community_gpu_ms + estimate_ms > everybody:
            raise _community_out(view, estimate_ms)

    async def reserve(self, uow: UnitOfWork, job: Job) -> None:
        """Take the estimate from the window, at admission."""
        await uow.ledger.post(_entry(job, PostingKind.RESERVE, job.reserved_gpu_ms, 1))

    async def close(self, uow: UnitOfWork, job: Job, state: JobState, measured_ms: int) -> None:
        """Settle a done job at its measured cost, release any other: its member got nothing."""
        if state is JobState.DONE:
            difference = min(measured_ms, job.reserved_gpu_ms) - job.reserved_gpu_ms
            await uow.ledger.post(_entry(job, PostingKind.SETTLE, difference, 0))
        else:
            await uow.ledger.post(_entry(job, PostingKind.RELEASE, -job.reserved_gpu_ms, -1))

    async def _view(
        self, uow: UnitOfWork, member: Member, limits: Limits, granted_ms: int
    ) -> QuotaView:
        window = timedelta(seconds=limits.window_s)
        usage = await uow.ledger.usage(
            member.account_id, member.community_id, since=self._clock() - window
        )
        oldest = usage.oldest_counted_at
        if limits.gpu_ms is not None:
            limits = replace(limits, gpu_ms=limits.gpu_ms + granted_ms)
        return QuotaView(limits, usage, None if oldest is None else oldest + window, granted_ms)


def _entry(job: Job, kind: PostingKind, gpu_ms: int, jobs: int) -> LedgerEntry:
    return LedgerEntry(
        event_id=f"{job.id}:{kind}",
        account_id=job.account_id,
        community_id=job.community_id,
        job_id=job.id,
        kind=kind,
        gpu_ms=gpu_ms,
        jobs=jobs,
        counted_at=job.created_at,
    )


def _frees(view: QuotaView, now: datetime) -> tuple[str, str]:
    """When the next part frees, as a sentence of each language, or nothing."""
    if view.frees_at is None:
        return "", ""
    left = (view.frees_at - now).total_seconds()
    return (
        f" The next part frees in {formats.duration(left, 'en')}.",
        f"下一部分将在 {formats.duration(left, 'zh')}后恢复。",
    )


def _out_of_gpu_time(view: QuotaView, estimate_ms: int, now: datetime) -> QuotaExceeded:
    limit_ms = view.limits.gpu_ms or 0
    en, zh = (
        tuple(formats.gpu_seconds(ms, locale) for ms in (estimate_ms, view.usage.gpu_ms, limit_ms))
        for locale in ("en", "zh")
    )
    window_en = formats.duration(view.limits.window_s, "en")
    window_zh = formats.duration(view.limits.window_s, "zh")
    if estimate_ms > limit_ms:
        return QuotaExceeded(
            f"This needs about {en[0]}, and you may use {en[2]} in {window_en}. Ask for less.",
            f"这大约需要 {zh[0]}，而你在 {window_zh}内最多可用 {zh[2]}。请减少数量或尺寸。",
        )
    frees_en, frees_zh = _frees(view, now)
    return QuotaExceeded(
        f"This needs about {en[0]}, but you have used {en[1]} of {en[2]} in the last"
        f" {window_en}.{frees_en}",
        f"这大约需要 {zh[0]}，但你在最近 {window_zh}内已用 {zh[1]}，上限为 {zh[2]}。{frees_zh}",
    )


def _out_of_jobs(view: QuotaView, now: datetime) -> QuotaExceeded:
    frees_en, frees_zh = _frees(view, now)
    used, limit = view.usage.jobs, view.limits.jobs
    return QuotaExceeded(
        f"You have used {used} of {limit} jobs in the last"
        f" {formats.duration(view.limits.window_s, 'en')}.{frees_en}",
        f"你在最近 {formats.duration(view.limits.window_s, 'zh')}内已用 {used} 个任务，"
        f"上限为 {limit} 个。{frees_zh}",
    )


def _community_out(view: QuotaView, estimate_ms: int) -> QuotaExceeded:
    used, limit = view.usage.community_gpu_ms, view.limits.community_gpu_ms or 0
    return QuotaExceeded(
        f"This needs about {formats.gpu_seconds(estimate_ms, 'en')}, but this community has used"
        f" {formats.gpu_seconds(used, 'en')} of its {formats.gpu_seconds(limit, 'en')} in the last"
        f" {formats.duration(view.limits.window_s, 'en')}. Please try again later.",
        f"这大约需要 {formats.gpu_seconds(estimate_ms, 'zh')}，但本社区在最近"
        f" {formats.duration(view.limits.window_s, 'zh')}内已用"
        f" {formats.gpu_seconds(used, 'zh')}，上限为 {formats.gpu_seconds(limit, 'zh')}。"
        "请稍后再试。",
    )
