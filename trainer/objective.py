"""What the one loop asks of an objective: the port between `trainer.loop` and `objectives/*.py`.

An implementer must not step an optimizer, move a device, write into the run's folder or keep
randomness of its own: every draw of the loss comes from torch's global generator (seeded anew by
the loop before each micro-step), every draw of `batch` from its `seed`, else a resumed run would
differ. `batch` runs in a thread beside the training step: it must change nothing of the objective
and must leave torch's global generator alone.

Two more, where they make sense: a class attribute `init_from` (names of the generators whose
weights it can continue) and a method `adaptable()` (the nets a LoRA may change, see
`trainer.adapters`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from trainer.contract import DatasetManifest, Recipe

Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything an objective is made from."""

    recipe: Recipe
    dataset: Path
    manifest: DatasetManifest
    device: torch.device
    init: Path | None = None  # weights to start from instead of random ones


@dataclass(frozen=True, slots=True)
class Card:
    """What a model card says beyond the facts of the run; Markdown."""

    title: str
    usage: str  # Python that loads the folder with the stock library
    limits: str


class Objective(Protocol):
    """Made by `trainer.objectives.<name>.Objective(setting)`; raises TrainingError in words."""

    module: nn.Module
    """All that is trained; `module(batch)` returns the loss (a scalar, float32)."""
    dataset_size: int
    card: Card

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether a matrix of `module` is hidden (Muon) rather than an embedding or a head."""
        ...

    def batch(self, indices: list[int], seed: int) -> Batch:
        """The examples at `indices` as CPU tensors; every choice made is a function of `seed`."""
        ...

    def sample(self, folder: Path, name: str) -> Path:
        """Draw fixed samples with the module as it is; returns the file, `folder/name.*`."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Figures on held-out examples, with the module as it is."""
        ...

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """Write weights that the stock libraries load, and the model card, into `folder`."""
        ...


def save_sheet(picture: Image.Image, folder: Path, name: str) -> Path:
    """Save a contact sheet as `folder/name.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    picture.save(path)
    return path
