"""A judge of drawings: tell every picture of a dataset from all others, in any view of it.

Classification with one class a picture and label smoothing (Szegedy et al., 2016,
arXiv:1512.00567) on views drawn anew at every step (`trainer.data.views`). It sees both splits:
the split is the generators' business, and a judge must know what they were never shown. What is
held out for the judge is views, and the recolouring of `trainer.data.recolour`, which it never
trains on.
"""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from trainer.contract import Split, TrainingError
from trainer.data import images
from trainer.data.manifests import read_manifest
from trainer.data.order import step_seed
from trainer.data.recolour import HUES, recolour
from trainer.data.views import draw_views, traits
from trainer.evaluation.picture_judge import JudgeNet, PictureJudge
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import sheet

SPLITS: tuple[Split, ...] = ("train", "held_out")
SHOWN = 48  # views on a sample sheet
EVALUATION_VIEWS = 2  # of each picture
CARD = Card(
    title="A judge of small pictures",
    usage="""from pathlib import Path
from trainer.evaluation.picture_judge import PictureJudge

judge = PictureJudge.load(Path("path/to/this/folder"))
classes = judge.guesses(pictures)  # (N, 3, 64, 64) in [-1, 1] -> (N, 5)""",
    limits="It knows the pictures of its dataset and nothing else: whatever it is shown, it names "
    "the likeliest of them.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "picture_judge"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=64, ge=16, le=256, description="pixels square")
    widths: tuple[int, ...] = Field(default=(24, 48, 80, 112), min_length=2, max_length=6)
    feature_width: int = Field(default=112, ge=8, le=2048)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size % 2 ** len(self.widths):
            raise ValueError(f"size must be a multiple of {2 ** len(self.widths)}")
        return self


class Classification(nn.Module):
    """The net with its loss."""

    def __init__(self, net: JudgeNet, label_smoothing: float) -> None:
        super().__init__()
        self.net = net
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch) -> Tensor:
        """Loss of `views` (B, 3, H, W) in [-1, 1] whose picture is `classes` (B,)."""
        logits = self.net(batch["views"]).float()
        return F.cross_entropy(logits, batch["classes"], label_smoothing=self.label_smoothing)


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = settings = Settings.model_validate(setting.recipe.settings)
        splits = [
            images.load(setting.dataset, split, settings.size) for split in ("train", "held_out")
        ]
        self.pixels = torch.cat([split.pixels for split in splits])
        self.captions = [captions for split in splits for captions in split.captions]
        self.mirrored, self.recoloured = traits(self.captions)
        self.dataset_size = len(self.captions)
        self.files = _stems(setting.dataset)
        net = self._net(setting.init).to(memory_format=torch.channels_last)
        self.module = Classification(net, settings.label_smoothing).to(setting.device)

    def _net(self, init: Path | None) -> JudgeNet:
        if init is None:
            return JudgeNet(self.dataset_size, self.settings.widths, self.settings.feature_width)
        judge = PictureJudge.load(init)
        if judge.files != self.files:
            raise TrainingError(f"{init} judges other pictures than those of this dataset.")
        return judge.net.requires_grad_(True)

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """Convolutions and one head: nothing for Muon."""
        return False

    def batch(self, indices: list[int], seed: int) -> Batch:
        return {"views": self.views(indices, seed), "classes": torch.tensor(indices)}

    def views(self, indices: list[int], seed: int) -> Tensor:
        """A view of each picture, drawn from `seed` alone: (B, 3, H, W) in [-1, 1]."""
        chosen = torch.tensor(indices)
        pixels = self.pixels[chosen].float().div_(127.5).sub_(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return draw_views(pixels, self.mirrored[chosen], self.recoloured[chosen])

    def sample(self, folder: Path, name: str) -> Path:
        """Views as the judge is shown them."""
        count = min(SHOWN, self.dataset_size)
        rng = random.Random(0)
        views = self.views(rng.sample(range(self.dataset_size), count), seed=0)
        return save_sheet(sheet(views, columns=8), folder, name)

    def evaluate(self) -> dict[str, float]:
        """Shares in [0, 1] of pictures whose class is the first, or among the first five, guesses:
        of the plain pictures, of views with fresh draws, of recoloured pictures."""
        everything = list(range(self.dataset_size))
        plain = self.pixels.float().div(127.5).sub(1)
        figures = self._accuracy("plain", plain, torch.tensor(everything))
        views = [self.views(everything, step_seed("judge", n)) for n in range(EVALUATION_VIEWS)]
        classes = torch.tensor(everything * EVALUATION_VIEWS)
        figures |= self._accuracy("views", torch.cat(views), classes)
        chosen = [index for index in everything if self.recoloured[index]]
        if chosen:
            tinted = torch.stack([self._tinted(index) for index in chosen])
            figures |= self._accuracy("recoloured", tinted, torch.tensor(chosen))
        return figures

    def _tinted(self, index: int) -> Tensor:
        rng = random.Random(step_seed("judge", "recoloured", index))
        picture = Image.fromarray(self.pixels[index].permute(1, 2, 0).numpy())
        pixels = torch.from_numpy(np.array(recolour(picture, rng.choice(list(HUES)), rng)))
        return pixels.permute(2, 0, 1).float().div(127.5).sub(1)

    def _accuracy(self, name: str, pictures: Tensor, classes: Tensor) -> dict[str, float]:
        guesses = self._judge({}).guesses(pictures) == classes[:, None]
        return {
            f"{name}_top1": float(guesses[:, 0].float().mean()),
            f"{name}_top5": float(guesses.any(1).float().mean()),
        }

    def _judge(self, figures: dict[str, float]) -> PictureJudge:
        return PictureJudge(self.module.net, self.files, self.settings.size, figures)

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """A `PictureJudge` folder in float16."""
        manifest = self.setting.manifest
        rounded = {name: round(value, 4) for name, value in figures.items()}
        judge = self._judge(rounded)
        finished = PictureJudge(copy.deepcopy(judge.net).cpu(), judge.files, judge.size, rounded)
        finished.save(folder, {"dataset": manifest.name, "licence": manifest.licence})


def _stems(dataset: Path) -> tuple[str, ...]:
    """The classes' names: file stems, train split first."""
    examples = read_manifest(dataset).examples
    return tuple(
        Path(example.file).stem
        for split in SPLITS
        for example in examples
        if example.split == split
    )
