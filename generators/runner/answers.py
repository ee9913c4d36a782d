"""From what a model gave to what the supervisor gets: outcome, receipt, contact sheet. Torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from generators import media
from generators.contract import (
    BadRequest,
    Generated,
    GenerateRequest,
    GeneratorSpec,
    Media,
    Receipt,
)
from generators.runtime import Loaded, versions
from generators.serving import Outcome, Reporting, failed


@dataclass(frozen=True, slots=True)
class Answers:
    """Gives the requests of one model their outcomes."""

    spec: GeneratorSpec
    loaded: Loaded
    device: str
    link: Reporting

    def give(
        self,
        request: GenerateRequest,
        answer: Generated | BadRequest,
        *,
        gpu_ms: int,
        batch_size: int,
    ) -> None:
        """One request's outcome: its media with their receipt, a refusal, or that it was cancelled.

        `batch_size`: items that ran together; `gpu_ms`: this request's share of their time.
        """
        if self.link.cancelled(request.job_id):
            self.link.answer(Outcome(request.job_id, "cancelled", gpu_ms=gpu_ms))
        elif isinstance(answer, BadRequest):
            refused = failed(request.job_id, answer, "bad_request")
            self.link.answer(replace(refused, gpu_ms=gpu_ms))
        else:
            receipt = self._receipt(request, answer, gpu_ms, batch_size).model_dump(mode="json")
            items = self._with_grid(request, answer.items)
            self.link.answer(Outcome(request.job_id, "done", items, receipt, gpu_ms))

    def _with_grid(self, request: GenerateRequest, items: Sequence[Media]) -> list[Media]:
        pictures = [item for item in items if item.role == "item"]
        if len(pictures) < 2 or any(not item.mime.startswith("image/") for item in pictures):
            return list(items)
        provenance = media.Provenance(self.spec.name, self.loaded.weights_hash, request.seed)
        return [*items, media.contact_sheet(pictures, provenance)]

    def _receipt(
        self, request: GenerateRequest, generated: Generated, gpu_ms: int, batch_size: int
    ) -> Receipt:
        return Receipt(
            generator=self.spec.name,
            model=self.loaded.entry.name,
            weights_hash=self.loaded.weights_hash,
            adapter_hash=getattr(self.loaded, "adapter_hash", None),
            seed=request.seed,
            count=request.count,
            params=dict(generated.params),
            versions=versions(self.loaded.model.libraries),
            device=self.device,
            dtype=self.loaded.dtype,
            tolerance=getattr(self.loaded.model, "tolerance", ""),
            batch_size=batch_size,
            gpu_ms=gpu_ms,
        )
