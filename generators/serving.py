"""The model child's side of its socket: batches in, progress and outcomes out. No torch.

`serve(executor, end)` is the whole life of a model child; `generators.runner` gives it the executor
that holds real models. Any module that ends in `serve_main(MyExecutor)` can take that one's place
(`python -m generators.worker --runner MODULE_OR_FILE`), which is how tests and benchmarks run an
executor without models.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from generators import processes
from generators.contract import BadRequest, Cancelled, Media, Step
from generators.engine import frames
from generators.engine.port import EngineJob

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
    error_kind: Literal["bad_request", "crashed", "internal"] | None = None

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


def failed(
    job_id: str, why: BadRequest, kind: Literal["bad_request", "crashed", "internal"]
) -> Outcome:
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


class Executor(Protocol):
    """What runs batches. Called from one thread only."""

    def start(self, link: Reporting) -> None:
        """Load what every batch needs, and say with `link.status` what there is."""

    def run(self, batch: Batch, link: Reporting) -> None:
        """Answer every job of the batch once, by `link.answer`. Whatever is raised fails those not
        yet answered."""


class Link:
    """`Reporting` over the socket to the supervisor."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()
        self._open: set[str] = set()  # jobs of the running batch that were not answered yet

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
        jobs, blobs = [], []
        for job_id in self.unanswered():
            entry: dict[str, Any] = {"job_id": job_id}
            if job_id in step.texts:
                entry["text"] = step.texts[job_id]
            if job_id in step.previews:
                entry["preview_mime"] = step.previews[job_id].mime
                blobs.append(step.previews[job_id].data)
            jobs.append(entry)
        header = {
            "type": "progress",
            "inference_step": step.inference_step,
            "total_steps": step.total_steps,
            "jobs": jobs,
        }
        self.send(frames.with_blobs(header, blobs))
        return self.check()

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
            if outcome.job_id not in self._open:
                return
            self._open.discard(outcome.job_id)
        self.send(outcome.to_frame())

    def unanswered(self) -> list[str]:
        """The jobs of the running batch that have no outcome yet."""
        with self._lock:
            return sorted(self._open)

    def begin(self, batch: Batch) -> None:
        """A new batch: only its jobs can be answered now."""
        with self._lock:
            self._open = {job.id for job in batch.jobs}

    def expect(self) -> None:
        """A batch has come: what was cancelled before concerns older ones, and an evicted job may
        have come again under its own id."""
        with self._lock:
            self._cancelled.clear()

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
    """Serve batches until the supervisor is gone; then the process ends, whatever it is doing."""
    link = Link(end)
    batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(end, link, batches), daemon=True)
    listener.start()
    executor.start(link)
    while True:
        batch = batches.get()
        link.begin(batch)
        reason: BadRequest | None
        try:
            executor.run(batch, link)
            reason = NO_RESULT
        except Cancelled:
            reason = None
        except Exception as error:
            name = type(error).__name__
            reason = BadRequest(f"The model failed ({name}).", f"模型运行失败（{name}）。")
            log_failure(batch)
        for job_id in link.unanswered():
            if reason is None or link.cancelled(job_id):
                link.answer(Outcome(job_id, "cancelled"))
            else:
                link.answer(failed(job_id, reason, "internal"))
        link.send(frames.Frame({"type": "end"}))


def serve_main(make: Callable[[], Executor]) -> None:
    """The entry point of a model child's module: `--fd N` names the inherited socket."""
    parser = argparse.ArgumentParser(description="Model child of a worker; started by it.")
    parser.add_argument("--fd", type=int, required=True, help="number of the inherited socket")
    end = socket.socket(fileno=parser.parse_args().fd)
    processes.end_with_parent(signal.SIGKILL)
    serve(make(), end)


def log_failure(batch: Batch) -> None:
    """Write the traceback being handled, with the jobs it concerns."""
    import structlog

    structlog.get_logger(__name__).exception(
        "a batch has failed", job_ids=[job.id for job in batch.jobs]
    )


def _listen(end: socket.socket, link: Link, batches: queue.SimpleQueue[Batch]) -> None:
    """A thread: take what the supervisor says. Its end is ours, even in the middle of a batch."""
    try:
        with end.makefile("rb") as file:
            while (frame := frames.read_blocking(file)) is not None:
                if frame.header["type"] == "run":
                    link.expect()
                    batches.put(_batch(frame))
                elif frame.header["type"] == "cancel":
                    link.mark_cancelled(frame.header["job_id"])
    finally:
        os._exit(0)


def _batch(frame: frames.Frame) -> Batch:
    inputs: dict[str, dict[str, bytes]] = {}
    for (job_id, name), data in zip(frame.header["inputs"], frame.blobs(), strict=True):
        inputs.setdefault(job_id, {})[name] = data
    return Batch([EngineJob.model_validate(job) for job in frame.header["jobs"]], inputs)
