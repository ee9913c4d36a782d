"""The net behind `/sound`: a sound's name, pitch, loudness and length to a log-mel picture. Torch.

Pitch is not left to an embedding: the net is shown a comb of the note's harmonics on the band axis,
and the time the note is held on the frame axis, at every size it works in; so a note that no clip
had comes out in tune. Which sound is meant is read from the prompt by `Listener`, a classifier over
hashed n-grams: words nobody trained give the nearest sound, never something between all.
The house's own net (no library has one); trained by `trainer.objectives.audio_gan`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from generators.nn.mel import FRAMES, HOP, MELS, SAMPLE_RATE, band_of_hz
from generators.nn.words import HashedWords

CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"
CELL = (2, 4)  # bands and frames that the trunk draws as one cell
GRID = (MELS // CELL[0], FRAMES // CELL[1])
SIZES = tuple((GRID[0] >> shift, GRID[1] >> shift) for shift in (3, 2, 1, 0))
HARMONICS = 256
MAPS = 12  # channels of the pitch and time maps at each size
FADES = (3.0, 12.0, 48.0)  # frames until a third is left
LOUDEST = 1.25  # bound of the picture; data end at about 1


@dataclass(frozen=True, slots=True)
class Sound:
    """One sound the net knows, with the notes that suit it (MIDI numbers; 0 and 0: unpitched)."""

    name: str
    low: int
    high: int
    pitches: tuple[int, int] = (0, 0)  # lowest and highest it was trained on


@dataclass(frozen=True, slots=True)
class OneShotConfig:
    """The net's shape and what its sounds are called."""

    sounds: tuple[Sound, ...]
    kits: int = 9  # kinds of the same drum; 0 is none
    channels: tuple[int, int, int, int] = (160, 160, 128, 64)
    width: int = 128  # of the condition
    latent: int = 16
    word_width: int = 96
    word_buckets: int = 4096

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Back from `asdict` by way of JSON."""
        sounds = tuple(
            Sound(**{**sound, "pitches": tuple(sound["pitches"])}) for sound in values["sounds"]
        )
        return cls(**{**values, "sounds": sounds, "channels": tuple(values["channels"])})


@dataclass(frozen=True, slots=True)
class Notes:
    """What to play, one row a note."""

    sound: Tensor  # (B,) int64, index into the config's sounds
    kit: Tensor  # (B,) int64
    pitch: Tensor  # (B,) MIDI number, 0 for unpitched
    velocity: Tensor  # (B,) in [0, 127]
    hold_s: Tensor  # (B,) seconds until the note is released

    def __getitem__(self, rows: slice | Tensor) -> Notes:
        """Some of the notes."""
        return Notes(*(value[rows] for value in self.columns().values()))

    def columns(self) -> dict[str, Tensor]:
        """The five columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def comb(pitch: Tensor) -> Tensor:
    """Where a note's harmonics lie: (B,) MIDI numbers -> (B, MELS); pitch 0 has none."""
    return _combs().to(pitch)[pitch.long()]


@cache
def _combs() -> Tensor:
    """Of every MIDI number: (128, MELS) float64. Harmonic k has height 1 / sqrt(k) and a width of
    0.7 bands; all below half the sample rate are there, so that no low note ends in an edge."""
    pitch = torch.arange(128, dtype=torch.float64)[:, None]
    order = torch.arange(1, HARMONICS + 1, dtype=torch.float64)
    hz = 440 * 2 ** ((pitch - 69) / 12) * order  # (128, K)
    bands = torch.arange(MELS, dtype=torch.float64)
    away = (bands - band_of_hz(hz)[..., None]) / 0.7  # (128, K, MELS)
    heard = (hz < SAMPLE_RATE / 2) & (pitch > 0)
    return (torch.exp(-0.5 * away.square()) * (heard * order.rsqrt())[..., None]).sum(1)


def gate(hold_s: Tensor) -> Tensor:
    """How much of each frame the note is held: (B,) seconds -> (B, FRAMES) in [0, 1]."""
    frames = torch.arange(FRAMES, device=hold_s.device, dtype=hold_s.dtype)
    return (hold_s[:, None] * SAMPLE_RATE / HOP - frames).clamp(0, 1)


