"""Text to image by latent diffusion: any text-to-image pipeline of diffusers, ours included."""

from __future__ import annotations

from pydantic import Field

from generators.contract import MAX_SEED, GeneratorSpec, Params


class DiffusionParams(Params):
    """Inputs of a text-to-image pipeline, named as diffusers names them."""

    prompt: str = Field(min_length=1, max_length=1000, description="What the picture shows.")
    negative_prompt: str = Field(
        default="", max_length=1000, description="What the picture should not show."
    )
    guidance_scale: float | None = Field(
        default=None,
        ge=0.0,
        le=30.0,
        description="How strictly the prompt is followed; 0 or 1 means not at all beyond once.",
    )
    num_inference_steps: int | None = Field(
        default=None, ge=1, le=150, description="Denoising steps; more is slower and finer."
    )
    height: int | None = Field(default=None, ge=32, le=2048, description="Height in pixels.")
    width: int | None = Field(default=None, ge=32, le=2048, description="Width in pixels.")
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


SPEC = GeneratorSpec(
    name="diffusion",
    modality="image",
    summary={
        "en": "Draws a picture from words.",
        "zh": "根据文字画一张图。",
    },
    params=DiffusionParams,
    capabilities=frozenset({"prompt", "variation", "preview"}),
    compat_fields=("guidance_scale", "num_inference_steps", "height", "width"),
    max_batch=16,
    first_estimate_gpu_ms=1500,
)
