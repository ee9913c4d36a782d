"""The real pictures beside which drawn ones are judged: captions, splits, features. Torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainer.contract import Split
from trainer.data import images
from trainer.data.captions import Captions
from trainer.data.manifests import read_manifest
from trainer.evaluation.picture_judge import PictureJudge

SPLITS: tuple[Split, ...] = ("train", "held_out")
GUESSES = 5


@dataclass(frozen=True, slots=True)
class Gallery:
    """A dataset's pictures at the judge's size, as the judge sees them; train split first."""

    judge: PictureJudge
    pixels: Tensor  # (N, 3, H, W) uint8
    captions: list[Captions]
    trained: list[bool]
    features: Tensor  # (N, D)
    logits: Tensor  # (N, classes)
    picture_of: Tensor | None  # (classes,) index of each class's picture; None: other pictures

    @classmethod
    def load(cls, judge: PictureJudge, dataset: Path) -> Gallery:
        """Decode the dataset and have the judge look at all of it."""
        splits = [images.load(dataset, split, judge.size) for split in SPLITS]
        pixels = torch.cat([split.pixels for split in splits])
        floats = pixels.float().div(127.5).sub(1)
        return cls(
            judge=judge,
            pixels=pixels,
            captions=[captions for split in splits for captions in split.captions],
            trained=[split is splits[0] for split in splits for _ in range(len(split))],
            features=judge.features(floats),
            logits=judge.logits(floats),
            picture_of=_picture_of(judge, dataset),
        )

    @property
    def train_features(self) -> Tensor:
        """(N train, D)."""
        return self.features[torch.tensor(self.trained)]

    @property
    def held_out_features(self) -> Tensor:
        """(N held out, D)."""
        return self.features[~torch.tensor(self.trained)]

    def picture(self, index: int) -> Tensor:
        """One picture as (3, H, W) in [-1, 1]."""
        return self.pixels[index].float().div(127.5).sub(1)

    def guesses(self, pictures: Tensor) -> list[list[int]]:
        """The pictures (by index) the judge takes each drawing for, best first. Only where the
        judge knows this dataset."""
        assert self.picture_of is not None  # noqa: S101 - the caller looked
        if not len(pictures):
            return []
        return self.picture_of[self.judge.guesses(pictures, GUESSES)].tolist()


def _picture_of(judge: PictureJudge, dataset: Path) -> Tensor | None:
    """Where each of the judge's classes lies in the gallery; None if one is missing: the judge then
    knows other pictures, and only its features are of use."""
    examples = read_manifest(dataset).examples
    ordered = [e.file for split in SPLITS for e in examples if e.split == split]
    places = {Path(file).stem: index for index, file in enumerate(ordered)}
    if not set(judge.files) <= places.keys():
        return None
    return torch.tensor([places[file] for file in judge.files])