def fades(like: Tensor) -> Tensor:
    """Three ways to die away from the start, fast to slow: (3, FRAMES) of `like`'s kind."""
    frames = torch.arange(FRAMES, device=like.device, dtype=like.dtype)
    return torch.stack([torch.exp(-frames / tau) for tau in FADES])


def to_cells(pictures: Tensor) -> Tensor:
    """Each cell of bands and frames as channels: (B, MELS, FRAMES) -> (B, 8, *GRID)."""
    cells = pictures.view(-1, GRID[0], CELL[0], GRID[1], CELL[1])
    return cells.permute(0, 2, 4, 1, 3).reshape(-1, CELL[0] * CELL[1], *GRID)


def from_cells(cells: Tensor) -> Tensor:
    """The way back from `to_cells`: (B, 8, *GRID) -> (B, MELS, FRAMES)."""
    pictures = cells.reshape(-1, *CELL, *GRID).permute(0, 3, 1, 4, 2)
    return pictures.reshape(-1, MELS, FRAMES)


class Maps(nn.Module):
    """Pitch, time and place as pictures, for every size of the trunk."""

    def forward(self, notes: Notes) -> list[Tensor]:
        """MAPS channels at each of SIZES: two of the comb, two of the gate, their product, three
        fading times, and four waves that say which band this is."""
        teeth, held = comb(notes.pitch), gate(notes.hold_s)  # (B, MELS), (B, FRAMES)
        batch = len(teeth)
        fading_out = fades(held)
        pictures = []
        for high, wide in SIZES:
            rows = F.adaptive_max_pool1d(teeth[:, None], 2 * high).view(batch, high, 2)
            columns = F.adaptive_avg_pool1d(held[:, None], 2 * wide).view(batch, wide, 2)
            fading = F.adaptive_avg_pool1d(fading_out, wide)  # (3, W)
            place = torch.linspace(0, torch.pi, high, device=held.device, dtype=held.dtype)
            waves = torch.stack([(order * place).cos() for order in range(1, 5)])  # (4, H)
            parts = [
                rows.transpose(1, 2)[..., None].expand(-1, -1, -1, wide),
                columns.transpose(1, 2)[:, :, None].expand(-1, -1, high, -1),
                (rows.mean(2)[:, :, None] * columns.mean(2)[:, None])[:, None],
                fading[None, :, None].expand(batch, -1, high, -1),
                waves[None, ..., None].expand(batch, -1, -1, wide),
            ]
            pictures.append(torch.cat(parts, 1).contiguous(memory_format=torch.channels_last))
        return pictures


