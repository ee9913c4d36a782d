"""A variational autoencoder with words: it draws, blends two pictures, and cleans one.

Without inputs it draws the prompt. With the inputs `image` and `image_b` it makes what lies between
the two; with `image` alone it gives that picture back without noise and damage.
"""

from __future__ import annotations

from pydantic import Field

from generators.contract import GeneratorSpec
from generators.params.pictures import Truncation, Upscale
from generators.params.variations import VariationParams


class VaeParams(VariationParams):
    """Inputs of the VAE; the pictures themselves travel as the inputs `image` and `image_b`."""

    prompt: str = Field(
        default="picture",
        min_length=1,
        max_length=1000,
        description="What the picture shows; not read where pictures are given.",
        json_schema_extra={"zh": "画面内容；附有图片时不使用。"},
    )
    truncation: Truncation = None
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
    upscale: Upscale = None


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
