"""An independent judge of sounds: which of the known sounds is this, and of which family?

A small convolutional net on log-mel pictures (`trainer.ear`), trained on real clips by the
objective `audio_judge`, never on anything generated. Its answers decide whether a sound is
recognisable; its features are the space of the Frechet distance, of memorisation and of diversity.

On disk: `judge.json` (shape, classes, accuracy) and `judge.safetensors` (float16).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.ear import Ear

INSTRUMENTS_JUDGE = Path(__file__).parent / "judges" / "instruments"
BATCH = 128
CONFIG_NAME, WEIGHTS_NAME = "judge.json", "judge.safetensors"


class JudgeNet(nn.Module):
    """Pictures (B, MELS, FRAMES) -> logits of the sounds and of their families."""

    def __init__(
        self, sounds: int, families: int, channels: tuple[int, int, int, int], feature_width: int
    ) -> None:
        super().__init__()
        self.config = {
            "sounds": sounds, "families": families, "channels": list(channels),
            "feature_width": feature_width,
        }  # fmt: skip
        self.ear = Ear(channels, "batch")
        self.to_features = nn.Linear(self.ear.width, feature_width)
        self.norm = nn.BatchNorm1d(feature_width)
        self.sounds = nn.Linear(feature_width, sounds)
        self.families = nn.Linear(feature_width, families)

    def features(self, pictures: Tensor) -> Tensor:
        """The penultimate layer: (B, D)."""
        return F.silu(self.norm(self.to_features(self.ear(pictures)[0])))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, sounds) and (B, families)."""
        features = F.dropout(self.features(pictures), 0.2, self.training)
        return self.sounds(features), self.families(features)


@dataclass(frozen=True, slots=True)
class AudioJudge:
    """A trained net with the names of its classes."""

    net: JudgeNet
    sounds: tuple[str, ...]
    families: tuple[str, ...]
    figures: dict[str, float]

    @classmethod
    def load(cls, folder: Path = INSTRUMENTS_JUDGE, device: str | torch.device = "cpu") -> Self:
        """Read a judge in float32, ready to be asked. Raises OSError where there is none."""
        config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        shape = config["net"]
        net = JudgeNet(**{**shape, "channels": tuple(shape["channels"])})
        state = load_file(folder / WEIGHTS_NAME)
        floats = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        net.load_state_dict(floats)
        net = net.eval().requires_grad_(False).to(device)
        return cls(net, tuple(config["sounds"]), tuple(config["families"]), config["figures"])

    def save(self, folder: Path, about: dict[str, Any]) -> None:
        """Write the judge; `about` (dataset, licence) goes into its JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        state = self.net.state_dict()
        halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        packed = {name: value.cpu().contiguous() for name, value in halves.items()}
        save_file(packed, folder / WEIGHTS_NAME)
        config = {
            **about, "figures": self.figures, "net": self.net.config,
            "sounds": list(self.sounds), "families": list(self.families),
        }  # fmt: skip
        text = json.dumps(config, ensure_ascii=False)
        (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> Tensor:
        """(N, MELS, FRAMES) -> (N, D) float32 on the CPU."""
        return torch.cat([self.net.features(x).cpu() for x in self._batches(pictures)])

    @torch.inference_mode()
    def guesses(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest sound and family of each picture: (N,) int64 twice."""
        answers = [self.net(x) for x in self._batches(pictures)]
        sounds, families = (
            torch.cat(parts).argmax(1).cpu() for parts in zip(*answers, strict=True)
        )
        return sounds, families

    def _batches(self, pictures: Tensor) -> list[Tensor]:
        device = next(self.net.parameters()).device
        return [chunk.to(device, torch.float32) for chunk in pictures.split(BATCH)]
