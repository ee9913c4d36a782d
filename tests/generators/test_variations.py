"""What the V buttons stand on: relatives share one seed's noise, and item i mixes in its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from generators import catalog
from generators.contract import GenerateRequest
from generators.registry import ModelEntry


@pytest.fixture(scope="module")
def draw(
    sd_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any
) -> Callable[..., list[Image.Image]]:
    model = catalog.load("diffusion").load(entry_for(sd_folder), runtime)

    def draw(seed: int, count: int = 1, **params: Any) -> list[Image.Image]:
        wanted = catalog.spec("diffusion").params(prompt="a red heart", **params)
        request = GenerateRequest("job", wanted, seed, count)
        (answer,) = model.generate([request], lambda step: frozenset())
        return [Image.open(io.BytesIO(item.data)).convert("RGB") for item in answer.items]

    return draw


def apart(one: Image.Image, other: Image.Image) -> float:
    """Root of the mean squared difference, in steps of 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).rms) / 3


def test_item_i_mixes_the_noise_of_variation_seed_plus_i(draw: Any) -> None:
    family = draw(7, 3, variation_seed=100, variation_strength=0.35)
    for index, picture in enumerate(family):
        alone = draw(7, variation_seed=100 + index, variation_strength=0.35)[0]
        assert apart(picture, alone) < 1


def test_a_family_resembles_its_seed_and_not_the_next(draw: Any) -> None:
    (parent,), family = draw(7), draw(7, 3, variation_seed=100, variation_strength=0.05)
    strangers = draw(8, 3)
    assert max(apart(parent, child) for child in family) < min(
        apart(parent, stranger) for stranger in strangers
    )
    assert len({child.tobytes() for child in family}) == 3


def test_no_strength_is_no_variation(draw: Any) -> None:
    plain, unvaried = draw(7, 2), draw(7, 2, variation_seed=100, variation_strength=0.0)
    assert [one.tobytes() for one in plain] == [one.tobytes() for one in unvaried]


def test_full_strength_is_the_variation_seeds_own_picture(draw: Any) -> None:
    assert apart(draw(7, variation_seed=100, variation_strength=1.0)[0], draw(100)[0]) < 1
