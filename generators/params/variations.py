"""Relatives of relatives: which noises an item is mixed from, in order. No torch.

An item's noise is drawn from its seed; a variation mixes in the noise of another seed by some
strength (`sampling.slerp`). A variation of a variation starts from the noise of exactly the item
one has clicked on, so the earlier steps travel along as `variation_trail`: `seed:strength` joined
by commas, oldest first. A generator with the capability `variation` takes `VariationParams` and
draws item i from `steps(params, i)`, mixed one after another into the noise of the request's seed
(of the seed itself, not seed + i, as soon as there is a step).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from generators.contract import MAX_SEED, Params

MAX_TRAIL_CHARACTERS = 400
TRAIL_PATTERN = r"^(\d{1,10}:[01](\.\d{1,4})?(,\d{1,10}:[01](\.\d{1,4})?)*)?$"


class VariationParams(Params):
    """What a generator takes that knows relatives."""

    variation_seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Seed of the noise mixed into the seed's own, for relatives: with a"
        " variation_strength above 0 every item keeps the noise of the seed itself (not seed + i),"
        " and item i mixes in the noise of variation_seed + i.",
    )
    variation_strength: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="0 keeps the seed's noise, 1 takes the variation seed's (spherical mix).",
    )
    variation_trail: str = Field(
        default="",
        max_length=MAX_TRAIL_CHARACTERS,
        pattern=TRAIL_PATTERN,
        description="Earlier variations that lead to the picture varied now: seed:strength,...",
        json_schema_extra={"zh": "通向当前图片的先前变体：种子:强度,……"},
    )


def steps(params: Any, index: int) -> tuple[tuple[int, float], ...]:
    """The (seed, strength) to mix in for item `index` (from 0) of a request, in order; none for an
    item that is drawn from its own seed alone."""
    found = parsed(getattr(params, "variation_trail", ""))
    if params.variation_seed is not None and params.variation_strength > 0:
        seed = (params.variation_seed + index) % (MAX_SEED + 1)
        found = (*found, (seed, params.variation_strength))
    return found


def parsed(trail: str) -> tuple[tuple[int, float], ...]:
    """The steps in a trail that fits TRAIL_PATTERN."""
    parts = (step.split(":") for step in trail.split(",") if step)
    return tuple((int(seed) % (MAX_SEED + 1), float(strength)) for seed, strength in parts)


def extended(trail: str, seed: int, strength: float) -> str | None:
    """The trail with one step more; None where it would become too long."""
    longer = f"{trail},{seed}:{strength:g}" if trail else f"{seed}:{strength:g}"
    return longer if len(longer) <= MAX_TRAIL_CHARACTERS else None
