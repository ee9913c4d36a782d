"""Latents to pictures and back, for families that paint in a shared autoencoder's latents. Torch.

Holds the weights' part `autoencoder` and, where they name one, their part `upscaler`, and knows
what else these families share: how far to stray and to enlarge where nobody says it, which chance
an item is drawn from, what is written into its picture. Used by the generators `gan` and `vae`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from generators import media
from generators.contract import BadRequest, GenerateRequest, Media
from generators.nn import painter, pixels, super_resolution
from generators.params import variations
from generators.registry import ModelEntry
from generators.runtime import Runtime, rng, tensors_bytes
from generators.sampling import slerp
from generators.weights import WeightsError, part, read_manifest, weights_hash

AT_ONCE = 8  # pictures that are decoded and enlarged together


class Darkroom:
    """The autoencoder and the upscaler of an entry's weights."""

    libraries = ("torch", "diffusers", "pillow")

    def __init__(
        self,
        entry: ModelEntry,
        provenance_hash: str,
        autoencoder: Any,
        upscaler: nn.Module | None,
        device: torch.device,
    ) -> None:
        self.entry = entry
        self._hash = provenance_hash
        self.autoencoder = autoencoder
        self.upscaler = upscaler
        self.device = device
        self.side_px = int(autoencoder.config.sample_size)
        self.memory_bytes = tensors_bytes([autoencoder, upscaler])

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Darkroom:
        """The parts that the entry's manifest names. Raises WeightsError where one is missing."""
        folder = folder_of(entry)
        dtype = runtime.dtype_for(entry)
        manifest = read_manifest(folder)
        upscaler = None
        if manifest is not None and "upscaler" in manifest.parts:
            upscaler = super_resolution.load(part(folder, "upscaler"), runtime.device, dtype)
        autoencoder = painter.load_autoencoder(folder, runtime.device, dtype)
        return cls(entry, weights_hash(folder), autoencoder, upscaler, runtime.device)

    def develop(self, latents: Tensor, scale: int = 1) -> list[Image.Image]:
        """Latents (B, C, h, w) -> RGB pictures, `scale` (1, 2 or 4) times enlarged."""
        pictures: list[Image.Image] = []
        for some in latents.split(AT_ONCE):
            decoded = painter.decode(self.autoencoder, some)
            if scale > 1 and self.upscaler is not None:
                decoded = super_resolution.enlarge(self.upscaler, decoded, scale)
            pictures += pixels.to_pictures(decoded)
        return pictures

    def read(self, picture: Image.Image) -> Tensor:
        """A picture of any size, as a square on white, as latents (1, C, h, w)."""
        upright = picture.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        square = ImageOps.pad(
            flat.convert("RGB"), (self.side_px,) * 2, Image.Resampling.BOX, color="white"
        )
        return painter.encode(self.autoencoder, pixels.of_pictures([square])).float()

    def printed(self, request: GenerateRequest, pictures: Sequence[Image.Image]) -> list[Media]:
        """A request's items. What has a common origin (an upload, the noise of the request's own
        seed) says that seed; the seeds of others count on."""
        common = request.inputs or variations.steps(request.params, 0)
        seeds = [request.seed] * request.count if common else request.item_seeds()
        return [
            media.png(picture, media.Provenance(self.entry.generator, self._hash, seed))
            for picture, seed in zip(pictures, seeds, strict=True)
        ]

    def scale(self, asked: int | None) -> int:
        """How far to enlarge: as asked, else as suits the weights."""
        return int(asked if asked is not None else self.entry.defaults.get("upscale", 1))

    def stray(self, asked: float | None) -> float:
        """The deviation of the noise: as asked, else as suits the weights."""
        return float(asked if asked is not None else self.entry.defaults.get("truncation", 1.0))

    def scale_problem(self, scale: int) -> BadRequest | None:
        """Why these weights cannot enlarge, or None."""
        if scale == 1 or self.upscaler is not None:
            return None
        return BadRequest(
            "This model cannot enlarge its pictures itself; leave upscale out.",
            "这个模型不能自行放大图片，请不要指定 upscale。",
        )


def folder_of(entry: ModelEntry) -> Path:
    """The entry's folder. Raises WeightsError for a hub id: no hub has classes of ours."""
    if entry.folder is None:
        raise WeightsError(f"{entry.weights}: {entry.generator} weights are a folder of our own")
    return entry.folder


def chance(request: GenerateRequest, width: int) -> Tensor:
    """The noise of a request's items: (count, width).

    Item i draws from its own seed. Relatives keep the noise of the request's seed and mix in that
    of each of their steps (`generators.params.variations`) along the sphere.
    """
    rows = []
    for seed in request.item_seeds():
        steps = variations.steps(request.params, (seed - request.seed) % 2**32)
        own = torch.randn(width, generator=rng(request.seed if steps else seed))
        for other, strength in steps:
            own = slerp(own, torch.randn(width, generator=rng(other)), strength)
        rows.append(own)
    return torch.stack(rows)
