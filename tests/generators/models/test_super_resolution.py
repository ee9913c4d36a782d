"""Enlarging in tiles is enlarging; transparency and odd sizes survive."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from generators import catalog
from generators.contract import BadRequest, Generated, GenerateRequest
from generators.models import super_resolution
from generators.nn.super_resolution import bicubic, enlarge, load
from generators.registry import ModelEntry
from generators.weights import WeightsError


@pytest.fixture(scope="module")
def model(
    super_resolution_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any
) -> super_resolution.Model:
    return super_resolution.Model.load(entry_for(super_resolution_folder), runtime)


def noise(mode: str, width: int, height: int) -> Image.Image:
    channels = len(mode)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels, mode)


def ask(picture: Image.Image, scale: int, job_id: str = "a") -> GenerateRequest:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    params = catalog.spec("super_resolution").params(scale=scale)
    return GenerateRequest(job_id, params, 0, 1, {"image": buffer.getvalue()})


def result(model: super_resolution.Model, request: GenerateRequest) -> Image.Image:
    [answer] = model.generate([request], lambda step: frozenset())
    assert isinstance(answer, Generated), answer
    return Image.open(io.BytesIO(answer.items[0].data))


@pytest.mark.parametrize("scale", [2, 4])
def test_no_seam_shows_between_tiles(
    model: super_resolution.Model, monkeypatch: pytest.MonkeyPatch, scale: int
) -> None:
    picture = noise("RGB", 45, 38)
    whole = np.asarray(result(model, ask(picture, scale)), dtype=int)
    monkeypatch.setattr(super_resolution, "TILE_PX", 16)
    tiled = np.asarray(result(model, ask(picture, scale)), dtype=int)
    assert np.abs(whole - tiled).max() <= 1  # sums in another order may round otherwise


@pytest.mark.parametrize(("scale", "mode"), [(2, "RGB"), (3, "RGB"), (4, "RGBA"), (8, "RGBA")])
def test_every_scale_and_transparency(model: super_resolution.Model, scale: int, mode: str) -> None:
    large = result(model, ask(noise(mode, 9, 5), scale))
    assert (large.size, large.mode) == ((9 * scale, 5 * scale), mode)


def test_colours_under_transparency_do_not_bleed(model: super_resolution.Model) -> None:
    """A white disc on transparent black: its edge must not turn grey."""
    picture = Image.new("RGBA", (24, 24), (0, 0, 0, 0))
    picture.paste((255, 255, 255, 255), (8, 8, 16, 16))
    large = np.asarray(result(model, ask(picture, 2)), dtype=int)
    visible = large[..., 3] > 64
    assert visible.any()
    assert large[visible][:, :3].min() > 200


def test_sizes_may_differ_within_a_batch(model: super_resolution.Model) -> None:
    requests = [ask(noise("RGB", side, side), 2, str(side)) for side in (5, 9, 5)]
    answers = model.generate(requests, lambda step: frozenset())
    widths = [answer.items[0].facts["width"] for answer in answers]  # type: ignore[union-attr]
    assert widths == [10, 18, 10]


def test_what_is_too_large_or_missing_is_declined_in_words(
    model: super_resolution.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(super_resolution, "MAX_OUTPUT_PIXELS", 100)
    without = GenerateRequest("b", catalog.spec("super_resolution").params(scale=4), 0)
    answers = model.generate([ask(noise("RGB", 9, 9), 4), without], lambda step: frozenset())
    assert all(isinstance(answer, BadRequest) for answer in answers)
    assert "9 x 9" in str(answers[0])


def test_an_untrained_net_gives_the_bicubic_picture(super_resolution_folder: Path) -> None:
    net = load(super_resolution_folder, torch.device("cpu"), torch.float32)
    for tail in (net.twofold[0], net.fourfold[3]):
        torch.nn.init.zeros_(tail.weight)
    pixels = torch.rand(2, 3, 6, 6) * 2 - 1
    for scale in (2, 4):
        assert torch.equal(enlarge(net, pixels, scale), bicubic(pixels, scale).clamp(-1, 1))
    with pytest.raises(ValueError, match="scale"):
        enlarge(net, pixels, 3)


def test_other_folders_are_refused_in_words(gpt2_folder: Path, tmp_path: Path) -> None:
    for folder in (gpt2_folder, tmp_path):
        with pytest.raises(WeightsError):
            load(folder, torch.device("cpu"), torch.float32)
