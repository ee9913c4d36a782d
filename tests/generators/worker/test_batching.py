"""Who runs together, and how much a worker asks for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from generators.engine.port import EngineJob
from generators.worker.batching import form_batch, wanted_slots

JOBS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.sampled_from([0, 0, 0, 1])), max_size=30
)


def jobs(shapes: list[tuple[str, int, int]]) -> list[EngineJob]:
    return [
        EngineJob(
            id=str(number),
            generator="diffusion",
            model="m",
            params={},
            seed=0,
            count=count,
            compat=kind,
            owner="o",
            strikes=strikes,
        )
        for number, (kind, count, strikes) in enumerate(shapes)
    ]


@given(JOBS)
def test_a_batch_is_what_it_should_be(shapes: list[tuple[str, int, int]]) -> None:
    waiting = jobs(shapes)
    batch = form_batch(waiting, lambda job: 16)
    if not waiting:
        assert batch == []
        return
    assert batch[0] is waiting[0]
    assert len({job.compat for job in batch}) == 1
    assert sum(job.count for job in batch) <= 16
    assert [job.id for job in batch] == sorted((job.id for job in batch), key=int)
    if any(job.strikes for job in batch):
        assert len(batch) == 1
    left_out = [
        job
        for job in waiting
        if job.compat == batch[0].compat and not job.strikes and job not in batch
    ]
    room = 16 - sum(job.count for job in batch)
    assert batch[0].strikes or all(job.count > room for job in left_out)


@given(JOBS)
def test_everything_runs_once_in_the_end(shapes: list[tuple[str, int, int]]) -> None:
    waiting, ran = jobs(shapes), []
    while waiting:
        batch = form_batch(waiting, lambda job: 16)
        ran += [job.id for job in batch]
        waiting = [job for job in waiting if job not in batch]
    assert sorted(ran, key=int) == [str(number) for number in range(len(shapes))]


def test_a_worker_asks_for_one_batch_ahead() -> None:
    def slots(running: int, waiting: list[tuple[str, int, int]]) -> int:
        return wanted_slots(
            running_jobs=running, waiting=jobs(waiting), batch_items=16, typical_items=4.0
        )

    assert slots(0, []) == 4  # one batch to run
    assert slots(4, []) == 8  # and one to be ready
    assert slots(4, [("a", 4, 0)] * 4) == 8  # has it all
    assert slots(4, [("a", 4, 0)] * 9) == 13  # more than asked for: asks for no more
    assert slots(4, [("a", 1, 0)] * 4) == 11
