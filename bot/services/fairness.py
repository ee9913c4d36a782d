"""Which queued jobs go to the engine next: the fair order, turned into batches. Pure.

The order itself is start-time fair queueing (Goyal, Vin and Cheng, 1996), kept in SQL: a job's
start tag is the larger of the virtual time at its admission and its member's last finish tag, its
finish tag lies `1 / weight` further, and the virtual time is the start tag of the job that was
dispatched last. So the k-th job of each member competes with the k-th of every other, and nobody
can starve: tags only grow. Here the order meets what a GPU likes: batches and loaded models.
Only the dispatcher calls this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta

from bot.core.domain import Job

MemberKey = tuple[str, str]  # account id, community id

# Of jobs that are equally next, one whose model is loaded may overtake, but only those that came
# at about the same time: a stream of newcomers must not keep the first one waiting for ever.
_EQUALS_WINDOW = timedelta(seconds=10)


def member_of(job: Job) -> MemberKey:
    """Whose job it is, as far as limits are concerned."""
    return (job.account_id, job.community_id)


def choose_batch(
    candidates: Sequence[Job],
    *,
    room: int,
    allowance: Mapping[MemberKey, int],
    max_items: Callable[[Job], int],
    loaded: Collection[str] = (),
) -> list[Job]:
    """The next batch out of `candidates` (queued jobs in fair order), the head of the line first.

    The head decides the compat key; the batch is filled with the next jobs of the same key while
    there is `room` (jobs), while its items stay within `max_items`, and within each member's
    `allowance` (how many more of theirs may run; absent means none). A waiting job is overtaken
    by at most one batch per turn of the line, and each batch takes the head away.
    """
    left = dict(allowance)
    allowed = [job for job in candidates if left.get(member_of(job), 0) > 0]
    if not allowed or room <= 0:
        return []
    head = _head(allowed, loaded)
    batch, items, limit = [head], head.count, max_items(head)
    if limit <= 0:
        return []
    left[member_of(head)] -= 1
    for job in allowed:
        if len(batch) >= room or items >= limit:
            break
        fits = job.compat == head.compat and items + job.count <= limit
        if job is not head and fits and left[member_of(job)] > 0:
            batch.append(job)
            items += job.count
            left[member_of(job)] -= 1
    return batch


def _head(allowed: Sequence[Job], loaded: Collection[str]) -> Job:
    """The first in line, or its equal whose model need not be loaded first."""
    first = allowed[0]
    for job in allowed:
        if job.start_tag != first.start_tag or job.created_at - first.created_at > _EQUALS_WINDOW:
            break
        if job.model in loaded:
            return job
    return first
