"""Text to image in one step, by a generative adversarial network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from generators.contract import MAX_SEED, GeneratorSpec, Params
from generators.variations import trail_field


class GanParams(Params):
    """Inputs of the generator net."""

    prompt: str = Field(min_length=1, max_length=1000, description="What the picture shows.")
    truncation: float | None = Field(
        default=None,
        ge=0.0,
        le=2.0,
        description="How far to stray: 0 draws the typical picture, 1 as learned, more is wilder.",
        json_schema_extra={"zh": "变化的幅度：0 画最典型的样子，1 如所学，更大则更随性。"},
    )
    variation_seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Seed of the noise mixed into the seed's own, for relatives: item i mixes in"
        " the noise of variation_seed + i.",
    )
    variation_strength: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="0 keeps the seed's noise, 1 takes the variation seed's (spherical mix).",
    )
    variation_trail: str = trail_field()
    upscale: Literal[1, 2, 4] | None = Field(
        default=None,
        description="How many times larger the finished picture is made, in each direction.",
        json_schema_extra={"zh": "完成后把宽和高放大几倍。"},
    )


SPEC = GeneratorSpec(
    name="gan",
    modality="image",
    summary={
        "en": "Draws a picture from words in one step.",
        "zh": "根据文字一步画出一张图。",
    },
    params=GanParams,
    capabilities=frozenset({"prompt", "variation"}),
    compat_fields=("upscale",),
    max_batch=16,
    first_estimate_gpu_ms=40,
)
