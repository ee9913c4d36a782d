"""The upscaler that ships is worth its name: nearer to the truth than resampling can come."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from generators.nn.super_resolution import enlarge, load
from generators.weights import STARTER


def artwork() -> Image.Image:
    """A face of flat colours, 256 x 256, drawn four times as large to have smooth edges."""
    picture = Image.new("RGB", (1024, 1024), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((80, 60, 940, 930), fill=(250, 200, 40), outline=(200, 120, 20), width=24)
    for x in (320, 620):
        pen.ellipse((x, 300, x + 100, 460), fill=(60, 40, 30))
    pen.arc((300, 420, 730, 780), 20, 160, fill=(60, 40, 30), width=36)
    pen.polygon([(700, 60), (980, 120), (800, 260)], fill=(200, 30, 60))
    return picture.resize((256, 256), Image.Resampling.BOX)


def photograph() -> Image.Image:
    """A portrait that matplotlib ships (NASA, public domain)."""
    cbook = pytest.importorskip("matplotlib.cbook")
    with cbook.get_sample_data("grace_hopper.jpg", asfileobj=True) as file:
        return Image.open(io.BytesIO(file.read())).convert("RGB").crop((128, 64, 384, 320))


def psnr(made: np.ndarray, wanted: Image.Image) -> float:
    error = made.astype(float) - np.asarray(wanted, dtype=float)
    return float(10 * np.log10(255**2 / np.mean(error**2)))


@pytest.mark.parametrize(
    ("make", "gain_db"), [(artwork, 3.0), (photograph, 0.2)], ids=["artwork", "photograph"]
)
@pytest.mark.parametrize("scale", [2, 4])
def test_it_comes_nearer_than_lanczos(
    make: Callable[[], Image.Image], gain_db: float, scale: int
) -> None:
    wanted = make()
    side = wanted.width // scale
    small = wanted.resize((side, side), Image.Resampling.BOX)
    net = load(STARTER / "super_resolution", torch.device("cpu"), torch.float32)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 127.5 - 1
    made = ((enlarge(net, pixels, scale)[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    lanczos = np.asarray(small.resize(wanted.size, Image.Resampling.LANCZOS))
    assert psnr(made, wanted) > psnr(lanczos, wanted) + gain_db


def test_it_stays_within_its_share_of_the_pack() -> None:
    folder: Path = STARTER / "super_resolution"
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= 600_000
