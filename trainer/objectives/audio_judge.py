"""A judge of sounds: tell the sounds of a dataset, and their families, from one another.

Classification of real clips with label smoothing (Szegedy et al., 2016, arXiv:1512.00567), each
shifted in time, made louder or softer, and roughened a little, so that the judge listens to the
sound rather than to the recording. It never hears the held-out notes; they are its examination.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from trainer.contract import TrainingError
from trainer.data import audio
from trainer.evaluation.audio_judge import AudioJudge, JudgeNet
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import paste
from trainer.spectrograms import drawn

SHOWN = 24  # clips on a sample sheet
CARD = Card(
    title="A judge of instrument sounds",
    usage="""from pathlib import Path
from trainer.evaluation.audio_judge import AudioJudge

judge = AudioJudge.load(Path("path/to/this/folder"))
sounds, families = judge.guesses(pictures)  # generators.nn.mel.picture of clips""",
    limits="It knows the sounds of its dataset and nothing else: whatever it hears, it names the "
    "likeliest of them.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "audio_judge"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: tuple[int, int, int, int] = (24, 40, 64, 96)
    feature_width: int = Field(default=96, ge=2, le=1024)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    latest_frames: int = Field(default=3, ge=0, le=32, description="a clip may start so much later")
    roughness: float = Field(default=0.03, ge=0, le=1, description="deviation of added noise")
    gain: float = Field(default=0.05, ge=0, le=1, description="in units of the picture's spread")


class Classification(nn.Module):
    """The net with its loss."""

    def __init__(self, net: JudgeNet, settings: Settings) -> None:
        super().__init__()
        self.net = net
        self.settings = settings

    def forward(self, batch: Batch) -> Tensor:
        """Loss of `pictures` (B, MELS, FRAMES) that are `sounds` (B,) of `families` (B,)."""
        x = batch["pictures"]
        late = int(torch.randint(0, self.settings.latest_frames + 1, ()))
        if late:
            x = torch.cat([x.new_full((*x.shape[:2], late), -1.0), x[..., :-late]], 2)
        louder = self.settings.gain * (2 * torch.rand(len(x), 1, 1, device=x.device) - 1)
        x = (x + louder).clamp(min=-1) + self.settings.roughness * torch.randn_like(x)
        sounds, families = self.net(x)
        smooth = self.settings.label_smoothing
        loss = F.cross_entropy(sounds.float(), batch["sounds"], label_smoothing=smooth)
        return loss + F.cross_entropy(families.float(), batch["families"], label_smoothing=smooth)


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = settings = Settings.model_validate(setting.recipe.settings)
        self.device = setting.device
        self.train = audio.load(setting.dataset, "train")
        self.held_out = audio.load(setting.dataset, "held_out")
        self.dataset_size = len(self.train)
        self.sounds = tuple(sound.name for sound in self.train.sounds)
        self.families = audio.families(setting.manifest)
        self.train_families = audio.family_numbers(self.train, self.families)
        net = self._net(setting.init)
        self.module = Classification(net, settings).to(
            setting.device, memory_format=torch.channels_last
        )

    def _net(self, init: Path | None) -> JudgeNet:
        if init is None:
            shape = self.settings.channels, self.settings.feature_width
            return JudgeNet(len(self.sounds), len(self.families), *shape)
        judge = AudioJudge.load(init)
        if judge.sounds != self.sounds:
            raise TrainingError(f"{init} judges other sounds than those of this dataset.")
        return judge.net.requires_grad_(True)

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """Convolutions and heads: nothing for Muon."""
        return False

    def batch(self, indices: list[int], seed: int) -> Batch:
        pictures, notes = self.train.batch(indices)
        families = self.train_families[indices]
        return {"pictures": pictures, "sounds": notes.sound, "families": families}

    def sample(self, folder: Path, name: str) -> Path:
        """Some of the clips it learns from."""
        rows = torch.linspace(0, len(self.train) - 1, min(SHOWN, len(self.train))).long().tolist()
        tiles = [drawn(picture) for picture in self.train.batch(rows)[0]]
        return save_sheet(paste(tiles, columns=8, size=128), folder, name)

    def evaluate(self) -> dict[str, float]:
        """Shares in [0, 1] of held-out clips whose sound, and family, it names."""
        source = self.held_out if len(self.held_out) else self.train
        sounds, families = self._judge({}).guesses(source.pictures)
        right = families == audio.family_numbers(source, self.families)
        return {
            "sound_accuracy": float((sounds == source.notes.sound).float().mean()),
            "family_accuracy": float(right.float().mean()),
        }

    def _judge(self, figures: dict[str, float]) -> AudioJudge:
        return AudioJudge(self.module.net, self.sounds, self.families, figures)

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """An `AudioJudge` folder in float16."""
        manifest = self.setting.manifest
        rounded = {name: round(value, 4) for name, value in figures.items()}
        net = copy.deepcopy(self.module.net).cpu()
        finished = AudioJudge(net, self.sounds, self.families, rounded)
        finished.save(folder, {"dataset": manifest.name, "licence": manifest.licence})
