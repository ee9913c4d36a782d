"""Inputs that several families of pictures take. No torch; for `generators.specs`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Prompt = Annotated[str, Field(min_length=1, max_length=1000, description="What the picture shows.")]

Truncation = Annotated[
    float | None,
    Field(
        ge=0.0,
        le=2.0,
        description="How far to stray: 0 draws the typical picture, 1 as learned, more is wilder.",
        json_schema_extra={"zh": "变化的幅度：0 画最典型的样子，1 如所学，更大则更随性。"},
    ),
]

Upscale = Annotated[
    Literal[1, 2, 4] | None,
    Field(
        description="How many times larger the finished picture is made, in each direction.",
        json_schema_extra={"zh": "完成后把宽和高放大几倍。"},
    ),
]
