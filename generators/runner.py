"""The model child: holds the models, steps through batches, reports, honours cancel. Torch.

Started by the supervisor (`python -m generators.runner --fd N`); `python -m generators` uses the
same `Runner` without one. It knows no engine, no store and no person: jobs in, outcomes out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from generators import catalog, logs, media
from generators.contract import (
    BadRequest,
    Cancelled,
    Generated,
    GenerateRequest,
    GeneratorSpec,
    Media,
    OnStep,
    Receipt,
    Step,
)
from generators.engine.port import EngineJob
from generators.models_file import RegistryError
from generators.registry import ModelEntry, Registry, read_registry
from generators.runtime import (
    Loaded,
    ModelCache,
    free_memory,
    is_out_of_memory,
    make_runtime,
    versions,
)
from generators.serving import Batch, Outcome, Reporting, failed, serve_main
from generators.settings import GeneratorSettings
from generators.validation import checked_params
from generators.weights import WeightsError

log = structlog.get_logger(__name__)

_STEP_REPORT_S = 0.05  # steps come faster than anybody can look
_NO_MEMORY = BadRequest(
    "There is not enough memory for this; ask for something smaller.",
    "内存不足，请尝试更小的尺寸或数量。",
)


class Runner:
    """An executor that runs real models. One batch at a time, on one thread."""

    def __init__(self, settings: GeneratorSettings) -> None:
        self._settings = settings
        self._runtime = make_runtime(settings)
        self._cache = ModelCache(self._runtime)
        self._registry, self._registry_stamp = Registry(), -1.0

    def start(self, link: Reporting) -> None:
        """Load what ships, so that the first request need not wait for it."""
        self._report(link, ready=not self._settings.preload)
        if not self._settings.preload:
            return
        with suppress(RegistryError):  # said again, aloud, by every request it concerns
            registry = self._current_registry()
            for modality in ("text", "image"):
                entry = registry.default(modality)
                if entry is not None and entry.starter:
                    self._preload(entry, link)
        self._report(link, ready=True)

    def run(self, batch: Batch, link: Reporting) -> None:
        """Answer every job of the batch. What the supervisor says is compatible is checked."""
        groups: dict[tuple[str, str, str], list[GenerateRequest]] = {}
        for job in batch.jobs:
            try:
                request = _request(job, batch.inputs.get(job.id, {}))
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
        loaded = self._loaded(spec, model, requests, link)
        if loaded is None:
            return
        link.check()  # cancelled while the model was loaded: all of them, or some
        for request in requests:
            if link.cancelled(request.job_id):
                link.answer(Outcome(request.job_id, "cancelled"))
        requests = [request for request in requests if not link.cancelled(request.job_id)]
        run = _Run(spec, loaded, self._runtime.name, requests, link)
        try:
            answers = within_memory(loaded.model, requests, run.on_step)
        except Cancelled:
            for request in requests:
                link.answer(Outcome(request.job_id, "cancelled", gpu_ms=run.gpu_ms(request)))
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            for request in requests:
                link.answer(failed(request.job_id, _NO_MEMORY, "bad_request"))
            self._cache.clear()
            self._report(link, ready=True)
            return
        run.end()
        for request, answer in zip(requests, answers, strict=True):
            run.answer(request, answer)

    def _loaded(
        self, spec: GeneratorSpec, model: str, requests: Sequence[GenerateRequest], link: Reporting
    ) -> Loaded | None:
        """The model in memory; None where it cannot be had, and the requests know why."""
        try:
            entry = self._current_registry().entry(model)
            if entry.generator != spec.name:
                raise RegistryError(f"{model!r} is no {spec.name} model but {entry.generator}")
            before = self._cache.names
            loaded = self._cache.get(entry)
            if sorted(self._cache.names) != sorted(before):
                self._report(link, ready=True)
        except (RegistryError, WeightsError) as error:
            log.warning("a model is not on offer", model=model, error=str(error))
            reason = BadRequest(
                f"{str(error)[:1].upper()}{str(error)[1:]}.",
                f"模型 {model} 目前不可用；主人可以在日志中查看原因。",
            )
        except Exception:
            log.exception("a model cannot be loaded", model=model)
            reason = BadRequest(
                f"The model {model!r} could not be loaded; the log tells the host why.",
                f"模型 {model} 无法加载；主人可以在日志中查看原因。",
            )
        else:
            return loaded
        for request in requests:
            link.answer(failed(request.job_id, reason, "internal"))
        return None

    def _preload(self, entry: ModelEntry, link: Reporting) -> None:
        try:
            self._cache.get(entry)
        except Exception:  # it must not keep the other models from being served
            log.exception("a model cannot be loaded", model=entry.name)
        self._report(link, ready=False)

    def _report(self, link: Reporting, *, ready: bool) -> None:
        link.status(
            ready=ready,
            device=self._runtime.name,
            memory_bytes=self._cache.memory_bytes,
            loaded_models=self._cache.names,
        )

    def _current_registry(self) -> Registry:
        """The models on offer, read again when the host has edited the file."""
        path = self._settings.models_path
        stamp = path.stat().st_mtime if path.is_file() else 0.0
        if stamp != self._registry_stamp:
            self._registry, self._registry_stamp = read_registry(path), stamp
        return self._registry


class _Run:
    """One group's way through its model: the clock, the reports, the receipts."""

    def __init__(
        self,
        spec: GeneratorSpec,
        loaded: Loaded,
        device: str,
        requests: Sequence[GenerateRequest],
        link: Reporting,
    ) -> None:
        self._spec, self._loaded, self._device, self._link = spec, loaded, device, link
        self._requests = {request.job_id: request for request in requests}
        self._items = sum(request.count for request in requests)
        self._began = self._last_report = time.monotonic()
        self._wall_ms: float | None = None

    def on_step(self, step: Step) -> frozenset[str]:
        """Pass a step on, unless the last one was a moment ago and this one shows nothing new."""
        for job_id, generated in step.finished.items():
            self.answer(self._requests[job_id], generated)
        now = time.monotonic()
        shows = step.previews or step.texts or step.inference_step >= step.total_steps
        if not shows and now - self._last_report < _STEP_REPORT_S:
            return self._link.check()
        self._last_report = now
        return self._link.on_step(step)

    def end(self) -> None:
        """The model is done; what follows is not its time."""
        self._wall_ms = 1000 * (time.monotonic() - self._began)

    def gpu_ms(self, request: GenerateRequest) -> int:
        """The request's share, by items, of the batch's time so far."""
        wall_ms = self._wall_ms
        if wall_ms is None:
            wall_ms = 1000 * (time.monotonic() - self._began)
        return max(1, round(wall_ms * request.count / self._items))

    def answer(self, request: GenerateRequest, answer: Generated | BadRequest) -> None:
        """Give one request its outcome."""
        gpu_ms = self.gpu_ms(request)
        if self._link.cancelled(request.job_id):
            self._link.answer(Outcome(request.job_id, "cancelled", gpu_ms=gpu_ms))
        elif isinstance(answer, BadRequest):
            refused = failed(request.job_id, answer, "bad_request")
            self._link.answer(replace(refused, gpu_ms=gpu_ms))
        else:
            receipt = self._receipt(request, answer, gpu_ms)
            self._link.answer(
                Outcome(
                    request.job_id,
                    "done",
                    self._with_grid(request, answer.items),
                    receipt.model_dump(mode="json"),
                    gpu_ms,
                )
            )

    def _with_grid(self, request: GenerateRequest, items: Sequence[Media]) -> list[Media]:
        pictures = [item for item in items if item.role == "item"]
        if len(pictures) < 2 or any(not item.mime.startswith("image/") for item in pictures):
            return list(items)
        provenance = media.Provenance(self._spec.name, self._loaded.weights_hash, request.seed)
        return [*items, media.contact_sheet(pictures, provenance)]

    def _receipt(self, request: GenerateRequest, generated: Generated, gpu_ms: int) -> Receipt:
        return Receipt(
            generator=self._spec.name,
            model=self._loaded.entry.name,
            weights_hash=self._loaded.weights_hash,
            seed=request.seed,
            count=request.count,
            params=dict(generated.params),
            versions=versions(self._loaded.model.libraries),
            device=self._device,
            dtype=self._loaded.dtype,
            batch_size=self._items,
            gpu_ms=gpu_ms,
        )


