"""The engine port: what carries jobs to workers and results back. Used at both ends; no torch.

The gateway holds the truth in SQL; an engine only executes. So an engine may lose everything it
holds (the gateway sends again) and may run a job twice (the first result wins), but it must not
invent an end: a job it forgot simply has no result. Messages are plain values that survive JSON.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from generators.contract import BadRequest, MediaRole

MAX_STRIKES = 3
"""How often a job may take its worker down with it before it fails."""


class Message(BaseModel):
    """Base of all that travels: frozen, and a field nobody knows is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ArtifactRef(Message):
    """Stored media, by content: enough to fetch it from the artifact store and to show it."""

    key: str  # hex SHA-256 of the bytes
    mime: str
    size_bytes: int
    role: MediaRole | Literal["input"] = "item"  # `input`: uploaded, and kept by its job
    facts: dict[str, int | float | str] = {}


class EngineJob(Message):
    """A job as the engine carries it. Everything in it was validated by the gateway, and the
    worker validates again: it trusts nobody's memory of the schema."""

    id: str
    kind: Literal["generate", "train"] = "generate"
    generator: str
    model: str  # a registered name; the worker resolves it to weights
    params: dict[str, Any]
    seed: int
    count: int = 1
    compat: str  # jobs with equal keys may share a batch
    owner: str  # the account that owns what is stored
    community: str = ""  # for logs only
    inputs: dict[str, ArtifactRef] = {}
    strikes: int = 0  # how often this job has taken a worker down already


class EngineResult(Message):
    """How a job ended at the worker. `error` is a sentence for the person, `error_zh` the same in
    Chinese where there is one; details are logged."""

    job_id: str
    state: Literal["done", "failed", "cancelled"]
    artifacts: tuple[ArtifactRef, ...] = ()
    receipt: dict[str, Any] | None = None
    gpu_ms: int = 0
    error: str | None = None
    error_zh: str | None = None
    error_kind: Literal["bad_request", "crashed", "internal"] | None = None


def failed_result(
    job_id: str, why: BadRequest, kind: Literal["bad_request", "crashed", "internal"]
) -> EngineResult:
    """The result of a job that came to nothing, said in both languages."""
    return EngineResult(
        job_id=job_id, state="failed", error=why.en, error_zh=why.zh, error_kind=kind
    )


def struck_out(job_id: str, strikes: int) -> EngineResult:
    """The result of a job that has taken its worker down too often."""
    times = {1: "once", 2: "twice", 3: "three times"}.get(strikes, f"{strikes} times")
    why = BadRequest(
        f"This request stopped the worker {times}, so it was given up.",
        f"这个请求使工作进程中断了 {strikes} 次，因此已放弃。",
    )
    return failed_result(job_id, why, "crashed")


class Started(Message):
    """A worker began to run the job."""

    type: Literal["started"] = "started"
    job_id: str
    worker_id: str
    batch_size: int  # items that run together


class Progress(Message):
    """One inference step is done. `preview` is a small picture, `text` what stands so far."""

    type: Literal["progress"] = "progress"
    job_id: str
    inference_step: int
    total_steps: int
    text: str | None = None
    preview_mime: str | None = None
    preview: bytes | None = None


class Heartbeat(Message):
    """The job is still held by a living worker (sent every few seconds, running or waiting)."""

    type: Literal["heartbeat"] = "heartbeat"
    job_id: str
    worker_id: str


class Struck(Message):
    """The job was running when its model child or its worker died; `strikes` includes this one."""

    type: Literal["struck"] = "struck"
    job_id: str
    strikes: int


class Capacity(Message):
    """What a worker can take. `slots` is how many jobs it wants to hold, running ones included:
    a batch that runs plus one that is ready. Jobs of continuous generators do not count there but
    by their items, of which it wants to hold `guest_items`. `state` is `loading` until its models
    can answer."""

    type: Literal["capacity"] = "capacity"
    worker_id: str
    state: Literal["loading", "ready", "paused", "gone"]
    slots: int
    guest_items: int = 0
    held: int
    loaded_models: tuple[str, ...] = ()
    device: str = ""
    memory_bytes: int = 0


EngineEvent = Annotated[
    Started | Progress | Heartbeat | Struck | Capacity, Field(discriminator="type")
]

Acknowledge = Callable[[], Awaitable[None]]


class Engine(AbstractAsyncContextManager["Engine"], Protocol):
    """The gateway's side. Entering starts it (and a local worker); leaving stops what it started.

    An implementer must not decide order or fairness (the scheduler sends only what may run next),
    must not retry a job that ended, and must not drop a result before it was acknowledged.
    """

    async def send(self, job: EngineJob) -> None:
        """Hand a job over. Idempotent by id: a job already held is not held twice."""

    async def cancel(self, job_id: str) -> None:
        """Forget the job if it waits, stop it at its next step if it runs. A job unknown here is
        no error. A running one still answers with a `cancelled` result."""

    async def evict(self, job_id: str) -> None:
        """Forget a job that is held but silent, so that it can be sent again."""

    async def pause(self, job_id: str) -> None:
        """Ask a training job to checkpoint and free the device at its next step boundary."""

    async def resume(self, job_id: str) -> None:
        """Let a paused training job go on from its checkpoint."""

    def results(self) -> AsyncIterator[tuple[EngineResult, Acknowledge]]:
        """Results as they come, for one reader; each comes again until acknowledged."""

    def events(self) -> AsyncIterator[EngineEvent]:
        """Progress, previews and capacity, for one reader; lossy by design."""


class Lease(Protocol):
    """A job in a worker's hands. It must end in `done`, or its engine hands it to another."""

    @property
    def job(self) -> EngineJob: ...

    async def beat(self) -> None:
        """Say that the job is still in good hands; extends the lease."""

    async def done(self, result: EngineResult) -> None:
        """Publish the result durably, then acknowledge the job, in that order."""


class WorkerSource(Protocol):
    """The worker's side, one per worker: where leases come from and where events go."""

    async def fetch(self, limit: int, *, window_s: float, block: bool) -> list[Lease]:
        """Up to `limit` jobs. With `block`, wait for the first and then `window_s` for its mates;
        without, return what is there. Raises `EngineClosed` when the gateway's side is gone."""

    async def emit(self, event: EngineEvent) -> None:
        """Send an event; may be lost, never blocks for long."""

    def cancelled(self, job_id: str) -> bool:
        """Whether the gateway has cancelled or evicted the job."""


class EngineClosed(Exception):
    """The other side is gone for good; a worker ends, a gateway stops sending."""
