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
from generators.params import variations
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


def test_a_relative_of_a_relative_starts_from_exactly_the_picture_one_clicked(draw: Any) -> None:
    family = draw(7, 3, variation_seed=100, variation_strength=0.35)
    trail = variations.extended("", 102, 0.35)
    assert trail == "102:0.35"
    assert apart(draw(7, variation_trail=trail)[0], family[2]) < 1
    relatives = draw(7, 2, variation_trail=trail, variation_seed=5, variation_strength=0.05)
    others = [one for index, one in enumerate(family) if index != 2]
    assert max(apart(family[2], child) for child in relatives) < min(
        apart(family[2], other) for other in others
    )


@pytest.mark.parametrize("name", ["diffusion", "gan", "vae"])
def test_the_way_to_a_picture_is_read_and_bounded(name: str) -> None:
    params = catalog.spec(name).params
    varied = params(
        prompt="a", variation_trail="1:0.35,4294967295:1", variation_seed=2**32 - 1,
        variation_strength=0.5,
    )  # fmt: skip
    assert variations.steps(varied, 2) == ((1, 0.35), (2**32 - 1, 1.0), (1, 0.5))
    assert variations.steps(params(prompt="a"), 2) == ()
    for wrong in ("1", "1:", "1:2", "x:0.5", "1:0.5,", "1:0.5;2:0.5", "1:0.5," * 99 + "1:0.5"):
        with pytest.raises(ValueError, match="variation_trail"):
            params(prompt="a", variation_trail=wrong)
    trail: str | None = ""
    for _ in range(100):
        longer = variations.extended(trail, 2**32 - 1, 0.35)
        if longer is None:
            break
        assert params(prompt="a", variation_trail=longer)
        trail = longer
    assert trail is not None
    assert len(variations.parsed(trail)) == 25
