"""A picture made larger by a small net that knows how edges of artwork look."""

from __future__ import annotations

from pydantic import Field

from generators.contract import GeneratorSpec, Params


class SuperResolutionParams(Params):
    """Inputs of the net; the picture itself travels as the input `image`."""

    scale: int = Field(default=4, ge=2, le=8, description="How many times wider and higher.")


SPEC = GeneratorSpec(
    name="super_resolution",
    modality="image",
    summary={
        "en": "Makes a picture larger with crisp edges.",
        "zh": "放大图片并让边缘清晰。",
    },
    params=SuperResolutionParams,
    capabilities=frozenset({"image_input", "upscale"}),
    compat_fields=("scale",),
    max_batch=16,
    first_estimate_gpu_ms=150,
    max_count=1,
)
