"""Damaged pictures beside their originals, as latents: made once and kept beside the dataset.

A restorer that saw each picture damaged once or twice learns those pictures; tens of thousands of
pairs, with every picture in several poses and colours, teach it damage. They take minutes to make
and are the same for every run. Used by the objective `latent_vae`. Safe to delete at any time; a
read-only dataset simply goes without.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from generators.weights import weights_hash
from trainer import latents
from trainer.contract import MANIFEST_NAME
from trainer.data.damage import damaged
from trainer.data.images import Pictures
from trainer.data.order import step_seed
from trainer.data.recolour import load_train
from trainer.objective import Setting

CACHE = ".pairs"  # in the dataset's folder
KEPT = 2  # files; the oldest goes first
VERSION = 1  # of what `recolour` and `damage` draw: raise it when that changes

Change = Callable[[Image.Image, int], Image.Image]  # (picture, number) -> changed picture


@dataclass(frozen=True, slots=True)
class Pairs:
    """Latents of unit variance, rounded to half precision and kept so."""

    clean: Tensor  # (N, C, h, w) float16
    damaged: Tensor  # (versions, N, C, h, w) float16

    def take(self, rows: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """(damaged, clean) latents, (B, C, h, w) float32 each, of rows (version, picture).

        Version 0 is the picture as it was, which a restorer must learn to leave alone.
        """
        numbers = [number for _, number in rows]
        clean = self.clean[numbers].float()
        changed = [
            self.damaged[version - 1, number] if version else self.clean[number]
            for version, number in rows
        ]
        return torch.stack(changed).float(), clean


def load(
    setting: Setting,
    vae: AutoencoderKL,
    folder: Path,
    *,
    moved: int,
    recoloured: int,
    versions: int,
) -> Pairs:
    """Each train picture in `moved` more poses and `recoloured` more colours, `versions` damages.

    `vae` is the autoencoder in `folder`. Equal arguments give equal bits, cached or not.
    """
    facts = (VERSION, weights_hash(folder), int(vae.config.sample_size))
    path = setting.dataset / CACHE / f"{_key(setting, *facts, moved, recoloured, versions)}"
    path = path.with_suffix(".safetensors")
    known = _read(path)
    if known is not None:
        return known
    pictures = load_train(setting, int(vae.config.sample_size), moved, recoloured)
    clean = latents.encode_all(vae, pictures).half()
    made = [
        latents.encode_all(vae, changed(pictures, range(len(pictures)), _damage(setting, version)))
        for version in range(versions)
    ]
    pairs = Pairs(clean, torch.stack(made).half())
    _keep(path, pairs)
    return pairs


def changed(pictures: Pictures, rows: Sequence[int], change: Change) -> Pictures:
    """`change(picture, number)` of the pictures at `rows`, without captions."""
    made = []
    for number, row in enumerate(rows):
        picture = Image.fromarray(pictures.pixels[row].permute(1, 2, 0).numpy())
        made.append(np.asarray(change(picture, number)))
    stacked = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).contiguous()
    return Pictures(stacked, [{} for _ in made])


def _damage(setting: Setting, version: int) -> Change:
    kind = f"damage {version}"
    return lambda picture, number: damaged(picture, step_seed(setting.recipe.seed, kind, number))


def _key(setting: Setting, *facts: object) -> str:
    digest = hashlib.sha256((setting.dataset / MANIFEST_NAME).read_bytes())
    digest.update(repr((*facts, setting.recipe.seed, setting.device.type)).encode())
    return digest.hexdigest()[:24]


def _read(path: Path) -> Pairs | None:
    try:
        return Pairs(**load_file(path))
    except (OSError, SafetensorError, TypeError):
        return None


def _keep(path: Path, pairs: Pairs) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        save_file({"clean": pairs.clean, "damaged": pairs.damaged}, temporary)
        temporary.replace(path)
        newest = sorted(path.parent.glob("*.safetensors"), key=lambda p: p.stat().st_mtime)
        for old in newest[:-KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, SafetensorError):
        with suppress(OSError):
            temporary.unlink()
