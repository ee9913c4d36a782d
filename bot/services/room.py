"""How much more the workers can take, of what runs in batches and of what is seated beside it.

Jobs of continuous generators (texts) are no part of any batch: a worker seats them at once, however
long its pictures take. So there are two lanes, each with room of its own. Only the dispatcher uses
this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.core.domain import Job
from bot.services.status import StudioStatus
from generators import catalog

_BATCHES_AHEAD = 3  # of a worker: one runs, one is ready, one's results are on their way


class Room:
    """What is left of the room that ready workers have offered, jobs in flight taken off."""

    def __init__(self, status: StudioStatus, in_flight: Sequence[Job]) -> None:
        self._has_seats = status.guest_items > 0
        self._workers = max(1, status.ready_workers)
        guests = [job for job in in_flight if self._is_guest(job)]
        self._slots = status.slots - (len(in_flight) - len(guests))
        self._seats = status.guest_items - sum(job.count for job in guests)
        self._held = sum(job.count for job in in_flight if not self._is_guest(job))

    @property
    def any(self) -> bool:
        """Whether there may be something that can be sent."""
        return self._slots > 0 or self._seats > 0

    def lanes(self, candidates: Sequence[Job]) -> Iterator[tuple[list[Job], int]]:
        """The candidates of each lane that has room for its first one, with the number of jobs
        that may be sent there; first the lane of whoever is first in line."""
        lanes: dict[bool, list[Job]] = {}
        for job in candidates:
            lanes.setdefault(self._is_guest(job), []).append(job)
        for guests, jobs in lanes.items():
            if guests and jobs[0].count <= self._seats:
                yield jobs, self._seats
            elif not guests and self._slots > 0:
                yield jobs, self._slots

    def items(self, head: Job, most: int) -> int:
        """How many items may be sent together with `head`, whose generator takes `most` at once.

        In batches no more than keeps each worker's few: workers count their slots in jobs, by the
        size that jobs had lately, and after many small requests far too many large ones would be
        sent ahead.
        """
        if self._is_guest(head):
            return min(most, self._seats)
        return min(most, self._workers * _BATCHES_AHEAD * most - self._held)

    def _is_guest(self, job: Job) -> bool:
        """Whether the job needs a seat and no slot. A job that has taken a worker down runs alone,
        like a batch."""
        return (
            self._has_seats
            and job.kind == "generate"
            and not job.strikes
            and catalog.spec(job.generator).continuous
        )
