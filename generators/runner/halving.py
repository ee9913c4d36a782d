"""Batches that do not fit into memory, run in smaller parts. Torch (to know the error)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from generators.contract import BadRequest, Generated, GenerateRequest, Media, OnStep, Step
from generators.runtime import free_memory, is_out_of_memory

log = structlog.get_logger(__name__)

NO_MEMORY = BadRequest(
    "There is not enough memory for this; ask for something smaller.",
    "内存不足，请尝试更小的尺寸或数量。",
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
    except (RuntimeError, MemoryError) as error:
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
