"""Enlarging by resampling with Pillow's Lanczos filter: no network, nothing invented.

Source: Duchon, "Lanczos filtering in one and two dimensions", J. Appl. Meteor. 18 (1979);
`PIL.Image.Resampling.LANCZOS` is the filter with three lobes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from generators import media
from generators.contract import CANCELLED, BadRequest, Generated, GenerateRequest, OnStep, Step
from generators.registry import ModelEntry

MAX_OUTPUT_PIXELS = 4096 * 4096


class Model:
    """Resamples the input `image`."""

    libraries = ("pillow",)
    memory_bytes = 0

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Any) -> Model:
        """There is nothing to load."""
        return cls()

    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """One enlarged picture per request; each is a step."""
        answers: list[Generated | BadRequest] = []
        unwanted: frozenset[str] = frozenset()
        for index, request in enumerate(requests, start=1):
            if request.job_id in unwanted:
                answers.append(CANCELLED)
            else:
                answers.append(_enlarged(request))
            unwanted = on_step(Step(index, len(requests)))
        return answers


def _enlarged(request: GenerateRequest) -> Generated | BadRequest:
    scale: int = request.params.scale  # type: ignore[attr-defined]
    if "image" not in request.inputs:
        return BadRequest(
            "There is no picture to enlarge; attach one.", "没有要放大的图片，请附上一张。"
        )
    try:
        image = media.decode_image(
            request.inputs["image"], max_pixels=MAX_OUTPUT_PIXELS // scale**2
        )
    except BadRequest as error:
        return error
    large = image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)
    provenance = media.Provenance("lanczos", "", request.seed)
    return Generated([media.png(large, provenance)], {"scale": scale})
