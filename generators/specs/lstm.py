"""Text from text by a small recurrent network."""

from __future__ import annotations

from generators.contract import GeneratorSpec
from generators.params.text import TextParams


class LstmParams(TextParams):
    """Inputs of a recurrent network that goes on with a text."""


SPEC = GeneratorSpec(
    name="lstm",
    modality="text",
    summary={
        "en": "Writes a text from its beginning, quickly and with a short memory.",
        "zh": "根据开头续写文字，速度快，记性短。",
    },
    params=LstmParams,
    capabilities=frozenset({"prompt", "stream"}),
    compat_fields=(),  # lengths and sampling settings differ per row without harm
    max_batch=16,
    first_estimate_gpu_ms=500,
    continuous=True,
)
