"""An independent judge of drawings: which of the known pictures is this? And a feature network.

A small residual net (He et al., 2016, arXiv:1512.03385), trained on views of the real pictures by
the objective `picture_judge`, never on anything generated. Its answers decide whether a prompt was
drawn recognisably; its penultimate layer is the space of FID, KID, diversity and memorisation,
since the usual ImageNet features say little about flat artwork and need a download.

On disk: `judge.json` (shape of the net, classes, accuracy) and `judge.safetensors` (float16).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

EMOJI_JUDGE = Path(__file__).parent / "judges" / "emoji"
BATCH = 128
CONFIG_NAME, WEIGHTS_NAME = "judge.json", "judge.safetensors"


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; halves the sides where `stride` is 2."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))
        self.shortcut = nn.Conv2d(channels_in, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        aside = self.shortcut(F.avg_pool2d(x, 2) if self.first.stride == (2, 2) else x)
        x = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(x)) + aside)


class JudgeNet(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] -> logits (B, classes); sides a multiple of 16."""

    def __init__(self, classes: int, widths: Sequence[int], feature_width: int) -> None:
        super().__init__()
        self.config = {
            "classes": classes, "widths": list(widths), "feature_width": feature_width,
        }  # fmt: skip
        self.stem = nn.Conv2d(3, widths[0], 4, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        pairs = pairwise(widths)
        self.blocks = nn.ModuleList(Residual(before, after, 2) for before, after in pairs)
        self.to_features = nn.Linear(widths[-1], feature_width)
        self.feature_norm = nn.BatchNorm1d(feature_width)
        self.head = nn.Linear(feature_width, classes)

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer: (B, D)."""
        x = F.relu(self.stem_norm(self.stem(x.contiguous(memory_format=torch.channels_last))))
        for block in self.blocks:
            x = block(x)
        pooled = 0.5 * (x.mean((2, 3)) + x.amax((2, 3)))
        return F.relu(self.feature_norm(self.to_features(pooled)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.head(self.features(x))


@dataclass(frozen=True, slots=True)
class PictureJudge:
    """A trained net with the names of its classes.

    `files` are the pictures' file stems in the dataset it was trained on, one class each.
    """

    net: JudgeNet
    files: tuple[str, ...]
    size: int  # pixels square
    figures: dict[str, float]

    @classmethod
    def load(cls, folder: Path = EMOJI_JUDGE, device: str | torch.device = "cpu") -> Self:
        """Read a judge in float32, ready to be asked. Raises OSError where there is none."""
        config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        net = JudgeNet(**config["net"])
        state = load_file(folder / WEIGHTS_NAME)
        net.load_state_dict({name: as_float(value) for name, value in state.items()})
        net = net.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        return cls(net, tuple(config["files"]), config["size"], config["figures"])

    def save(self, folder: Path, about: dict[str, Any]) -> None:
        """Write the judge; `about` (dataset, licence) goes into its JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: as_half(value) for name, value in self.net.state_dict().items()}
        save_file(state, folder / WEIGHTS_NAME)
        config = {
            **about, "size": self.size, "figures": self.figures, "net": self.net.config,
            "files": list(self.files),
        }  # fmt: skip
        text = json.dumps(config, ensure_ascii=False)
        (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")

    def _batches(self, pictures: Tensor) -> Iterator[Tensor]:
        """Pictures (N, 3, H, W) in [-1, 1], any size, in batches at the judge's own size."""
        device = next(self.net.parameters()).device
        for chunk in pictures.split(BATCH):
            x = chunk.to(device, torch.float32)
            if x.shape[-1] != self.size:
                x = F.interpolate(
                    x, size=(self.size, self.size), mode="bicubic", antialias=True
                ).clamp(-1, 1)
            yield x

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, D) float32 on the CPU."""
        return torch.cat([self.net.features(x).cpu() for x in self._batches(pictures)])

    @torch.inference_mode()
    def logits(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, classes) float32 on the CPU."""
        return torch.cat([self.net(x).cpu() for x in self._batches(pictures)])

    def guesses(self, pictures: Tensor, count: int = 5) -> Tensor:
        """The `count` likeliest classes of each picture, best first: (N, count) int64."""
        return self.logits(pictures).topk(min(count, len(self.files))).indices


def as_half(value: Tensor) -> Tensor:
    """Floats in float16 for the disk, contiguous; counters as they are."""
    return value.half().contiguous() if value.is_floating_point() else value


def as_float(value: Tensor) -> Tensor:
    """Floats back in float32."""
    return value.float() if value.is_floating_point() else value
