"""What a request must be, said in words: used by the supervisor, the model child and `python -m
generators`. No torch. Nobody downstream of the gateway trusts that it checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from generators import catalog
from generators.contract import MAX_SEED, BadRequest, GenerateRequest, Params
from generators.engine.port import EngineJob


def checked_params(generator: str, raw: Mapping[str, Any], *, seed: int, count: int) -> Params:
    """The params of a request, typed. Raises BadRequest with a sentence."""
    try:
        spec = catalog.spec(generator)
    except catalog.UnknownGenerator as error:
        said = str(error.args[0])
        raise BadRequest(
            f"{said[:1].upper()}{said[1:]}.", f"没有名为 {generator} 的生成器。"
        ) from error
    if not 0 <= seed <= MAX_SEED:
        raise BadRequest(
            f"The seed must lie between 0 and {MAX_SEED}; {seed} was asked for.",
            f"种子必须在 0 和 {MAX_SEED} 之间，而不是 {seed}。",
        )
    if not 1 <= count <= spec.max_count:
        raise BadRequest(
            f"The count must lie between 1 and {spec.max_count}, not {count}.",
            f"数量必须在 1 和 {spec.max_count} 之间，而不是 {count}。",
        )
    try:
        return spec.params.model_validate(dict(raw))
    except ValidationError as error:
        raise BadRequest(sentence(error), f"参数无效：{sentence(error)}") from error


def sentence(error: ValidationError) -> str:
    """The first things that are wrong, as one line for a person."""
    parts = []
    for problem in error.errors(include_url=False)[:3]:
        where = ".".join(str(part) for part in problem["loc"]) or "request"
        parts.append(f"{where}: {problem['msg']}")
    return "; ".join(parts) + "."


def checked_request(job: EngineJob, inputs: Mapping[str, bytes]) -> GenerateRequest:
    """A job as its model sees it. Raises BadRequest with a sentence."""
    params = checked_params(job.generator, job.params, seed=job.seed, count=job.count)
    return GenerateRequest(job.id, params, job.seed, job.count, dict(inputs))
