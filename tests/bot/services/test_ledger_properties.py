"""Whatever happens in whatever order, the ledger balances and the line stays fair."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from desk import FIRST_GUESS_MS, PLENTY, Desk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people_and_jobs import origin

from bot.core.domain import Job, JobState, Limits
from bot.errors import NotFound, QuotaExceeded, UserError
from bot.store.memory import MemoryStore

unhurried = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

PEOPLE = ("anna", "ben")
LIMIT_MS = 20_000

steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(PEOPLE), st.integers(1, 4)),
        st.tuples(st.just("ask again"), st.sampled_from(PEOPLE), st.integers(0, 20)),
        st.tuples(st.just("send"), st.integers(0, 20), st.none()),
        st.tuples(st.just("cancel"), st.sampled_from(PEOPLE), st.none()),
        st.tuples(
            st.sampled_from(["done", "failed", "cancelled"]),
            st.integers(0, 20),
            st.integers(0, 30_000),
        ),
        st.tuples(st.just("wait"), st.integers(0, 90_000), st.none()),
    ),
    max_size=40,
)


@unhurried
@given(steps)
async def test_the_ledger_balances_whatever_happens(
    script: list[tuple[str, object, object]],
) -> None:
    desk = Desk(MemoryStore(), Limits(gpu_ms=LIMIT_MS, waiting_jobs=10))
    asked: list[tuple[str, str]] = []  # who asked, by which event
    admitted: list[str] = []
    first_end: dict[str, tuple[str, int]] = {}
    for n, (what, one, other) in enumerate(script):
        try:
            if what == "ask":
                event = f"e{n}"
                asked.append((str(one), event))
                ticket = await desk.ask(origin(str(one)), event=event, count=other)
                admitted.append(ticket.job_id)
            elif what == "ask again" and asked:
                person, event = asked[int(str(other)) % len(asked)]
                ticket = await desk.ask(origin(person), event=event)
                if ticket.job_id not in admitted:  # it was refused the first time
                    admitted.append(ticket.job_id)
            elif what == "send" and admitted:
                job = await desk.job(admitted[int(str(one)) % len(admitted)])
                if job.state is JobState.QUEUED:
                    await desk.send(job.id)
            elif what == "cancel":
                ended = await desk.jobs.cancel(origin(str(one)), None)
                if ended.state is JobState.CANCELLED:
                    first_end[ended.id] = ("cancelled", 0)
            elif what in {"done", "failed", "cancelled"} and admitted:
                job_id = admitted[int(str(one)) % len(admitted)]
                counted = await desk.report(job_id, what, gpu_ms=other)
                assert counted == (job_id not in first_end)
                if counted:
                    first_end[job_id] = (what, int(str(other)))
            elif what == "wait":
                desk.later(float(str(one)))
        except (QuotaExceeded, NotFound, UserError):
            pass
        await _check_windows(desk)
    await _check_balance(desk, admitted, first_end)


async def _check_windows(desk: Desk) -> None:
    for person in PEOPLE:
        usage = (await desk.quota.view(origin(person))).usage
        assert 0 <= usage.gpu_ms <= LIMIT_MS
        assert usage.jobs >= 0
        assert usage.community_gpu_ms >= usage.gpu_ms


async def _check_balance(
    desk: Desk, admitted: list[str], first_end: dict[str, tuple[str, int]]
) -> None:
    """A job's postings add up to what it used: its estimate while it is live, then the measured
    cost up to the estimate, or nothing where the member got nothing."""
    for job_id in admitted:
        job = await desk.job(job_id)
        entries = await desk.entries(job_id)
        total = sum(entry.gpu_ms for entry in entries)
        counted = sum(entry.jobs for entry in entries)
        if job_id not in first_end:
            assert not job.state.ended
            assert (total, counted, len(entries)) == (job.reserved_gpu_ms, 1, 1)
            continue
        state, measured = first_end[job_id]
        assert (str(job.state), job.gpu_ms) == (state, measured)
        used = min(measured, job.reserved_gpu_ms) if state == "done" else 0
        assert (total, counted, len(entries)) == (used, int(state == "done"), 2)
        assert {entry.counted_at for entry in entries} == {job.created_at}


@unhurried
@given(st.lists(st.sampled_from(["anna", "ben", "cleo"]), max_size=30))
async def test_in_a_standing_line_the_kth_of_each_compete(arrivals: list[str]) -> None:
    desk = Desk(MemoryStore(), PLENTY)
    for person in arrivals:
        await desk.ask(origin(person))
    line = await desk.line()
    order = [_nth(line, job) for job in line]
    assert order == sorted(order), "somebody's k-th job comes before another's earlier one"


@unhurried
@given(st.lists(st.sampled_from(["anna", "ben", "cleo", "serve"]), max_size=60))
async def test_nobody_who_waits_falls_behind(events: list[str]) -> None:
    """While two members wait all along, neither is served two jobs more than the other."""
    desk = Desk(MemoryStore(), PLENTY)
    served: defaultdict[str, int] = defaultdict(int)
    backlog_since: dict[str, dict[str, int]] = {}
    for event in [*events, *["serve"] * 60]:
        if event != "serve":
            await desk.ask(origin(event))
        else:
            line = await desk.line()
            if not line:
                break
            await desk.send(line[0].id)
            served[line[0].account_id] += 1
        waiting = {job.account_id for job in await desk.line()}
        for account in list(backlog_since):
            if account not in waiting:
                del backlog_since[account]
        for account in waiting:
            backlog_since.setdefault(account, dict(served))
        for one in backlog_since:
            for other in backlog_since:
                since = max(
                    (backlog_since[one], backlog_since[other]), key=lambda then: sum(then.values())
                )
                ahead = served[one] - since.get(one, 0)
                behind = served[other] - since.get(other, 0)
                assert abs(ahead - behind) <= 2


def _nth(line: list[Job], job: Job) -> int:
    """Which of its member's jobs this is, in the order they were asked for."""
    mine = [other for other in line if other.account_id == job.account_id]
    return sorted(mine, key=lambda other: other.created_at).index(job)


@unhurried
@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=6))
async def test_a_job_s_postings_leave_the_window_together(costs: list[int]) -> None:
    desk = Desk(MemoryStore(), Limits(gpu_ms=None, window_s=3600))
    for gpu_ms in costs:
        ticket = await desk.ask()
        desk.later(1800)
        await desk.finish(ticket.job_id, gpu_ms=gpu_ms)
    view = await desk.quota.view(origin())
    assert 0 <= view.usage.gpu_ms <= 4 * max(FIRST_GUESS_MS, *costs, 1) * len(costs)
    desk.now += timedelta(seconds=3600)
    assert (await desk.quota.view(origin())).usage.gpu_ms == 0
