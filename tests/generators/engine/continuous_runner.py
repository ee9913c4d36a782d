"""A model child without models that takes newcomers: each one's prompt says what it does.

tokens:N     N turns, each reported, then the answer     crash:FILE   kill this process, once
wait:FILE    (batches) let newcomers take turns until the file exists
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from generators.contract import Media, Step
from generators.engine.port import EngineJob
from generators.serving import Batch, Outcome, Reporting, serve_main


class Continuous:
    """See `serving.ContinuousExecutor`."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}

    def start(self, link: Reporting) -> None:
        link.status(ready=True, device="scripted", loaded_models=["scripted"])

    def run(self, batch: Batch, link: Reporting) -> None:
        for job in batch.jobs:
            verb, _, value = str(job.params["prompt"]).partition(":")
            while verb == "wait" and not Path(value).exists():
                link.on_step(Step(1, 2))
                self.turn(link)
            _perhaps_crash(job)
            link.answer(_done(job.id))

    def turn(self, link: Reporting) -> bool:
        for batch in link.newcomers():
            for job in batch.jobs:
                _perhaps_crash(job)
                self._left[job.id] = int(str(job.params["prompt"]).partition(":")[2] or 1)
        for job_id in list(self._left):
            if link.cancelled(job_id):
                del self._left[job_id]
                link.answer(Outcome(job_id, "cancelled"))
                continue
            self._left[job_id] -= 1
            link.report(Step(1, 9, texts={job_id: "so far"}, progress={job_id: (1, 9)}))
            if not self._left[job_id]:
                del self._left[job_id]
                link.answer(_done(job_id))
        return bool(self._left)


def _perhaps_crash(job: EngineJob) -> None:
    verb, _, value = str(job.params["prompt"]).partition(":")
    if verb == "crash" and not Path(value).exists():
        Path(value).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _done(job_id: str) -> Outcome:
    return Outcome(job_id, "done", [Media(job_id.encode(), "text/plain")], {}, gpu_ms=1)


if __name__ == "__main__":
    serve_main(Continuous)
