"""A text-conditional GAN in the latents of an autoencoder: a picture in one step.

Loss of the critic: a real picture must look more real than the one drawn for the same words
(Jolicoeur-Martineau, 2018, arXiv:1807.00734, as in R3GAN: Huang et al., 2024, arXiv:2501.05441),
and than itself under another's words; gradient penalties on both sides, by finite differences (Lin
et al., 2025, arXiv:2501.08316, section 3.3), since a second backward pass is slow. Both sides are
moved, cut and tinted alike before the critic sees them (Zhao et al., 2020, arXiv:2006.10738).

The generator adds to its adversarial loss that of conditional IMLE (Li et al., 2020,
arXiv:2004.03590): of several pictures drawn for a caption, the one nearest to the real picture is
drawn nearer. Every real picture keeps some z that leads to it, so modes cannot be dropped, and a
few thousand steps suffice where the adversary alone learns nothing.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from generators.nn import painter
from generators.nn.painter import Reading, Shape, WordPainter
from generators.weights import WeightsManifest, write_manifest
from trainer import encoded, initial, latents
from trainer.adversarial import frozen
from trainer.data.captions import draw_captions, name_of, prompts_to_show
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import sheet

NUDGE = 0.1  # of latents of deviation 1: the step of the finite differences
CARD = Card(
    title="A small GAN that draws from words in one step",
    usage="""from generators.nn import painter

net = painter.load(folder, device, dtype)  # Path("path/to/this/folder"), torch.device("cpu"), ...
vae = painter.load_autoencoder(folder, device, dtype)
ids = net.reading.ids(["red heart"])
pixels = painter.decode(vae, net(torch.randn(1, net.shape.chance), ids))  # (1, 3, 64, 64)""",
    limits="It draws what its pictures show, in their style and size; what it saw seldom is a blur"
    " of the right colours, a word it never met becomes the word that looks most like it. Two"
    " things in one picture are beyond it.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "gan"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    buckets: int = Field(default=8192, ge=16, description="rows of the word table")
    width: int = Field(default=288, ge=8, description="of the generator's perceptron")
    blocks: int = Field(default=2, ge=1, le=32)
    chance: int = Field(default=64, ge=1, le=1024, description="width of z")
    critic_width: int = Field(default=288, ge=4)
    candidates: int = Field(default=4, ge=1, le=64, description="drawn per caption, for IMLE")
    nearest_weight: float = Field(default=4.0, ge=0, description="of the IMLE loss")
    adversary_weight: float = Field(default=0.2, ge=0)
    penalty: float = Field(default=1.0, ge=0, description="of the squared gradients of the critic")
    mismatch_weight: float = Field(default=0.5, ge=0, description="of real pictures, wrong words")
    moved: int = Field(default=0, ge=0, le=32, description="more poses of each picture")
    recoloured: int = Field(default=0, ge=0, le=7, description="more colours of each picture")
    empty_captions: float = Field(default=0.02, ge=0, le=1)


