"""Recoloured and moved pictures: the colour asked for, the held-out pairs never, the rest kept."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from trainer.data import recolour
from trainer.data.captions import draw_caption
from trainer.data.compositions import COMPOSITIONS, is_held_out
from trainer.data.paraphrases import is_held_out as is_held_out_pair


def _disc(colour: str) -> Image.Image:
    picture = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((8, 8, 56, 56), fill=colour)
    draw.ellipse((20, 20, 26, 26), fill="black")
    return picture


@pytest.mark.parametrize("before", ["#d02020", "#ffcc22", "#3366dd", "#999999"])
@pytest.mark.parametrize("colour", list(recolour.HUES))
def test_the_main_material_takes_the_colour_and_lines_and_ground_stay(
    before: str, colour: str
) -> None:
    after = recolour.recolour(_disc(before), colour, random.Random(1))
    assert recolour.ink_hue(after) == colour
    assert after.getpixel((1, 1)) == (255, 255, 255)
    assert max(after.getpixel((23, 23))) < 60


def test_nothing_without_ink_has_a_colour() -> None:
    assert recolour.ink_hue(Image.new("RGB", (64, 64), "white")) is None
    assert recolour.ink_hue(_disc("#888888")) is None


def test_a_moved_picture_keeps_its_ink_on_white() -> None:
    rng = random.Random(0)
    for _ in range(20):
        moved = recolour.move(_disc("#3366dd"), rng, mirrored=True)
        share = (np.asarray(moved).min(axis=2) < 200).mean()
        assert 0.25 < share < 0.55
        assert moved.getpixel((0, 0)) == (255, 255, 255)


def test_held_out_compositions_never_occur() -> None:
    assert len(set(COMPOSITIONS)) == 50
    assert is_held_out("purple", ["guide dog", "blind"])
    assert not is_held_out("purple", ["hot-doggy"])
    rng = random.Random(0)
    for colour, thing in COMPOSITIONS:
        phrases = {"en": [f"{thing} face", "animal"]}
        assert colour not in recolour._fitting(phrases, rng, 7)
    assert recolour._fitting({"en": ["flag: Peru"]}, rng, 7) == []


def test_a_recoloured_picture_loses_the_colours_in_its_name() -> None:
    plain = recolour.without_colours({"en": ["red heart", "red"], "zh": ["红心", "红色"]})
    assert plain == {"en": ["heart"], "zh": ["心"]}
    rng = random.Random(0)
    drawn = {draw_caption(plain, rng, 0.0, {"en": "blue", "zh": "蓝色"}) for _ in range(200)}
    assert any("blue heart" in caption for caption in drawn)
    assert any(caption.startswith("蓝色") for caption in drawn)
    assert not any("red" in caption for caption in drawn)


def test_expanded_is_a_function_of_its_arguments(pictures: Path) -> None:
    one = recolour.expanded(pictures, 16, moved=2, recoloured=3, seed=5)
    two = recolour.expanded(pictures, 16, moved=2, recoloured=3, seed=5)
    assert torch.equal(one.pixels, two.pixels)
    assert one.colours == two.colours
    assert len(one) == len(one.colours) == 10 * (1 + 2 + 3)
    assert one.colours[0] == {}
    assert {tuple(sorted(c)) for c in one.colours} == {(), ("en", "zh")}


def test_a_held_out_pair_of_keywords_is_never_a_caption() -> None:
    # Far enough from each other that no slip of the finger makes one into another.
    text = "apple bridge cloud dragon ember forest guitar harbour island jungle kettle lantern"
    words = text.split()
    held = {(a, b) for a in words for b in words if a != b and is_held_out_pair(a, b)}
    assert held
    rng = random.Random(0)
    captions = {"en": ["name", *words]}
    for _ in range(3000):
        asked = draw_caption(captions, rng, 0.0).split()
        assert not any((a, b) in held for a in asked for b in asked)
