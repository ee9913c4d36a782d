"""Audio GAN: names and notes to log-mel pictures of sounds, and prompts to names.

A conditional VAE-GAN (Larsen et al., 2016, arXiv:1512.09300): an encoder gives each real clip a
small code, the player draws it again from name, pitch, loudness, length and code, and a critic
judges both what was drawn again and what was drawn from noise. Its inner layers compare the former
with the clip they came from (feature matching); its verdict counts once pictures are good enough
to be worth one. Beside that a listener learns which sound a member's words mean.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from generators.nn.mel import FRAMES, MELS
from generators.nn.one_shot import GRID, Notes, OneShot, OneShotConfig, comb
from generators.nn.words import word_ids
from generators.weights import WeightsManifest, write_manifest
from trainer.adversarial import frozen, hinge_critic_loss, hinge_generator_loss, ramp
from trainer.contract import TrainingError
from trainer.data import audio
from trainer.data.order import step_seed
from trainer.ear import Ear
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import paste
from trainer.spectrograms import drawn

EVALUATION_BATCH = 64
SHOWN = 12  # pairs on a sample sheet
MAX_SECONDS = 2.0  # of a sound: what a picture holds

CARD = Card(
    title="One-shot instruments",
    usage="""from pathlib import Path
from generators.nn.one_shot import OneShot

net = OneShot.from_pretrained(Path("path/to/this/folder"))""",
    limits="Single notes and drum hits of General MIDI sounds, at most two seconds, 16 kHz mono; "
    "no melodies, no speech. Phases are estimated, so tones are slightly rough.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "audio_gan"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: tuple[int, int, int, int] = (160, 160, 128, 64)
    width: int = Field(default=128, ge=8, le=1024)
    latent: int = Field(default=16, ge=1, le=256)
    word_width: int = Field(default=96, ge=8, multiple_of=4)
    word_buckets: int = Field(default=4096, ge=16)
    critic_channels: tuple[int, int, int, int] = (32, 64, 128, 192)
    encoder_channels: tuple[int, int, int, int] = (32, 64, 96, 128)
    from_noise: float = Field(default=0.25, ge=0, le=1, description="prior samples per real clip")
    captions: int = Field(default=64, ge=1, description="prompts that the listener sees in a step")
    reconstruction_weight: float = Field(default=10.0, ge=0)
    feature_weight: float = Field(default=2.0, ge=0)
    kl_weight: float = Field(default=0.05, ge=0)
    adversary_weight: float = Field(default=0.1, ge=0)
    adversary_from: float = Field(default=0.3, ge=0, le=1, description="share of the run")
    adversary_full: float = Field(default=0.5, ge=0, le=1, description="share of the run")
    unpitched_weight: int = Field(default=2, ge=1, le=8, description="drums are fewer and harder")


class Critic(nn.Module):
    """How real pictures are as the notes they should be: projection (arXiv:1802.05637)."""

    def __init__(self, config: OneShotConfig, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.ear = Ear(channels, "spectral", extra=2)
        self.real = nn.Linear(self.ear.width, 1)
        self.sounds = nn.Embedding(len(config.sounds), self.ear.width)
        self.kits = nn.Embedding(config.kits, self.ear.width)
        for table in (self.sounds, self.kits):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, pictures: Tensor, notes: Notes) -> tuple[Tensor, list[Tensor]]:
        """Scores (B,), and the layers' outputs."""
        teeth = comb(notes.pitch).view(-1, GRID[0], 2).transpose(1, 2)  # (B, 2, H)
        heard, layers = self.ear(pictures, teeth[..., None].expand(-1, -1, -1, GRID[1]))
        meant = self.sounds(notes.sound) + self.kits(notes.kit)
        return self.real(heard)[:, 0] + (heard * meant).sum(1) / 16, layers


