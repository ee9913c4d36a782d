"""An enlarger is measured beside Lanczos, through its generator."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from generators import catalog
from generators.contract import Generated, GenerateRequest, Media
from generators.registry import ModelEntry
from trainer.evaluation import reconstruction
from trainer.evaluation.subject import Subject


class Repeater:
    """Enlarges by repeating pixels: worse than Lanczos on anything round."""

    def generate(self, requests: Sequence[GenerateRequest], on_step: Any) -> list[Generated]:
        answers = []
        for request in requests:
            small = Image.open(io.BytesIO(request.inputs["image"]))
            scale = request.params.scale  # type: ignore[attr-defined]
            size = (small.width * scale, small.height * scale)
            buffer = io.BytesIO()
            small.resize(size, Image.Resampling.NEAREST).save(buffer, "PNG")
            answers.append(Generated([Media(buffer.getvalue(), "image/png")], {}))
        return answers


def test_repeated_pixels_lose_to_lanczos(pictures: Path) -> None:
    entry = ModelEntry(name="repeater", generator="super_resolution")
    subject = Subject(entry, catalog.spec("super_resolution"), Repeater())
    ticks: list[int] = []
    results = reconstruction.measure_enlarger(subject, pictures, ticks.append)
    assert sum(ticks) == 4, "two held-out pictures at two scales"
    assert [figure.name for figure in results.figures] == [
        "enlarged_x2_psnr",
        "enlarged_x4_psnr",
    ]
    for figure in results.figures:
        assert figure.reference is not None
        assert 10 < figure.value < figure.reference
    assert set(results.sheets) == {"enlarged.png"}


@pytest.mark.parametrize("scale", reconstruction.SCALES)
def test_the_scales_are_those_the_generator_offers(scale: int) -> None:
    catalog.spec("super_resolution").params(scale=scale)  # type: ignore[call-arg]
