"""Text to image in one step, by a generative adversarial network."""

from __future__ import annotations

from generators.contract import GeneratorSpec
from generators.params.pictures import Prompt, Truncation, Upscale
from generators.params.variations import VariationParams


class GanParams(VariationParams):
    """Inputs of the generator net."""

    prompt: Prompt
    truncation: Truncation = None
    upscale: Upscale = None


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
