"""A variational autoencoder with words: it draws, blends two pictures, and cleans one.

Without inputs it draws the prompt. With the inputs `image` and `image_b` it makes what lies between
the two; with `image` alone it gives that picture back without noise and damage.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from generators.contract import MAX_SEED, GeneratorSpec, Params
from generators.variations import trail_field


class VaeParams(Params):
    """Inputs of the VAE; the pictures themselves travel as the inputs `image` and `image_b`."""

    prompt: str = Field(
        default="picture",
        min_length=1,
        max_length=1000,
        description="What the picture shows; not read where pictures are given.",
        json_schema_extra={"zh": "画面内容；附有图片时不使用。"},
    )
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
    blend: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Where between two pictures: 0 is the first, 1 the second. Several items are"
        " spread evenly over the way instead.",
        json_schema_extra={"zh": "两张图之间的位置：0 为第一张，1 为第二张；多张时均匀分布。"},
    )
    denoise: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="How thoroughly a picture is cleaned: 0 only passes it through, 1 trusts the"
        " model alone.",
        json_schema_extra={"zh": "清理的力度：0 仅通过编码器，1 完全相信模型。"},
    )
    upscale: Literal[1, 2, 4] | None = Field(
        default=None,
        description="How many times larger the finished picture is made, in each direction.",
        json_schema_extra={"zh": "完成后把宽和高放大几倍。"},
    )


SPEC = GeneratorSpec(
    name="vae",
    modality="image",
    summary={
        "en": "Draws from words, blends two pictures, cleans a noisy one.",
        "zh": "根据文字作画，融合两张图片，清理有噪点的图片。",
    },
    params=VaeParams,
    capabilities=frozenset({"prompt", "variation", "blend", "denoise"}),
    compat_fields=("upscale",),
    max_batch=16,
    first_estimate_gpu_ms=60,
)
