"""The model child's side of its socket: jobs in, progress and outcomes out. No torch.

Two kinds of work come. A batch (`run`) is compatible jobs that begin and end together, one batch at
a time. Newcomers (`join`) are jobs of continuous generators: they come at any time, run beside
whatever runs, and each ends on its own.

`serve(executor, end)` is the whole life of a model child; `generators.runner` gives it the executor
that holds real models. Any module that ends in `serve_main(MyExecutor)` can take that one's place
(`python -m generators.worker --runner MODULE_OR_FILE`), which is how tests and benchmarks run an
executor without models.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from generators import processes
from generators.contract import BadRequest, Cancelled, Media, Step
from generators.engine import frames
from generators.engine.port import EngineJob

ErrorKind = Literal["bad_request", "crashed", "internal"]

NO_RESULT = BadRequest("The model gave no result.", "模型没有给出结果。")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one job of a batch ended; its media are not stored yet."""

    job_id: str
    state: Literal["done", "failed", "cancelled"]
    media: Sequence[Media] = ()
    receipt: Mapping[str, Any] | None = None
    gpu_ms: int = 0
    error: str | None = None
    error_zh: str | None = None
    error_kind: ErrorKind | None = None

    def to_frame(self) -> frames.Frame:
        """As it crosses the socket."""
        kinds = [{"mime": m.mime, "facts": dict(m.facts), "role": m.role} for m in self.media]
        header = {
            "type": "outcome",
            "job_id": self.job_id,
            "state": self.state,
            "media": kinds,
            "receipt": None if self.receipt is None else dict(self.receipt),
            "gpu_ms": self.gpu_ms,
            "error": self.error,
            "error_zh": self.error_zh,
            "error_kind": self.error_kind,
        }
        return frames.with_blobs(header, [m.data for m in self.media])

    @classmethod
    def from_frame(cls, frame: frames.Frame) -> Outcome:
        """As it came over the socket."""
        header = frame.header
        media = tuple(
            Media(data, kind["mime"], kind["facts"], kind["role"])
            for data, kind in zip(frame.blobs(), header["media"], strict=True)
        )
        keys = ("job_id", "state", "receipt", "gpu_ms", "error", "error_zh", "error_kind")
        return cls(media=media, **{key: header[key] for key in keys})


def failed(job_id: str, why: BadRequest, kind: ErrorKind) -> Outcome:
    """The outcome of a job that came to nothing, in both languages."""
    return Outcome(job_id, "failed", error=why.en, error_zh=why.zh, error_kind=kind)


@dataclass(frozen=True, slots=True)
class Batch:
    """Compatible jobs to run together, and the bytes of their inputs by job id and name."""

    jobs: Sequence[EngineJob]
    inputs: Mapping[str, Mapping[str, bytes]]


class Reporting(Protocol):
    """What an executor says of its batch, and learns about it. `Link` is the real one."""

    def status(
        self,
        *,
        ready: bool,
        device: str,
        memory_bytes: int = 0,
        loaded_models: Sequence[str] = (),
    ) -> None:
        """Report what is loaded, and whether batches can be answered without delay."""

    def on_step(self, step: Step) -> frozenset[str]:
        """An `OnStep` for the running batch: report the step, learn who has lost interest."""

    def check(self) -> frozenset[str]:
        """The jobs of the batch that were cancelled. Raises Cancelled when no other is left."""

    def cancelled(self, job_id: str) -> bool:
        """Whether this job's result is not wanted any more."""

    def answer(self, outcome: Outcome) -> None:
        """Give a job's outcome; only the first one counts."""

    def newcomers(self) -> list[Batch]:
        """Jobs that have come since the last call to run beside the rest; never waits."""

    def report(self, step: Step) -> None:
        """Report the `texts` of newcomers, with their `progress`."""


class Executor(Protocol):
    """What runs batches. Called from one thread only."""

    def start(self, link: Reporting) -> None:
        """Load what every batch needs, and say with `link.status` what there is."""

    def run(self, batch: Batch, link: Reporting) -> None:
        """Answer every job of the batch once, by `link.answer`. Whatever is raised fails those not
        yet answered."""


