"""What is going on right now: workers, loaded models, queue. For /ping, /queue and /healthz.

Kept in memory by the dispatcher from what workers say; nothing here outlives the process, and
nothing is decided by it but how far ahead to send.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from bot.core.ports import Clock
from generators.engine.port import Capacity

StudioState = Literal["ready", "loading", "paused", "none"]

# Workers report every two seconds; one that a network engine lost never says goodbye.
_FORGET_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker's last word and when it came."""

    capacity: Capacity
    heard_at: datetime


class StudioStatus:
    """Live facts. Only the dispatcher calls the methods that change them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._workers: dict[str, WorkerFacts] = {}
        self.started_at = clock()
        self.queue_depth = 0  # queued jobs, as of the last look
        self.in_flight = 0  # sent and running jobs, likewise

    def heard(self, capacity: Capacity) -> None:
        """Remember a worker's word; `gone` forgets the worker."""
        if capacity.state == "gone":
            self._workers.pop(capacity.worker_id, None)
        else:
            self._workers[capacity.worker_id] = WorkerFacts(capacity, self._clock())

    def workers(self) -> tuple[Capacity, ...]:
        """The workers heard of in the last half minute, by id."""
        oldest = self._clock() - _FORGET_AFTER
        alive = (facts for facts in self._workers.values() if facts.heard_at >= oldest)
        return tuple(sorted((facts.capacity for facts in alive), key=lambda one: one.worker_id))

    @property
    def worker_state(self) -> StudioState:
        """The best of all workers' states; `none` where there is no worker."""
        states = {worker.state for worker in self.workers()}
        for state in ("ready", "loading", "paused"):
            if state in states:
                return state
        return "none"

    @property
    def slots(self) -> int:
        """How many jobs all ready workers want to hold, those that they hold included."""
        return sum(worker.slots for worker in self.workers() if worker.state == "ready")

    @property
    def guest_items(self) -> int:
        """How many items of continuous generators all ready workers want to hold, likewise."""
        return sum(worker.guest_items for worker in self.workers() if worker.state == "ready")

    @property
    def ready_workers(self) -> int:
        """How many workers can answer now."""
        return sum(worker.state == "ready" for worker in self.workers())

    @property
    def loaded_models(self) -> tuple[str, ...]:
        """Models in some worker's memory, by name."""
        return tuple(sorted({name for worker in self.workers() for name in worker.loaded_models}))

    @property
    def devices(self) -> tuple[str, ...]:
        """Where the models run, e.g. `cuda:0` or `cpu`."""
        return tuple(sorted({worker.device for worker in self.workers() if worker.device}))

    @property
    def uptime_s(self) -> float:
        """Seconds since the gateway was started."""
        return (self._clock() - self.started_at).total_seconds()

    def snapshot(self) -> Mapping[str, Any]:
        """All of it as JSON values, for /healthz."""
        return {
            "worker": self.worker_state,
            "workers": [worker.model_dump(exclude={"type"}) for worker in self.workers()],
            "loaded_models": list(self.loaded_models),
            "devices": list(self.devices),
            "queue_depth": self.queue_depth,
            "in_flight": self.in_flight,
            "uptime_s": round(self.uptime_s, 1),
        }
