"""The models of a model child: which are on offer, which are in memory. Torch.

`generators.runner` and `generators.runner.seats` take models from here, on one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import structlog

from generators.contract import BadRequest, GeneratorSpec
from generators.models_file import RegistryError
from generators.registry import ModelEntry, Registry, read_registry
from generators.runtime import Loaded, ModelCache, Runtime
from generators.serving import Reporting, failed
from generators.settings import GeneratorSettings
from generators.weights import WeightsError

log = structlog.get_logger(__name__)


class Shelf:
    """Models by name, loaded when they are asked for."""

    def __init__(self, settings: GeneratorSettings, runtime: Runtime) -> None:
        self._settings, self._runtime = settings, runtime
        self._cache = ModelCache(runtime)
        self._registry, self._registry_stamp = Registry(), -1.0

    @property
    def names(self) -> list[str]:
        """The models in memory."""
        return self._cache.names

    def preload(self, link: Reporting) -> None:
        """Load what ships, so that the first request need not wait for it, and say so."""
        self.report(link, ready=not self._settings.preload)
        if not self._settings.preload:
            return
        with suppress(RegistryError):  # said again, aloud, by every request it concerns
            registry = self._current_registry()
            for modality in ("text", "image"):
                entry = registry.default(modality)
                if entry is not None and entry.starter:
                    self._preload(entry, link)
        self.report(link, ready=True)

    def take(
        self, spec: GeneratorSpec, model: str, job_ids: Sequence[str], link: Reporting
    ) -> Loaded | None:
        """The model in memory; None where it cannot be had, and these jobs have been told why."""
        try:
            entry = self._current_registry().entry(model)
            if entry.generator != spec.name:
                raise RegistryError(f"{model!r} is no {spec.name} model but {entry.generator}")
            before = self._cache.names
            loaded = self._cache.get(entry)
            if sorted(self._cache.names) != sorted(before):
                self.report(link, ready=True)
        except (RegistryError, WeightsError) as error:
            log.warning("a model is not on offer", model=model, error=str(error))
            reason = BadRequest(
                f"{str(error)[:1].upper()}{str(error)[1:]}.",
                f"模型 {model} 目前不可用；主人可以在日志中查看原因。",
            )
        except Exception:  # of any library: the other models are still to be had
            log.exception("a model cannot be loaded", model=model)
            reason = BadRequest(
                f"The model {model!r} could not be loaded; the log tells the host why.",
                f"模型 {model} 无法加载；主人可以在日志中查看原因。",
            )
        else:
            return loaded
        for job_id in job_ids:
            link.answer(failed(job_id, reason, "internal"))
        return None

    def clear(self, link: Reporting) -> None:
        """Drop every model: memory has run out."""
        self._cache.clear()
        self.report(link, ready=True)

    def report(self, link: Reporting, *, ready: bool) -> None:
        """Say what is in memory."""
        link.status(
            ready=ready,
            device=self._runtime.name,
            memory_bytes=self._cache.memory_bytes,
            loaded_models=self._cache.names,
        )

    def _preload(self, entry: ModelEntry, link: Reporting) -> None:
        try:
            self._cache.get(entry)
        except Exception:  # it must not keep the other models from being served
            log.exception("a model cannot be loaded", model=entry.name)
        self.report(link, ready=False)

    def _current_registry(self) -> Registry:
        """The models on offer, read again when the host has edited the file."""
        path = self._settings.models_path
        stamp = path.stat().st_mtime if path.is_file() else 0.0
        if stamp != self._registry_stamp:
            self._registry, self._registry_stamp = read_registry(path), stamp
        return self._registry