@runtime_checkable
class ContinuousExecutor(Executor, Protocol):
    """An executor that also takes newcomers (`link.newcomers`), in `turn` and while a batch runs.
    Any other gets them as batches."""

    def turn(self, link: Reporting) -> bool:
        """Take newcomers in, and go one step with all who are there; returns whether there are
        any. Each is answered once; nothing is raised."""


class Link:
    """`Reporting` over the socket to the supervisor."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()
        self._open: set[str] = set()  # jobs of the running batch that were not answered yet
        self._seated: set[str] = set()  # newcomers, likewise
        self._came = threading.Condition(self._lock)
        self._batches: deque[Batch] = deque()
        self._newcomers: deque[Batch] = deque()

    def status(
        self,
        *,
        ready: bool,
        device: str,
        memory_bytes: int = 0,
        loaded_models: Sequence[str] = (),
    ) -> None:
        """Report what is loaded, and whether batches can be answered without delay."""
        self.send(
            frames.Frame(
                {
                    "type": "status",
                    "ready": ready,
                    "device": device,
                    "memory_bytes": memory_bytes,
                    "loaded_models": list(loaded_models),
                }
            )
        )

    def on_step(self, step: Step) -> frozenset[str]:
        """An `OnStep` for the running batch: report the step, learn who has lost interest."""
        numbers = (step.inference_step, step.total_steps)
        self._send_progress(step, {job_id: numbers for job_id in self.unanswered()})
        return self.check()

    def report(self, step: Step) -> None:
        """Report the `texts` of newcomers, with their `progress`."""
        with self._lock:
            shown = {job_id: step.progress[job_id] for job_id in step.texts}
            shown = {job_id: value for job_id, value in shown.items() if job_id in self._seated}
        self._send_progress(step, shown)

    def _send_progress(self, step: Step, numbers: Mapping[str, tuple[int, int]]) -> None:
        jobs, blobs = [], []
        for job_id, (done, total) in numbers.items():
            entry: dict[str, Any] = {"job_id": job_id, "step": done, "total": total}
            if job_id in step.texts:
                entry["text"] = step.texts[job_id]
            if job_id in step.previews:
                entry["preview_mime"] = step.previews[job_id].mime
                blobs.append(step.previews[job_id].data)
            jobs.append(entry)
        if jobs:
            self.send(frames.with_blobs({"type": "progress", "jobs": jobs}, blobs))

    def check(self) -> frozenset[str]:
        """The jobs of the batch that were cancelled. Raises Cancelled when no other is left."""
        with self._lock:
            unwanted = frozenset(self._cancelled & self._open)
            if self._open and unwanted == self._open:
                raise Cancelled
        return unwanted

    def cancelled(self, job_id: str) -> bool:
        """Whether this job's result is not wanted any more."""
        with self._lock:
            return job_id in self._cancelled

    def answer(self, outcome: Outcome) -> None:
        """Give a job's outcome to the supervisor; only the first one counts."""
        with self._lock:
            if outcome.job_id not in self._open | self._seated:
                return
            self._open.discard(outcome.job_id)
            self._seated.discard(outcome.job_id)
        self.send(outcome.to_frame())

    def unanswered(self) -> list[str]:
        """The jobs of the running batch that have no outcome yet."""
        with self._lock:
            return sorted(self._open)

    def wait(self) -> None:
        """Return as soon as there is a batch or a newcomer."""
        with self._came:
            self._came.wait_for(lambda: self._batches or self._newcomers)

    def next_batch(self) -> Batch | None:
        """The batch to run now, if one has come."""
        with self._lock:
            return self._batches.popleft() if self._batches else None

    def begin(self, batch: Batch) -> None:
        """These jobs run together now; of others, newcomers alone can be answered."""
        with self._lock:
            self._open = {job.id for job in batch.jobs}
            self._seated -= self._open

    def newcomers(self) -> list[Batch]:
        """Jobs that have come since the last call to run beside the rest; never waits."""
        with self._lock:
            came = list(self._newcomers)
            self._newcomers.clear()
            return came

    def take(self, kind: str, batch: Batch) -> None:
        """The supervisor has sent jobs. Whatever was said of these ids before concerns older jobs:
        an evicted one may come again under its own id."""
        with self._came:
            ids = {job.id for job in batch.jobs}
            self._cancelled -= ids
            if kind == "join":
                self._seated |= ids
                self._newcomers.append(batch)
            else:
                self._batches.append(batch)
            self._came.notify()

    def mark_cancelled(self, job_id: str) -> None:
        """The supervisor has said so."""
        with self._lock:
            self._cancelled.add(job_id)

    def send(self, frame: frames.Frame) -> None:
        """Write a frame, whole, from any thread."""
        data = frames.encode(frame)
        with self._sending:
            self._end.sendall(data)


