"""What every batch is, whatever the line looks like."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.core.domain import Job, JobState
from bot.services.fairness import choose_batch, member_of

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def lines(draw: st.DrawFn) -> list[Job]:
    """Queued jobs in the fair order."""
    jobs = [
        Job(
            id=str(number),
            origin_key=str(number),
            kind="generate",
            command="imagine",
            account_id=draw(st.sampled_from("abc")),
            community_id="hall",
            generator="g",
            model=(model := draw(st.sampled_from(["paint", "ink"]))),
            params={},
            seed=0,
            count=draw(st.integers(1, 4)),
            compat=f"{model}-{draw(st.integers(0, 1))}",
            inputs={},
            state=JobState.QUEUED,
            created_at=BEGAN + timedelta(seconds=draw(st.integers(0, 30))),
            start_tag=float(draw(st.integers(0, 2))),
            finish_tag=0.0,
            reserved_gpu_ms=0,
        )
        for number in range(draw(st.integers(0, 12)))
    ]
    return sorted(jobs, key=lambda job: (job.start_tag, job.created_at, job.id))


@given(
    line=lines(),
    room=st.integers(0, 6),
    most=st.integers(0, 12),
    allowed=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
    loaded=st.sets(st.sampled_from(["paint", "ink"])),
)
def test_any_batch(
    line: list[Job], room: int, most: int, allowed: dict[str, int], loaded: set[str]
) -> None:
    allowance = {(account, "hall"): many for account, many in allowed.items()}
    batch = choose_batch(
        line, room=room, allowance=allowance, max_items=lambda job: most, loaded=loaded
    )
    able = [job for job in line if allowance.get(member_of(job), 0) > 0]
    assert bool(batch) == bool(able and room and most)
    if not batch:
        return
    head, *mates = batch
    assert head.start_tag == able[0].start_tag
    assert head is able[0] or (
        head.model in loaded
        and able[0].model not in loaded
        and head.created_at - able[0].created_at <= timedelta(seconds=10)
    )
    assert len(batch) <= room
    assert not mates or sum(job.count for job in batch) <= most
    assert len({job.compat for job in batch}) == 1
    assert mates == sorted(mates, key=line.index)
    taken = Counter(member_of(job) for job in batch)
    assert all(many <= allowance[member] for member, many in taken.items())
