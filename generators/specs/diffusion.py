"""Pictures and loops by latent diffusion: any text-to-image pipeline of diffusers, ours included.

With the input `image` a picture starts from an upload; with `frames` it becomes a short video that
ends where it begins.
"""

from __future__ import annotations

from pydantic import Field

from generators.contract import GeneratorSpec
from generators.params.pictures import Prompt, Upscale
from generators.params.variations import VariationParams


class DiffusionParams(VariationParams):
    """Inputs of a text-to-image pipeline, named as diffusers names them."""

    prompt: Prompt
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
    strength: float = Field(
        default=0.6,
        ge=0.05,
        le=1.0,
        description="How far to go from the attached picture: near 0 keeps it, 1 ignores it.",
        json_schema_extra={"zh": "与所附图片的差距：接近 0 保留原图，1 忽略原图。"},
    )
    upscale: Upscale = None
    frames: int = Field(
        default=0,
        ge=0,
        le=96,
        description="Frames of the loop; 0 makes a still picture.",
        json_schema_extra={"zh": "循环动画的帧数；0 表示静止图片。"},
    )
    fps: int = Field(
        default=12,
        ge=1,
        le=30,
        description="Frames per second of the loop.",
        json_schema_extra={"zh": "动画每秒的帧数。"},
    )
    motion: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="How far a loop moves away from the still picture; 1 is all the way.",
        json_schema_extra={"zh": "动画偏离静止图片的幅度；1 表示最大。"},
    )


SPEC = GeneratorSpec(
    name="diffusion",
    modality="image",
    summary={
        "en": "Draws a picture from words.",
        "zh": "根据文字画一张图。",
    },
    params=DiffusionParams,
    capabilities=frozenset({"prompt", "variation", "preview", "image_input", "animate"}),
    compat_fields=(
        "guidance_scale",
        "num_inference_steps",
        "height",
        "width",
        "strength",
        "upscale",
        "frames",
    ),
    max_batch=16,
    first_estimate_gpu_ms=1500,
)
