"""Text from text: any causal language model of transformers, ours included."""

from __future__ import annotations

from generators.contract import GeneratorSpec
from generators.params.text import TextParams


class Gpt2Params(TextParams):
    """Inputs of a transformer that goes on with a text."""


SPEC = GeneratorSpec(
    name="gpt2",
    modality="text",
    summary={
        "en": "Writes a text from its beginning.",
        "zh": "根据开头续写文字。",
    },
    params=Gpt2Params,
    capabilities=frozenset({"prompt", "stream"}),
    compat_fields=(),  # lengths and sampling settings differ per row without harm
    max_batch=16,
    first_estimate_gpu_ms=1500,
    continuous=True,
)