class Block(nn.Module):
    """Two convolutions, normalised, the first modulated by the condition, beside a short cut."""

    def __init__(self, inputs: int, outputs: int, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.by_band = nn.Parameter(torch.zeros(1, outputs, size[0], 1))
        self.by_time = nn.Parameter(torch.zeros(1, outputs, 1, size[1]))
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(8, outputs, affine=False)
        self.modulation = nn.Linear(width, 2 * outputs)
        self.short_cut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, C, H, W), condition (B, D) -> (B, C', H, W)."""
        scale, shift = self.modulation(condition)[..., None, None].chunk(2, 1)
        h = self.norm(self.first(x) + (self.by_band + self.by_time).to(x.dtype))
        h = F.silu(torch.addcmul(shift, h, 1 + scale))
        return F.silu(self.short_cut(x) + self.second(h))


class Player(nn.Module):
    """Notes and noise to pictures: the generator of the GAN, the decoder of the autoencoder."""

    def __init__(self, config: OneShotConfig) -> None:
        super().__init__()
        self.config = config
        c, width = config.channels, config.width
        self.sounds = nn.Embedding(len(config.sounds), 96)
        self.kits = nn.Embedding(config.kits, 16)
        self.condition = nn.Sequential(
            nn.Linear(96 + 16 + 8 + config.latent, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
        )
        self.maps = Maps()
        self.start = nn.Linear(width, 96 * SIZES[0][0] * SIZES[0][1])
        inputs = (96, c[0], c[1], c[2])
        self.blocks = nn.ModuleList(
            Block(before + MAPS, after, width, size)
            for before, after, size in zip(inputs, c, SIZES, strict=True)
        )
        self.out = nn.Conv2d(c[3] + MAPS, CELL[0] * CELL[1], 3, padding=1)
        self.envelope = nn.Linear(width, MELS * (len(FADES) + 2))
        nn.init.zeros_(self.envelope.weight)
        nn.init.zeros_(self.envelope.bias)

    def forward(self, notes: Notes, z: Tensor) -> Tensor:
        """z (B, latent) standard normal -> log-mel pictures (B, MELS, FRAMES) within LOUDEST."""
        condition = self.condition(self._facts(notes, z))
        maps = [picture.to(condition.dtype) for picture in self.maps(notes)]
        x = self.start(condition).view(len(z), *SIZES[0], 96).permute(0, 3, 1, 2)
        for index, (block, picture) in enumerate(zip(self.blocks, maps, strict=True)):
            x = F.interpolate(x, scale_factor=2.0) if index else x
            x = block(torch.cat([x, picture], 1), condition)
        cells = self.out(torch.cat([x, maps[-1]], 1)).to(z.dtype)
        return LOUDEST * torch.tanh(from_cells(cells) + self._envelopes(condition, notes))

    def _envelopes(self, condition: Tensor, notes: Notes) -> Tensor:
        """What each band does over time whatever the net draws in it: (B, MELS, FRAMES). In logs,
        a spectrum is the sum of its fine structure and its envelope."""
        held = gate(notes.hold_s)[:, None]  # (B, 1, FRAMES)
        steady = torch.cat([fades(held), torch.ones_like(held[:1, 0])])  # (K - 1, FRAMES)
        shapes = torch.cat([steady.expand(len(held), -1, -1), held], 1)  # (B, K, FRAMES)
        weights = self.envelope(condition).view(len(held), MELS, -1).to(shapes.dtype)
        return weights @ shapes

    def _facts(self, notes: Notes, z: Tensor) -> Tensor:
        """(B, D): what the note is, in numbers of about one."""
        pitched = (notes.pitch > 0).to(z.dtype)
        height = (notes.pitch - 60) / 24 * pitched
        turn = 2 * torch.pi * notes.pitch / 24
        scalars = [
            pitched,
            height,
            height.square() - 0.5,
            turn.sin() * pitched,
            turn.cos() * pitched,
            (notes.velocity - 80) / 32,
            notes.hold_s - 1,
            torch.exp(-4 * notes.hold_s),
        ]
        numbers = torch.stack([scalar.to(z.dtype) for scalar in scalars], 1)
        return torch.cat([self.sounds(notes.sound), self.kits(notes.kit), numbers, z], 1)


class Listener(nn.Module):
    """A prompt's words to how likely each sound, and each kit, is meant."""

    def __init__(self, config: OneShotConfig) -> None:
        super().__init__()
        self.words = HashedWords(config.word_width, config.word_buckets, table_width=32)
        self.sounds = nn.Linear(config.word_width, len(config.sounds))
        self.kits = nn.Linear(config.word_width, config.kits)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Word ids (B, W, K) -> logits of the sounds (B, S) and of the kits (B, kits)."""
        pooled, _, _ = self.words(ids)
        return self.sounds(pooled), self.kits(pooled)


class OneShot(nn.Module):
    """All that ships: who listens and who plays."""

    def __init__(self, config: OneShotConfig) -> None:
        super().__init__()
        self.config = config
        self.listener = Listener(config)
        self.player = Player(config)

    def save_pretrained(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors` (float16)."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self.config), ensure_ascii=False, indent=1)
        (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
        halves = {
            name: value.detach().cpu().half().contiguous()
            for name, value in self.state_dict().items()
        }
        save_file(halves, folder / WEIGHTS_NAME)

    @classmethod
    def from_pretrained(cls, folder: Path, dtype: torch.dtype = torch.float32) -> Self:
        """The net in a folder, in evaluation mode. Raises OSError, KeyError or RuntimeError where
        the folder does not hold one."""
        values = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        net = cls(OneShotConfig.from_json(values))
        net.load_state_dict(load_file(folder / WEIGHTS_NAME))
        return net.to(dtype).eval()
