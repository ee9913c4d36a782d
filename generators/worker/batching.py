"""Which waiting jobs run together: pure functions of the supervisor. No torch.

The order jobs came in was decided, fairly, by the gateway; here the oldest job only picks its
companions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from generators.engine.port import EngineJob

GUEST_ITEMS = 20
"""Items of continuous generators that a worker wants in hand: a full session (16) and a few that
take the next free seats, so that none stays empty for the way from the gateway."""


def form_batch(
    waiting: Sequence[EngineJob], max_items: Callable[[EngineJob], int]
) -> list[EngineJob]:
    """The jobs to run next, out of those waiting (oldest first): the oldest picks the key, and jobs
    of the same key join while their items fit into `max_items` of the oldest's generator.

    A job with strikes runs alone, so that a poison job cannot take others down with it; it also
    waits until everything ahead of it has run, like any other.
    """
    if not waiting:
        return []
    oldest = waiting[0]
    if oldest.strikes:
        return [oldest]
    room = max_items(oldest) - oldest.count
    batch = [oldest]
    for job in waiting[1:]:
        if job.compat == oldest.compat and not job.strikes and job.count <= room:
            batch.append(job)
            room -= job.count
    return batch


def wanted_slots(
    *, running_jobs: int, waiting: Sequence[EngineJob], batch_items: int, typical_items: float
) -> int:
    """How many jobs a worker wants to have in hand: what runs, what waits, and what is missing to
    one full batch after the running one. Held low on purpose: what is not yet sent can still be
    ordered fairly by the gateway.

    `batch_items`: items of one full batch. `typical_items`: mean items of recent jobs.
    """
    missing = batch_items - sum(job.count for job in waiting)
    return running_jobs + len(waiting) + max(0, round(missing / max(1.0, typical_items)))
