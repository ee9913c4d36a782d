"""What compiling the net of a pipeline gains: the same pictures, before and after.

The model that ships, sixteen pictures at once, in this process (a minute goes into compiling).
"""

from __future__ import annotations

import io
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from generators import catalog
from generators.contract import Generated, GenerateRequest
from generators.models import diffusion
from generators.registry import read_registry
from generators.runtime import make_runtime
from generators.settings import GeneratorSettings

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Report

TOGETHER, ROUNDS, MOST_AWAY = 16, 3, 24  # of 255: in bfloat16, after 16 steps


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, while it compiles
def test_compiled(tmp_path: Path, report: Report) -> None:
    settings = GeneratorSettings(data_dir=tmp_path)
    entry = read_registry(settings.models_path).entry("diffusion")
    runtime = make_runtime(settings)
    plain_s, plain = _drawn(diffusion.Model.load(entry, runtime))
    model = diffusion.Model.load(entry.model_copy(update={"compile": True}), runtime)
    compiled_s, compiled = _drawn(model)
    assert np.abs(plain - compiled).mean() < 1
    assert np.abs(plain - compiled).max() <= MOST_AWAY
    what = f"{TOGETHER} pictures by a compiled net"
    report.add(what, TOGETHER / compiled_s, "pictures/s", "the net as it is", TOGETHER / plain_s)


def _drawn(model: Any) -> tuple[float, np.ndarray]:
    """Seconds a batch takes, and its pixels (N, H, W, 3)."""
    params = catalog.spec("diffusion").params(prompt="red heart", upscale=1)
    asked = [GenerateRequest(str(seed), params, seed) for seed in range(TOGETHER)]

    def draw() -> list[Any]:
        answers: list[Any] = model.generate(asked, lambda step: frozenset())
        return answers

    answers = draw()  # compiles
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answers = draw()
        times.append(time.perf_counter() - began)
    assert all(isinstance(answer, Generated) for answer in answers)
    pictures = [Image.open(io.BytesIO(answer.items[0].data)) for answer in answers]
    return statistics.median(times), np.stack([np.asarray(p.convert("RGB"), int) for p in pictures])
