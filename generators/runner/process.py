"""The model child: holds the models, steps through batches, reports, honours cancel. Torch.

Started by the supervisor (`python -m generators.runner --fd N`); `python -m generators` uses the
same `Runner` without one. It knows no engine, no store and no person: jobs in, outcomes out.

One thread does it all. Batches run to their end one after another; texts, which join and leave at
any step, have their turns in between (`generators.runner.seats`): while pictures are drawn, half of
the time at most, so neither keeps the other waiting for long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from generators import catalog, logs
from generators.contract import (
    BadRequest,
    Cancelled,
    Generated,
    GenerateRequest,
    GeneratorSpec,
    Step,
)
from generators.runner.answers import Answers
from generators.runner.halving import NO_MEMORY, within_memory
from generators.runner.seats import Seats
from generators.runner.shelf import Shelf
from generators.runtime import is_out_of_memory, make_runtime
from generators.serving import Batch, Outcome, Reporting, failed
from generators.settings import GeneratorSettings
from generators.validation import checked_request

_STEP_REPORT_S = 0.05  # steps come faster than anybody can look


class Runner:
    """An executor that runs real models; see `serving.ContinuousExecutor`."""

    def __init__(self, settings: GeneratorSettings) -> None:
        runtime = make_runtime(settings)
        self._device = runtime.name
        self._shelf = Shelf(settings, runtime)
        self._seats = Seats(self._shelf, self._device)

    def start(self, link: Reporting) -> None:
        """Load what ships, so that the first request need not wait for it."""
        self._shelf.preload(link)

    def turn(self, link: Reporting) -> bool:
        """One token for every text."""
        return self._seats.turn(link)

    def run(self, batch: Batch, link: Reporting) -> None:
        """Answer every job of the batch. What the supervisor says is compatible is checked."""
        groups: dict[tuple[str, str, str], list[GenerateRequest]] = {}
        for job in batch.jobs:
            try:
                request = checked_request(job, batch.inputs.get(job.id, {}))
            except BadRequest as error:
                link.answer(failed(job.id, error, "bad_request"))
                continue
            compat = catalog.spec(job.generator).compat_key(job.model, request.params)
            groups.setdefault((job.generator, job.model, compat), []).append(request)
        for (generator, model, _), requests in groups.items():
            with suppress(Cancelled):  # of this group; the next may be wanted
                self._run_group(catalog.spec(generator), model, requests, link)

    def _run_group(
        self, spec: GeneratorSpec, model: str, requests: Sequence[GenerateRequest], link: Reporting
    ) -> None:
        if model not in self._shelf.names:
            self._seats.empty(link)  # loading may need the memory of a model being used there
        loaded = self._shelf.take(spec, model, [request.job_id for request in requests], link)
        if loaded is None:
            return
        link.check()  # cancelled while the model was loaded: all of them, or some
        for request in requests:
            if link.cancelled(request.job_id):
                link.answer(Outcome(request.job_id, "cancelled"))
        requests = [request for request in requests if not link.cancelled(request.job_id)]
        run = _Run(Answers(spec, loaded, self._device, link), requests, self._seats)
        try:
            answers = within_memory(loaded.model, requests, run.on_step)
        except Cancelled:
            for request in requests:
                link.answer(Outcome(request.job_id, "cancelled", gpu_ms=run.gpu_ms(request)))
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            for request in requests:
                link.answer(failed(request.job_id, NO_MEMORY, "bad_request"))
            self._shelf.clear(link)
            return
        run.end()
        for request, answer in zip(requests, answers, strict=True):
            run.answer(request, answer)


class _Run:
    """One group's way through its model: the clock, the reports, the turns of others."""

    def __init__(self, answers: Answers, requests: Sequence[GenerateRequest], seats: Seats) -> None:
        self._answers, self._link, self._seats = answers, answers.link, seats
        self._requests = {request.job_id: request for request in requests}
        self._items = sum(request.count for request in requests)
        self._began = self._last_report = self._step_began = time.monotonic()
        self._wall_ms: float | None = None
        self._lent_s = 0.0  # to texts

    def on_step(self, step: Step) -> frozenset[str]:
        """Pass a step on, unless the last one was a moment ago and this one shows nothing new;
        then let texts have as much time as the step took."""
        for job_id, generated in step.finished.items():
            self.answer(self._requests[job_id], generated)
        now = time.monotonic()
        shows = step.previews or step.texts or step.inference_step >= step.total_steps
        if not shows and now - self._last_report < _STEP_REPORT_S:
            unwanted = self._link.check()
        else:
            self._last_report = now
            unwanted = self._link.on_step(step)
        self._lend(now - self._step_began)
        return unwanted

    def _lend(self, seconds: float) -> None:
        began = time.monotonic()
        while self._seats.turn(self._link, may_load=False):
            if time.monotonic() - began >= seconds:
                break
        self._step_began = time.monotonic()
        self._lent_s += self._step_began - began

    def end(self) -> None:
        """The model is done; what follows is not its time."""
        self._wall_ms = self._elapsed_ms()

    def gpu_ms(self, request: GenerateRequest) -> int:
        """The request's share, by items, of the batch's own time so far."""
        wall_ms = self._elapsed_ms() if self._wall_ms is None else self._wall_ms
        return max(1, round(wall_ms * request.count / self._items))

    def answer(self, request: GenerateRequest, answer: Generated | BadRequest) -> None:
        """Give one request its outcome."""
        gpu_ms = self.gpu_ms(request)
        self._answers.give(request, answer, gpu_ms=gpu_ms, batch_size=self._items)

    def _elapsed_ms(self) -> float:
        return 1000 * (time.monotonic() - self._began - self._lent_s)


def make() -> Runner:
    """The runner of this process, as its environment says."""
    settings = GeneratorSettings()
    logs.configure(settings.log_format, settings.log_level, process="runner")
    with suppress(OSError):
        os.nice(settings.nice)  # the gateway's answers come first
    return Runner(settings)
