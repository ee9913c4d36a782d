"""Pictures and captions: a dataset folder -> tensors in memory, and a batch for any step.

Every picture is decoded once and kept as uint8 at the training size (64 x 64: 12 KB a picture), so
that a step costs no disk. Which examples a step sees is a pure function of (seed, step): nothing
about the sampler has to be saved to resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainer.contract import Example, Split, TrainingError
from trainer.data.manifests import read_manifest


@dataclass(frozen=True, slots=True)
class Pictures:
    """One split of a picture dataset, decoded."""

    pixels: Tensor  # (N, 3, H, W) uint8
    captions: list[dict[str, list[str]]]  # N times language -> [name, keyword, ...]
    colours: list[dict[str, str]] = field(default_factory=list)  # language -> colour, if recoloured

    def __len__(self) -> int:
        return len(self.captions)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """The pictures at `indices`: (B, 3, H, W) float32 in [-1, 1]."""
        chosen = self.pixels[torch.as_tensor(indices, dtype=torch.long)]
        return chosen.float().div_(127.5).sub_(1)


def load(folder: Path, split: Split, size: int) -> Pictures:
    """Decode one split at `size` x `size` pixels. Raises TrainingError naming a broken file."""
    manifest = read_manifest(folder)
    if manifest.modality != "image":
        raise TrainingError(f"{folder} holds {manifest.modality}; this objective needs pictures.")
    examples = [example for example in manifest.examples if example.split == split]
    if not examples and split == "train":
        raise TrainingError(f"{folder} has no picture in its train split.")
    pixels = np.empty((len(examples), size, size, 3), dtype=np.uint8)
    for row, example in zip(pixels, examples, strict=True):
        row[:] = decode(folder, example, size)
    return Pictures(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        [example.captions for example in examples],
    )


def decode(folder: Path, example: Example, size: int) -> np.ndarray:
    """One picture: (size, size, 3) uint8, centre-cropped to a square, transparency on white."""
    try:
        with Image.open(folder / example.file) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TrainingError(
            f"{folder / example.file} cannot be read as a picture ({error}). "
            f"`python -m trainer dataset check {folder}` lists every broken example."
        ) from error
    flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    square = ImageOps.fit(
        flat,
        (size, size),
        Image.Resampling.BOX if _halves(flat, size) else Image.Resampling.LANCZOS,
    )
    return np.asarray(square)


def _halves(picture: Image.Image, size: int) -> bool:
    """Whether the picture shrinks by a whole factor, where the box filter is exact and crisp."""
    width, height = picture.size
    return width == height and width % size == 0
