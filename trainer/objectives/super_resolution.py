"""Super-resolution: pairs of a small picture and its original, at two scales in every step.

Four kinds of pairs, in equal parts. Dataset pictures shrunk; the same at half size after a round
trip through the autoencoder, whose softness is what a generated picture suffers from; invented
artwork at 256 pixels, shrunk; and that artwork after the round trip. A dataset's pictures end at
128 pixels, so where the answer would have to be larger, it is compared at 128. Loss: absolute error
of pixels and of their differences (edges).
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from generators.nn import super_resolution
from generators.nn.super_resolution import Enlarger, Shape
from generators.weights import WeightsManifest, write_manifest
from trainer import initial, latents
from trainer.data import artwork, images
from trainer.data.images import Pictures
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import sheet

FILTERS = (Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
HELD_OUT_ARTWORK = 24  # pictures, drawn from seeds that training never uses
EVALUATED = 96  # held-out pictures at most
CARD = Card(
    title="A small net that enlarges pictures",
    usage="""from generators.nn.super_resolution import enlarge, load

net = load(Path("path/to/this/folder"), torch.device("cpu"), torch.float32)
large = enlarge(net, pixels, 4)  # (B, 3, H, W) in [-1, 1] -> (B, 3, 4 H, 4 W)""",
    limits="Made for flat artwork with hard edges and for the soft pictures of the generators here;"
    " on photographs it stays close to interpolation. It invents no texture.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "super_resolution"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: int = Field(default=40, ge=4, le=256)
    blocks: int = Field(default=8, ge=1, le=64)
    size: int = Field(default=128, ge=16, le=1024, description="dataset pictures, pixels square")
    patch: int = Field(default=32, ge=4, le=256, description="small pictures, pixels square")
    artworks: int = Field(default=600, ge=1, description="invented pictures of twice the size")
    edge_weight: float = Field(default=1.0, ge=0, description="of the picture-gradient term")
    jpeg: float = Field(default=0.15, ge=0, le=1, description="share of small pictures as JPEG")


class Enlarging(nn.Module):
    """The net with its loss at both scales."""

    def __init__(self, net: Enlarger, edge_weight: float) -> None:
        super().__init__()
        self.net = net
        self.edge_weight = edge_weight

    def forward(self, batch: Batch) -> Tensor:
        """Loss of `small` (B, 3, P, P): the first half against `double` (B/2, 3, 2P, 2P), the rest
        against `quadruple` (B/2, 3, 4P, 4P), which is compared at half its size where `coarse`."""
        small = batch["small"].contiguous(memory_format=torch.channels_last)
        features = self.net.features(small)
        half = len(batch["double"])
        twice = self.net.finish(features[:half], small[:half], 2)
        loss = picture_loss(twice, batch["double"], self.edge_weight)
        four = self.net.finish(features[half:], small[half:], 4).float()
        coarse = batch["coarse"].view(-1, 1, 1, 1)
        four = torch.where(coarse, _coarsened(four), four)
        return (loss + picture_loss(four, batch["quadruple"], self.edge_weight)) / 2


def picture_loss(made: Tensor, wanted: Tensor, edge_weight: float) -> Tensor:
    """L1 of the pixels plus `edge_weight` times L1 of their differences; a scalar."""
    error = made.float() - wanted
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + 0.5 * edge_weight * (across + down)