class Encoder(nn.Module):
    """A clip's code: what name, pitch, loudness and length leave open."""

    def __init__(self, latent: int, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.ear = Ear(channels)
        self.code = nn.Linear(self.ear.width, 2 * latent)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (B, latent) each."""
        mean, logvar = self.code(self.ear(pictures)[0]).float().chunk(2, 1)
        return mean, logvar.clamp(-8, 4)


class Adversaries(nn.Module):
    """All nets with their losses in one sum."""

    def __init__(self, net: OneShot, settings: Settings, micro_steps: int) -> None:
        super().__init__()
        self.net = net
        self.critic = Critic(net.config, settings.critic_channels)
        self.encoder = Encoder(net.config.latent, settings.encoder_channels)
        self.settings = settings
        self.micro_steps = micro_steps
        self.register_buffer("seen", torch.zeros(()))  # micro-steps so far; kept by checkpoints

    def forward(self, batch: Batch) -> Tensor:
        """Loss of `pictures` (B, MELS, FRAMES) as notes, and of `words` as names."""
        progress = float(self.seen) / self.micro_steps
        if self.training:
            self.seen += 1
        settings = self.settings
        real, notes = batch["pictures"], Notes(*(batch[name] for name in NOTE_COLUMNS))
        mean, logvar = self.encoder(real)
        z = mean + torch.randn_like(mean) * (logvar / 2).exp()
        extra = round(len(real) * settings.from_noise)
        played = Notes(*(torch.cat([v, v[:extra]]) for v in notes.columns().values()))
        z = torch.cat([z, torch.randn(extra, z.shape[1], device=z.device)])
        made = self.net.player(played, z)

        again = made[: len(real)]
        loss = settings.reconstruction_weight * (again - real).abs().mean()
        loss = loss + settings.kl_weight * kl(mean, logvar)
        scores, layers = self.critic(real, notes)
        verdict, made_layers = frozen(self.critic, made, played)
        loss = loss + settings.feature_weight * feature_distance(made_layers, layers)
        weight = ramp(progress, settings.adversary_from, settings.adversary_full)
        weight *= settings.adversary_weight
        loss = loss + weight * hinge_generator_loss(verdict.float())
        doubted, _ = self.critic(made.detach(), played)
        loss = loss + hinge_critic_loss(scores.float(), doubted.float())
        return loss + self._listening_loss(batch)

    def _listening_loss(self, batch: Batch) -> Tensor:
        sounds, kits = self.net.listener(batch["words"])
        loss = F.cross_entropy(sounds.float(), batch["word_sounds"])
        return loss + 0.3 * F.cross_entropy(kits.float(), batch["word_kits"])


NOTE_COLUMNS = ("sound", "kit", "pitch", "velocity", "hold_s")


def kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) in nats a clip: (B, D) twice -> a scalar."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean()


def feature_distance(made: list[Tensor], real: list[Tensor]) -> Tensor:
    """Mean absolute difference of the critic's layers, summed over them; `made` may have more rows
    (those from noise, which have no counterpart)."""
    pairs = zip(made, real, strict=True)
    return sum((a[: len(b)] - b.detach()).abs().mean().float() for a, b in pairs)


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = settings = Settings.model_validate(setting.recipe.settings)
        self.device = setting.device
        self.train = audio.load(setting.dataset, "train")
        self.held_out = audio.load(setting.dataset, "held_out")
        unpitched = (self.train.notes.pitch == 0).nonzero()[:, 0].tolist()
        self.order = [*range(len(self.train)), *unpitched * (settings.unpitched_weight - 1)]
        self.dataset_size = len(self.order)
        self.by_sound = _rows_by_sound(self.train)
        micro_steps = setting.recipe.total_steps * setting.recipe.gradient_accumulation_steps
        net = load_or_make(setting.init, settings, self.train)
        self.module = Adversaries(net, settings, micro_steps)
        self.module.to(setting.device, memory_format=torch.channels_last)

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """Convolutions, tables and heads: nothing for Muon."""
        return False

    def batch(self, indices: list[int], seed: int) -> Batch:
        pictures, notes = self.train.batch([self.order[index] for index in indices])
        rng = random.Random(seed)  # each sound is asked for as often as any other
        rows = [rng.choice(rng.choice(self.by_sound)) for _ in range(self.settings.captions)]
        words = [audio.draw_words(self.train.examples[row], rng) for row in rows]
        chosen = torch.tensor(rows)
        return {
            "pictures": pictures,
            **notes.columns(),
            "words": word_ids(words, self.settings.word_buckets),
            "word_sounds": self.train.notes.sound[chosen],
            "word_kits": self.train.notes.kit[chosen],
        }

    @torch.no_grad()
    def sample(self, folder: Path, name: str) -> Path:
        """Held-out clips above what is played for the same notes, as spectrograms."""
        source = self.held_out if len(self.held_out) else self.train
        rows = torch.linspace(0, len(source) - 1, min(SHOWN, len(source))).long().tolist()
        real, notes = source.batch(rows)
        made = self._play(notes)
        tiles = [drawn(picture) for picture in torch.cat([real, made])]
        return save_sheet(paste(tiles, columns=len(rows), size=128), folder, name)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """`spectral_distance` of notes played with noise to held-out clips (mean absolute, in units
        of the picture's spread), the share of their values `out_of_range`, and `prompt_accuracy`:
        how often the listener finds the sound from a held-out clip's full name."""
        source = self.held_out if len(self.held_out) else self.train
        distances, outside, found = [], [], []
        for start in range(0, len(source), EVALUATION_BATCH):
            rows = list(range(start, min(start + EVALUATION_BATCH, len(source))))
            real, notes = source.batch(rows)
            made = self._play(notes)
            distances += (made - real).abs().mean((1, 2)).tolist()
            outside += (made.abs() > 1.1).float().mean((1, 2)).tolist()
            names = [audio.name_of(source.examples[row]) for row in rows]
            ids = word_ids(names, self.settings.word_buckets).to(self.device)
            guessed = self.module.net.listener(ids)[0].argmax(1).cpu()
            found += (guessed == notes.sound).float().tolist()
        figures = {
            "spectral_distance": distances,
            "out_of_range": outside,
            "prompt_accuracy": found,
        }
        return {name: sum(values) / len(values) for name, values in figures.items()}

    def _play(self, notes: Notes) -> Tensor:
        """Pictures of notes, (B, MELS, FRAMES) on the CPU, from noise that is always the same."""
        rng = torch.Generator().manual_seed(step_seed("played") % 2**63)
        z = torch.randn(len(notes.pitch), self.module.net.config.latent, generator=rng)
        there = Notes(*(value.to(self.device) for value in notes.columns().values()))
        made = self.module.net.player(there, z.to(self.device))
        return made.float().cpu().view(-1, MELS, FRAMES)

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """`OneShot` in float16; critic and encoder have done their work."""
        self.module.net.save_pretrained(folder)
        recipe = self.setting.recipe
        manifest = WeightsManifest(
            generator="audio_gan",
            summary=recipe.about
            or {"en": "Plays single notes and drum hits.", "zh": "演奏单个音符与鼓点。"},
            licence=self.setting.manifest.licence,
            defaults=dict(recipe.defaults),
            limits={"max_seconds": MAX_SECONDS, **recipe.limits},
            figures={name: round(value, 4) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)


def _rows_by_sound(clips: audio.Clips) -> list[list[int]]:
    """The rows of each sound that has any."""
    rows: list[list[int]] = [[] for _ in clips.sounds]
    for row, sound in enumerate(clips.notes.sound.tolist()):
        rows[sound].append(row)
    return [some for some in rows if some]


def load_or_make(init: Path | None, settings: Settings, clips: audio.Clips) -> OneShot:
    """The net in `init`, if it knows just the dataset's sounds, or a fresh one; float32."""
    if init is not None:
        net = OneShot.from_pretrained(init).train()
        known = [sound.name for sound in net.config.sounds]
        if known != [sound.name for sound in clips.sounds]:
            raise TrainingError(f"{init} knows other sounds than this dataset has.")
        return net
    kits = int(clips.notes.kit.max()) + 1
    config = OneShotConfig(
        sounds=clips.sounds,
        kits=max(kits, 2),
        channels=settings.channels,
        width=settings.width,
        latent=settings.latent,
        word_width=settings.word_width,
        word_buckets=settings.word_buckets,
    )
    return OneShot(config)
