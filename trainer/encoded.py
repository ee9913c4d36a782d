"""A train split as latents with its captions, made once and kept beside the dataset.

Twenty poses and colours of every picture take minutes to draw and encode, and the same ones are
asked for by every run, every resumption and every process of one. Used by the objectives that learn
latents. Safe to delete at any time; a read-only dataset simply goes without.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from diffusers import AutoencoderKL
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from generators.weights import weights_hash
from trainer import latents
from trainer.contract import MANIFEST_NAME
from trainer.data import images
from trainer.data.captions import Captions
from trainer.data.recolour import load_train
from trainer.objective import Setting

CACHE = ".latents"  # in the dataset's folder
KEPT = 4  # files; the oldest goes first
VERSION = 2  # of what `recolour` draws: raise it when that changes


@dataclass(frozen=True, slots=True)
class Encoded:
    """One split: latents (N, C, h, w) float32 of unit variance, rounded to half precision."""

    latents: Tensor
    captions: list[Captions]
    colours: list[dict[str, str]]  # language -> colour, {} where the picture keeps its own

    def __len__(self) -> int:
        return len(self.captions)


def load(
    setting: Setting, vae: AutoencoderKL, folder: Path, moved: int, recoloured: int
) -> Encoded:
    """The train split in `moved` more poses and `recoloured` more colours of every picture.

    `vae` is the autoencoder in `folder`. Equal arguments give equal bits, cached or not.
    """
    path = setting.dataset / CACHE / f"{_key(setting, vae, folder, moved, recoloured)}.safetensors"
    known = _read(path)
    if known is not None:
        return known
    pictures = load_train(setting, int(vae.config.sample_size), moved, recoloured)
    colours = pictures.colours or [{} for _ in pictures.captions]
    half = latents.encode_all(vae, pictures).half()
    _keep(path, half, pictures.captions, colours)
    return Encoded(half.float(), pictures.captions, colours)


def _key(setting: Setting, vae: AutoencoderKL, folder: Path, moved: int, recoloured: int) -> str:
    digest = hashlib.sha256((setting.dataset / MANIFEST_NAME).read_bytes())
    facts = (VERSION, weights_hash(folder), int(vae.config.sample_size), moved, recoloured)
    digest.update(repr((*facts, setting.recipe.seed, setting.device.type)).encode())
    return digest.hexdigest()[:24]


def _read(path: Path) -> Encoded | None:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            half = file.get_tensor("latents")
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return Encoded(half.float(), about["captions"], about["colours"])


def _keep(
    path: Path, half: Tensor, captions: list[Captions], colours: list[dict[str, str]]
) -> None:
    about = json.dumps({"captions": captions, "colours": colours}, ensure_ascii=False)
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        save_file({"latents": half.contiguous()}, temporary, {"about": about})
        temporary.replace(path)
        newest = sorted(path.parent.glob("*.safetensors"), key=lambda p: p.stat().st_mtime)
        for old in newest[:-KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, SafetensorError):
        temporary.unlink(missing_ok=True)


def held_out(setting: Setting, vae: AutoencoderKL) -> Encoded:
    """The held-out split as it is."""
    pictures = images.load(setting.dataset, "held_out", int(vae.config.sample_size))
    found = latents.encode_all(vae, pictures)
    return Encoded(found, pictures.captions, [{} for _ in pictures.captions])
