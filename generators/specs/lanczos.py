"""A picture made larger by resampling: no network, so it is free and never invents anything."""

from __future__ import annotations

from pydantic import Field

from generators.contract import GeneratorSpec, Params


class LanczosParams(Params):
    """Inputs of the resampler; the picture itself travels as the input `image`."""

    scale: int = Field(default=4, ge=2, le=8, description="How many times wider and higher.")


SPEC = GeneratorSpec(
    name="lanczos",
    modality="image",
    summary={
        "en": "Makes a picture larger without changing it.",
        "zh": "放大图片而不改变内容。",
    },
    params=LanczosParams,
    capabilities=frozenset({"image_input", "upscale"}),
    compat_fields=("scale",),
    max_batch=16,
    first_estimate_gpu_ms=20,
    max_count=1,
    needs_weights=False,
)
