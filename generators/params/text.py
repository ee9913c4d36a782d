"""Inputs that every family of language models takes. No torch; for `generators.specs`."""

from __future__ import annotations

from pydantic import Field

from generators.contract import Params


class TextParams(Params):
    """Inputs of a causal language model, named as transformers names them."""

    prompt: str = Field(
        min_length=1,
        max_length=4000,
        description="A word to define, or the beginning of a text to go on with.",
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, le=1024, description="How many tokens to write at most."
    )
    temperature: float | None = Field(
        default=None, ge=0.0, le=2.0, description="0 is the likeliest text, 1 as learned, 2 wild."
    )
    top_k: int | None = Field(
        default=None, ge=0, le=1000, description="Choose among so many tokens; 0 means all."
    )
    top_p: float | None = Field(
        default=None, gt=0.0, le=1.0, description="Choose among tokens of this joint probability."
    )
    repetition_penalty: float | None = Field(
        default=None, ge=1.0, le=2.0, description="Above 1, words already written get rarer."
    )