def serve(executor: Executor, end: socket.socket) -> None:
    """Serve jobs until the supervisor is gone; then the process ends, whatever it is doing."""
    link = Link(end)
    threading.Thread(target=_listen, args=(end, link), daemon=True).start()
    executor.start(link)
    busy = False
    while True:
        if not busy:
            link.wait()
        if isinstance(executor, ContinuousExecutor):
            busy = executor.turn(link)
        else:
            for batch in link.newcomers():
                link.begin(batch)
                _run(executor, batch, link)
        if (next_ := link.next_batch()) is not None:
            link.begin(next_)
            _run(executor, next_, link)
            link.send(frames.Frame({"type": "end"}))


def _run(executor: Executor, batch: Batch, link: Link) -> None:
    """Run jobs together; those that get no answer get one here."""
    reason: BadRequest | None
    try:
        executor.run(batch, link)
        reason = NO_RESULT
    except Cancelled:
        reason = None
    except Exception as error:  # of any model: this child goes on with the next batch
        reason = broken(error)
        log_failure([job.id for job in batch.jobs])
    for job in batch.jobs:
        if reason is None or link.cancelled(job.id):
            link.answer(Outcome(job.id, "cancelled"))
        else:
            link.answer(failed(job.id, reason, "internal"))


def broken(error: Exception) -> BadRequest:
    """What to say of a model that has raised something."""
    name = type(error).__name__
    return BadRequest(f"The model failed ({name}).", f"模型运行失败（{name}）。")


def serve_main(make: Callable[[], Executor]) -> None:
    """The entry point of a model child's module: `--fd N` names the inherited socket."""
    parser = argparse.ArgumentParser(description="Model child of a worker; started by it.")
    parser.add_argument("--fd", type=int, required=True, help="number of the inherited socket")
    end = socket.socket(fileno=parser.parse_args().fd)
    processes.end_with_parent(signal.SIGKILL)
    serve(make(), end)


def log_failure(job_ids: Sequence[str]) -> None:
    """Write the traceback being handled, with the jobs it concerns."""
    import structlog

    structlog.get_logger(__name__).exception("a batch has failed", job_ids=list(job_ids))


def _listen(end: socket.socket, link: Link) -> None:
    """A thread: take what the supervisor says. Its end is ours, even in the middle of a batch."""
    try:
        with end.makefile("rb") as file:
            while (frame := frames.read_blocking(file)) is not None:
                kind = frame.header["type"]
                if kind in ("run", "join"):
                    link.take(kind, _batch(frame))
                elif kind == "cancel":
                    link.mark_cancelled(frame.header["job_id"])
    finally:
        os._exit(0)


def _batch(frame: frames.Frame) -> Batch:
    inputs: dict[str, dict[str, bytes]] = {}
    for (job_id, name), data in zip(frame.header["inputs"], frame.blobs(), strict=True):
        inputs.setdefault(job_id, {})[name] = data
    return Batch([EngineJob.model_validate(job) for job in frame.header["jobs"]], inputs)