Generate = Callable[[Sequence[GenerateRequest], OnStep], "list[Generated | BadRequest]"]


def within_memory(
    model: object, requests: Sequence[GenerateRequest], on_step: OnStep
) -> list[Generated | BadRequest]:
    """Run a batch; where memory does not suffice, run its halves, down to single items.

    Noise is drawn per item, so a halved batch draws the same pictures. The last error gets through.
    """
    generate: Generate = model.generate  # type: ignore[attr-defined]
    try:
        return generate(requests, on_step)
    except Exception as error:
        if not is_out_of_memory(error) or sum(request.count for request in requests) < 2:
            raise
        log.warning("a batch does not fit into memory and is halved", error=str(error))
    free_memory()  # outside of `except`, which would keep the failed batch's tensors alive
    first, second = _halves(requests)
    answers = within_memory(model, first, _part(on_step, 0))
    answers += within_memory(model, second, _part(on_step, 1))
    return answers if len(requests) > 1 else [_joined(answers)]


def _halves(
    requests: Sequence[GenerateRequest],
) -> tuple[list[GenerateRequest], list[GenerateRequest]]:
    """Two smaller batches; a single request is cut between its items."""
    if len(requests) > 1:
        middle = len(requests) // 2
        return list(requests[:middle]), list(requests[middle:])
    whole = requests[0]
    count = whole.count // 2
    rest = replace(whole, first_item=whole.first_item + count, count=whole.count - count)
    return [replace(whole, count=count)], [rest]


def _part(on_step: OnStep, half: int) -> OnStep:
    """Steps of one half as steps of the whole. Results are not early any more: they are parts."""

    def report(step: Step) -> frozenset[str]:
        return on_step(
            replace(
                step,
                inference_step=half * step.total_steps + step.inference_step,
                total_steps=2 * step.total_steps,
                finished={},
            )
        )

    return report


def _joined(answers: Sequence[Generated | BadRequest]) -> Generated | BadRequest:
    items: list[Media] = []
    for answer in answers:
        if isinstance(answer, BadRequest):
            return answer
        items += answer.items
        params = answer.params
    return Generated(items, params)


def _request(job: EngineJob, inputs: Mapping[str, bytes]) -> GenerateRequest:
    params = checked_params(job.generator, job.params, seed=job.seed, count=job.count)
    return GenerateRequest(job.id, params, job.seed, job.count, dict(inputs))


def make() -> Runner:
    """The runner of this process, as its environment says."""
    settings = GeneratorSettings()
    logs.configure(settings.log_format, settings.log_level, process="runner")
    with suppress(OSError):
        os.nice(settings.nice)  # the gateway's answers come first
    return Runner(settings)


if __name__ == "__main__":
    serve_main(make)
