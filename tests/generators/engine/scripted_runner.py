"""A model child without models: each job's prompt says what it does. For tests and benchmarks.

Start it as `python -m generators.worker --runner path/to/this/file.py`, or give that path to
`LocalEngine(runner=...)`. Words of a prompt, separated by spaces, are done in order:

  steps:N      N steps, each reported         sleep:S    wait S seconds (whole, cannot be cancelled)
  wait         step until cancelled           gil:S      hold the interpreter lock for S seconds
  wait:FILE    step until the file exists     crash      kill this process like a segmentation fault
  crash:FILE   the same, once per file        raise      an exception, as from a broken model
  note:FILE    append the job's id to a file  refuse     answer with a sentence of refusal

Other words do nothing. Each item is a small text that names seed and prompt, or the job's input
`image` where it has one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from generators.contract import Media, Step
from generators.engine.port import EngineJob
from generators.serving import Batch, Outcome, Reporting, serve_main


class Scripted:
    """An executor that plays its jobs' scripts, one after the other."""

    def start(self, link: Reporting) -> None:
        link.status(ready=True, device="scripted", loaded_models=["scripted"])

    def run(self, batch: Batch, link: Reporting) -> None:
        for job in batch.jobs:
            for word in str(job.params["prompt"]).split():
                self._do(*word.partition(":")[::2], job, link)
        for job in batch.jobs:
            if not link.cancelled(job.id):
                link.answer(_done(job, batch))

    def _do(self, verb: str, value: str, job: EngineJob, link: Reporting) -> None:
        if verb == "steps":
            for step in range(1, int(value) + 1):
                link.on_step(Step(step, int(value), texts={job.id: f"step {step}"}))
        elif verb == "wait":
            step = 0
            while not (value and Path(value).exists()) and not link.cancelled(job.id):
                step += 1
                link.on_step(Step(step, step + 1))
                time.sleep(0.01)
        elif verb == "sleep":
            time.sleep(float(value))
        elif verb == "gil":
            ctypes.PyDLL(None).usleep(int(float(value) * 1e6))
        elif verb == "note":
            with Path(value).open("a") as file:
                file.write(job.id + "\n")
        elif verb == "crash" and not (value and Path(value).exists()):
            if value:
                Path(value).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif verb == "raise":
            raise RuntimeError("as scripted")
        elif verb == "refuse":
            link.answer(Outcome(job.id, "failed", error="No.", error_kind="bad_request"))


def _done(job: EngineJob, batch: Batch) -> Outcome:
    given = batch.inputs.get(job.id, {}).get("image")
    items = [
        Media(given or f"{seed} {job.params['prompt']}".encode(), "text/plain", {"text": str(seed)})
        for seed in range(job.seed, job.seed + job.count)
    ]
    receipt = {
        "generator": job.generator,
        "model": job.model,
        "batch_size": sum(mate.count for mate in batch.jobs),
    }
    return Outcome(job.id, "done", items, receipt, gpu_ms=5 * job.count)


if __name__ == "__main__":
    serve_main(Scripted)