def _coarsened(pixels: Tensor) -> Tensor:
    """Every 2 x 2 pixels replaced by their mean."""
    return F.interpolate(F.avg_pool2d(pixels, 2), scale_factor=2.0, mode="nearest")


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD
    init_from = frozenset({"super_resolution", "autoencoder", "diffusion"})

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = settings = Settings.model_validate(setting.recipe.settings)
        self.device = setting.device
        self.train = images.load(setting.dataset, "train", settings.size)
        self.held_out = images.load(setting.dataset, "held_out", settings.size)
        self.dataset_size = len(self.train)
        self.artworks = invented(range(settings.artworks), 2 * settings.size)
        continued = setting.init is not None and initial.holds(setting.init, "super_resolution")
        vae = latents.load_autoencoder(
            latents.find_autoencoder(None if continued else setting.init), setting.device
        )
        self.soften: Callable[[Tensor], Tensor] = lambda x: latents.decode(
            vae, latents.encode(vae, x)
        )
        self.soft_size = int(vae.config.sample_size)
        self.soft_train = self._softened(self.train)
        self.soft_artworks = self._softened(self.artworks)
        shape = Shape(settings.channels, settings.blocks)
        net = (
            super_resolution.load(setting.init, setting.device, torch.float32).requires_grad_(True)
            if continued and setting.init
            else Enlarger(shape)
        ).to(setting.device, memory_format=torch.channels_last)
        self.module = Enlarging(net, settings.edge_weight)

    def _softened(self, pictures: Pictures) -> Tensor:
        """(N, 3, S, S) uint8: the pictures at the autoencoder's size, there and back."""
        parts = []
        for start in range(0, len(pictures), 64):
            rows = range(start, min(start + 64, len(pictures)))
            parts.append(as_bytes(self.soften(shrunk(pictures.batch(rows), self.soft_size))))
        return torch.cat(parts)

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """Convolutions only: nothing for Muon."""
        return False

    def batch(self, indices: list[int], seed: int) -> Batch:
        rng = random.Random(seed)
        half = max(1, len(indices) // 2)
        doubles = [self._pair(index, 2, rng) for index in indices[:half]]
        quadruples = [self._pair(index, 4, rng) for index in indices[half:] or indices[:1]]
        return {
            "small": torch.stack([small for small, _, _ in doubles + quadruples]),
            "double": torch.stack([large for _, large, _ in doubles]),
            "quadruple": torch.stack([large for _, large, _ in quadruples]),
            "coarse": torch.tensor([coarse for _, _, coarse in quadruples]),
        }

    def _pair(self, index: int, scale: int, rng: random.Random) -> tuple[Tensor, Tensor, bool]:
        """(small (3, P, P), large (3, scale P, scale P), whether to compare at half size)."""
        invented_ = rng.random() < 0.5
        soft = rng.random() < 0.5
        source = self.artworks if invented_ else self.train
        if invented_:
            index = rng.randrange(len(source))
        large = source.pixels[index]
        coarse = False
        if soft:
            small = (self.soft_artworks if invented_ else self.soft_train)[index]
            wanted = small.shape[-1] * scale
            coarse = wanted > large.shape[-1]
            large = resized(large, wanted, Image.Resampling.NEAREST if coarse else FILTERS[0])
        else:
            small = resized(large, large.shape[-1] // scale, rng.choice(FILTERS))
        small, large = _patch(small, large, scale, self.settings.patch, rng)
        if not soft and rng.random() < self.settings.jpeg:
            small = _as_jpeg(small, rng.randint(60, 95))
        small, large = _turned(small, large, rng)
        return _as_floats(small), _as_floats(large), coarse

    @torch.no_grad()
    def sample(self, folder: Path, name: str) -> Path:
        """Held-out pictures after the autoencoder: bicubic x4, ours x4; the same of artwork."""
        count = 6
        source = self.held_out if len(self.held_out) else self.train
        pictures = shrunk(source.batch(range(min(count, len(source)))), self.soft_size)
        art = shrunk(invented(_held_out_seeds(count), 2 * self.settings.size).batch(range(count)),
                     self.soft_size)  # fmt: skip
        rows = []
        for small in (self.soften(pictures), pictures, art):
            padded = torch.cat([small, small[:1].expand(count - len(small), -1, -1, -1)])
            rows += [super_resolution.bicubic(padded, 4), self._enlarged(padded, 4)]
        side = 4 * self.soft_size
        return save_sheet(sheet(torch.cat(rows), columns=count, size=side), folder, name)

    def _enlarged(self, small: Tensor, scale: int) -> Tensor:
        return super_resolution.enlarge(self.module.net, small.to(self.device), scale).cpu()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """PSNR in dB, ours and Lanczos', on pictures never trained on.

        `x2`: the dataset's at full size from half; `x4`: from a quarter; `soft_x2`: from what the
        autoencoder makes of half; `artwork_x4`: invented artwork of twice the size from half that.
        """
        source = self.held_out if len(self.held_out) else self.train
        large = source.batch(range(min(EVALUATED, len(source))))
        size = large.shape[-1]
        art = invented(_held_out_seeds(HELD_OUT_ARTWORK), 2 * size).batch(range(HELD_OUT_ARTWORK))
        half = shrunk(large, size // 2)
        cases = {
            "x2": (half, large, 2),
            "x4": (shrunk(large, size // 4), large, 4),
            "artwork_x4": (shrunk(art, size // 2), art, 4),
        }
        if self.soft_size == size // 2:
            cases["soft_x2"] = (self.soften(half), large, 2)
        figures = {}
        for name, (small, wanted, scale) in cases.items():
            lanczos = torch.stack(
                [
                    _as_floats(resized(row, wanted.shape[-1], Image.Resampling.LANCZOS))
                    for row in as_bytes(small)
                ]
            )
            figures[f"{name}_psnr_db"] = psnr(self._enlarged(small, scale), wanted)
            figures[f"{name}_lanczos_psnr_db"] = psnr(lanczos, wanted)
        return figures

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """The net in float16 with `atelier.json` and a sample sheet."""
        super_resolution.save(self.module.net, folder)
        manifest = WeightsManifest(
            generator="super_resolution",
            summary=self.setting.recipe.about
            or {"en": "Enlarges pictures with crisp edges.", "zh": "放大图片并保持边缘清晰。"},
            licence=self.setting.manifest.licence,
            figures={name: round(value, 2) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)
        self.sample(folder, "samples")


def invented(seeds: range, size: int) -> Pictures:
    """Artwork as a split of a dataset without captions."""
    drawn = np.stack([np.asarray(artwork.draw(seed, size)) for seed in seeds])
    return Pictures(torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous(), [{} for _ in seeds])


def _held_out_seeds(count: int) -> range:
    return range(2**31, 2**31 + count)


def psnr(made: Tensor, wanted: Tensor) -> float:
    """Mean over pictures (B, 3, H, W) in [-1, 1] of 10 log10(1 / MSE), pixels in [0, 1]."""
    errors = ((made.clamp(-1, 1) - wanted) / 2).square().mean((1, 2, 3)).clamp(min=1e-10)
    return float(sum(10 * math.log10(1 / float(error)) for error in errors) / len(errors))


def shrunk(pixels: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) -> (B, 3, size, size), each pixel the mean of those it replaces."""
    return F.adaptive_avg_pool2d(pixels, size)


def resized(pixels: Tensor, size: int, resample: Image.Resampling) -> Tensor:
    """(3, H, W) uint8 -> (3, size, size) uint8 by one of Pillow's filters."""
    if pixels.shape[-1] == size:
        return pixels
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize((size, size), resample)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def as_bytes(pixels: Tensor) -> Tensor:
    """[-1, 1] -> uint8."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte()


def _as_floats(pixels: Tensor) -> Tensor:
    return pixels.float().div(127.5).sub(1)


def _as_jpeg(pixels: Tensor, quality: int) -> Tensor:
    """(3, H, W) uint8 as it comes back from a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(
        buffer, "JPEG", quality=quality
    )
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)


def _patch(
    small: Tensor, large: Tensor, scale: int, side: int, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """The same random square out of both; (3, side, side) and (3, scale side, scale side)."""
    side = min(side, small.shape[-1])
    y, x = (rng.randint(0, small.shape[-1] - side) for _ in range(2))
    return (
        small[:, y : y + side, x : x + side],
        large[:, scale * y : scale * (y + side), scale * x : scale * (x + side)],
    )


def _turned(small: Tensor, large: Tensor, rng: random.Random) -> tuple[Tensor, Tensor]:
    """Both mirrored, turned by right angles and with their colour channels swapped, alike."""
    turns, mirror, order = rng.randrange(4), rng.random() < 0.5, rng.sample(range(3), 3)

    def change(pixels: Tensor) -> Tensor:
        pixels = torch.rot90(pixels, turns, (1, 2))[order]
        return pixels.flip(-1) if mirror else pixels

    return change(small), change(large)