class Critic(nn.Module):
    """How real latents look, given the words: a projection critic (Miyato & Koyama, 2018,
    arXiv:1802.05637) with its own reading of them. It looks at 4 x 4 patches of 2 x 2 places, then
    at all of them. No norms before the end: the penalties do their work."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.reading = Reading(shape)
        self.match = nn.Linear(self.reading.width, width)
        self.patches = nn.Conv2d(4 * shape.channels, width // 4, 3, padding=1)
        self.whole = nn.Linear(width // 4 * (shape.side // 2) ** 2, width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.realness = nn.Linear(width, 1)

    def asked(self, ids: Tensor) -> Tensor:
        """The words as the critic weighs them: ids (B, W, K) -> (B, width)."""
        return self.match(self.reading(ids))

    def forward(self, latents: Tensor, asked: Tensor) -> Tensor:
        """latents (N, C, h, w) under asked (B, width), N a multiple of B -> scores (N,)."""
        x = F.leaky_relu(self.patches(F.pixel_unshuffle(latents, 2)), 0.2)
        x = F.leaky_relu(self.whole(x.flatten(1)), 0.2)
        x = F.leaky_relu(x + self.second(F.leaky_relu(self.first(x), 0.2)), 0.2)
        match = (x * asked.repeat(len(x) // len(asked), 1)).sum(1)
        return self.realness(x).squeeze(1) + match * x.shape[1] ** -0.5


class Duel(nn.Module):
    """Generator and critic with the sum of their losses; see `trainer.adversarial`."""

    def __init__(self, generator: WordPainter, critic: Critic, settings: Settings) -> None:
        super().__init__()
        self.generator = generator
        self.critic = critic
        self.settings = settings

    def forward(self, batch: Batch) -> Tensor:
        """Loss of `latents` (B, C, h, w) under `ids` (B, W, K)."""
        real, ids = batch["latents"], batch["ids"]
        settings = self.settings
        reading = self.generator.reading(ids)
        z = torch.cat([self._nearest(real, reading), _chance(reading, settings.chance)])
        near, made = self.generator.painter(z, reading.repeat(2, 1)).chunk(2)
        # Absolute, not squared: of two pictures it may draw one, where squares ask for the blur.
        loss = settings.nearest_weight * (near.float() - real).abs().mean()
        # The critic's finite differences drown in bf16's rounding.
        with torch.autocast(real.device.type, enabled=False):
            asked = self.critic.asked(ids)
            change = Augmentation(real)
            sides = torch.cat([change(real), change(made.float())])
            score_real, score_made = frozen(self.critic, sides, asked.detach()).chunk(2)
            loss = loss + settings.adversary_weight * F.softplus(score_real - score_made).mean()
            return loss + self._critic_loss(*sides.detach().chunk(2), asked)

    @torch.no_grad()
    def _nearest(self, real: Tensor, reading: Tensor) -> Tensor:
        """For each real picture the z, out of several, whose picture is nearest: (B, chance)."""
        count = self.settings.candidates
        z = _chance(reading.repeat_interleave(count, 0), self.settings.chance)
        if count == 1:
            return z
        made = self.generator.painter(z, reading.repeat_interleave(count, 0))
        away = (made - real.repeat_interleave(count, 0)).square().mean((1, 2, 3))
        best = away.view(-1, count).argmin(1) + count * torch.arange(len(real), device=real.device)
        return z[best]

    def _critic_loss(self, real: Tensor, made: Tensor, asked: Tensor) -> Tensor:
        """Relativistic loss, wrong words, and both penalties; the latter on half of the batch."""
        half = max(1, len(real) // 2)
        score_real, score_made = self.critic(torch.cat([real, made]), asked).chunk(2)
        loss = F.softplus(score_made - score_real).mean()
        mismatched = self.critic(real, asked.roll(1, 0))
        loss = loss + self.settings.mismatch_weight * F.softplus(mismatched - score_real).mean()
        near = torch.cat([real[:half], made[:half]])
        nudged = self.critic(near + NUDGE * torch.randn_like(near), asked[:half])
        at = torch.cat([score_real[:half], score_made[:half]])
        return loss + self.settings.penalty * ((nudged - at) / NUDGE).square().mean()


def _chance(like: Tensor, width: int) -> Tensor:
    return torch.randn(len(like), width, device=like.device)


class Augmentation:
    """A random, differentiable change of latents (B, C, h, w), the same at every call: moved by up
    to one place, a corner cut out, channels scaled and shifted a little."""

    def __init__(self, like: Tensor) -> None:
        batch, channels, height, width = like.shape
        device = like.device
        rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
        down, right = (torch.randint(-1, 2, (batch, 1), device=device) for _ in range(2))
        self.rows = (rows + down).clamp(0, height - 1)  # (B, h): borders are repeated
        self.columns = (columns + right).clamp(0, width - 1)
        top, left = (torch.randint(-3, n, (batch, 1), device=device) for n in (height, width))
        inside = (rows >= top) & (rows < top + 3), (columns >= left) & (columns < left + 3)
        self.kept = 1 - (inside[0][:, :, None] & inside[1][:, None, :]).float().unsqueeze(1)
        self.gain = 1 + 0.1 * torch.randn(batch, channels, 1, 1, device=device)
        self.shift = 0.1 * torch.randn(batch, channels, 1, 1, device=device)

    def __call__(self, latents: Tensor) -> Tensor:
        batch = torch.arange(len(latents), device=latents.device)[:, None, None]
        moved = latents.permute(0, 2, 3, 1)[batch, self.rows[:, :, None], self.columns[:, None, :]]
        return (moved.permute(0, 3, 1, 2) * self.gain + self.shift) * self.kept


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD
    init_from = frozenset({"gan", "autoencoder", "diffusion"})

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = settings = Settings.model_validate(setting.recipe.settings)
        self.device = setting.device
        self.autoencoder = latents.find_autoencoder(setting.init)
        self.vae = latents.load_autoencoder(self.autoencoder, self.device)
        parts = settings.moved, settings.recoloured
        train = encoded.load(setting, self.vae, self.autoencoder, *parts)
        held_out = encoded.held_out(setting, self.vae)
        self.captions, self.colours, self.latents = train.captions, train.colours, train.latents
        self.held_out, self.held_out_captions = held_out.latents, held_out.captions
        self.dataset_size = len(train)
        generator = self._generator()
        critic = Critic(generator.shape, settings.critic_width)
        self.module = Duel(generator, critic, settings).to(self.device)

    def _generator(self) -> WordPainter:
        init, settings = self.setting.init, self.settings
        if init is not None and initial.holds(init, "gan"):
            return painter.load(init, self.device, torch.float32).requires_grad_(True)
        return WordPainter(
            Shape(
                buckets=settings.buckets,
                chance=settings.chance,
                width=settings.width,
                blocks=settings.blocks,
                channels=self.vae.config.latent_channels,
                side=latents.latent_side(self.vae),
            )
        )

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """The matrices of the generator's perceptron."""
        return name.startswith("generator.painter.") and "scales" not in name

    def batch(self, indices: list[int], seed: int) -> Batch:
        rng = random.Random(seed)
        empty = self.settings.empty_captions
        texts = draw_captions(self.captions, self.colours, indices, rng, empty)
        return {"latents": self.latents[indices], "ids": self.module.generator.reading.ids(texts)}

    @torch.no_grad()
    def _draw(self, prompts: list[str], seeds: list[int]) -> Tensor:
        """Latents, each with its own seed."""
        ids = self.module.generator.reading.ids(prompts).to(self.device)
        z = latents.chance(seeds, self.settings.chance)
        return self.module.generator(z.to(self.device), ids).cpu()

    def sample(self, folder: Path, name: str) -> Path:
        """The recipe's prompts (or the first captions), each with its own fixed seed."""
        prompts = prompts_to_show(self.setting.recipe.prompts, self.captions)
        drawn = self._draw(prompts, list(range(len(prompts))))
        pictures = latents.decode(self.vae, drawn)
        return save_sheet(sheet(pictures, columns=min(8, len(prompts))), folder, name)

    def evaluate(self) -> dict[str, float]:
        """How near the nearest of eight drawings for its full name comes to a picture, and how far
        the eight lie from each other: RMS of latents of deviation 1, up to 256 pictures a split."""
        figures: dict[str, float] = {}
        splits = {
            "train": (self.latents, self.captions),
            "held_out": (self.held_out, self.held_out_captions),
        }
        for split, (real, captions) in splits.items():
            count = min(256, len(captions))
            if not count:
                continue
            names = [name_of(one) for one in captions[:count]]
            drawn = torch.stack([self._draw(names, [seed] * count) for seed in range(8)])
            away = (drawn - real[:count]).square().mean((2, 3, 4)).amin(0).sqrt()
            figures[f"{split}_nearest_rms"] = float(away.mean())
            if split == "train":
                spread = (drawn[0::2] - drawn[1::2]).square().mean((2, 3, 4)).sqrt()
                figures["spread_rms"] = float(spread.mean())
        return figures

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """The generator in float16 with `atelier.json` and a sample sheet."""
        painter.save(self.module.generator, folder)
        size = int(self.vae.config.sample_size)
        manifest = WeightsManifest(
            generator="gan",
            summary=self.setting.recipe.about
            or {"en": "Draws a picture in one step.", "zh": "一步画出一张图。"},
            licence=self.setting.manifest.licence,
            limits={"height": size, "width": size},
            parts={"autoencoder": latents.part_path(self.autoencoder, folder)},
            figures={name: round(value, 4) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)
        self.sample(folder, "samples")
