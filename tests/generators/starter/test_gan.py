"""The GAN that ships has learned its words: things, colours, both languages, and slips."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from generators.nn import painter
from generators.weights import STARTER

Draw = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def draw() -> Draw:
    """Prompt and seeds -> pictures (B, 64, 64, 3) in [0, 1]."""
    folder, cpu = STARTER / "gan", torch.device("cpu")
    net = painter.load(folder, cpu, torch.float32)
    vae = painter.load_autoencoder(folder, cpu, torch.float32)

    def drawn(prompt: str, seeds: int = 4) -> np.ndarray:
        z = torch.stack(
            [
                0.7 * torch.randn(net.shape.chance, generator=torch.Generator().manual_seed(seed))
                for seed in range(seeds)
            ]
        )
        with torch.no_grad():
            latents = net(z, net.reading.ids([prompt] * seeds))
        return ((painter.decode(vae, latents) + 1) / 2).permute(0, 2, 3, 1).numpy()

    return drawn


@pytest.mark.parametrize("prompt", ["red heart", "红心", "red haert"])
def test_a_heart_is_red_filled_and_narrows_to_a_tip(draw: Draw, prompt: str) -> None:
    for picture in draw(prompt):
        red, green, blue = np.moveaxis(picture, -1, 0)
        heart = (red > 0.6) & (green < 0.55) & (blue < 0.5)
        assert 0.25 < heart.mean() < 0.75
        assert heart[24:36, 24:40].mean() > 0.9, "the middle is filled"
        widths = heart.sum(axis=1)
        assert widths[22] > 2 * widths[56], "it narrows to a tip"


@pytest.mark.parametrize(
    ("prompt", "degrees"), [("purple dog", 275), ("blue cat", 212), ("green pizza", 110)]
)
def test_a_colour_no_picture_of_it_had_is_drawn(draw: Draw, prompt: str, degrees: int) -> None:
    mean = draw(prompt).reshape(-1, 3)
    ink = mean[mean.min(1) < 0.8].mean(0)
    hue = 360 * colorsys.rgb_to_hsv(*ink)[0]
    assert abs((hue - degrees + 180) % 360 - 180) < 35
