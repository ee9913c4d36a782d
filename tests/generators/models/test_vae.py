"""Blending starts and ends with the pictures themselves; cleaning can be switched off."""

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
from generators.models import vae
from generators.nn import painter
from generators.registry import ModelEntry


@pytest.fixture(scope="module")
def model(vae_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any) -> vae.Model:
    return vae.Model.load(entry_for(vae_folder), runtime)


def png(colour: str, size: tuple[int, int] = (16, 16)) -> bytes:
    picture = Image.new("RGB", size, "white")
    picture.paste(colour, (4, 4, 12, 10))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


RED, BLUE = png("red"), png("blue")


def ask(count: int = 1, first_item: int = 0, **params: Any) -> GenerateRequest:
    inputs = {name: params.pop(name) for name in ("image", "image_b") if name in params}
    checked = catalog.spec("vae").params(**params)
    return GenerateRequest("a", checked, 3, count, inputs, first_item)


def run(model: vae.Model, request: GenerateRequest) -> Generated:
    [answer] = model.generate([request], lambda step: frozenset())
    assert isinstance(answer, Generated), answer
    return answer


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)


def through_the_autoencoder(model: vae.Model, data: bytes) -> np.ndarray:
    latents = model.darkroom.read(Image.open(io.BytesIO(data)))
    made = painter.decode(model.darkroom.autoencoder, latents)
    return ((made[0] + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(int)


@pytest.mark.parametrize(("place", "end"), [(0.0, RED), (1.0, BLUE)])
def test_the_ends_of_a_blend_are_the_pictures_themselves(
    model: vae.Model, place: float, end: bytes
) -> None:
    blended = run(model, ask(image=RED, image_b=BLUE, blend=place))
    difference = pixels(blended.items[0].data) - through_the_autoencoder(model, end)
    assert np.abs(difference).max() <= 2


def test_several_pictures_lie_evenly_on_the_way_with_one_animation(model: vae.Model) -> None:
    answer = run(model, ask(3, image=RED, image_b=BLUE))
    assert [item.role for item in answer.items] == ["item", "rendition", "item", "item"]
    middle = run(model, ask(image=RED, image_b=BLUE, blend=0.5))
    assert answer.items[2].data == middle.items[0].data
    with Image.open(io.BytesIO(answer.items[1].data)) as film:
        assert film.format == "GIF"
        assert film.n_frames == answer.items[1].facts["frames"] > 10
    cut = run(model, ask(1, first_item=2, image=RED, image_b=BLUE))
    assert [item.role for item in cut.items] == ["item"], "a part has no animation of its own"


def test_cleaning_at_zero_only_passes_the_picture_through(model: vae.Model) -> None:
    with torch.no_grad():  # a restorer that would change everything
        model.net.restorer.leave.bias.fill_(1.0)
    untouched = pixels(run(model, ask(image=RED, denoise=0.0)).items[0].data)
    assert np.abs(untouched - through_the_autoencoder(model, RED)).max() <= 2
    cleaned = pixels(run(model, ask(image=RED, denoise=1.0)).items[0].data)
    assert np.abs(cleaned - untouched).max() > 2


def test_pictures_of_any_shape_become_squares_and_are_enlarged(model: vae.Model) -> None:
    wide = run(model, ask(image=png("green", (40, 12)), upscale=4)).items[0]
    assert (wide.facts["width"], wide.facts["height"]) == (64, 64)


@pytest.mark.parametrize("inputs", [{"image": b"no picture"}, {"image_b": BLUE}])
def test_a_bad_picture_spoils_only_its_own_request(
    model: vae.Model, inputs: dict[str, bytes]
) -> None:
    answers = model.generate([ask(**inputs), ask(image=RED)], lambda step: frozenset())
    assert isinstance(answers[0], BadRequest)
    assert isinstance(answers[1], Generated)


def test_weights_without_an_upscaler_decline_in_words(
    model: vae.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.darkroom, "upscaler", None)
    [answer] = model.generate([ask(upscale=2)], lambda step: frozenset())
    assert isinstance(answer, BadRequest)
    assert "upscale" in str(answer)
