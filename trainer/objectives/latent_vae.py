"""A text-conditional VAE over the latents of an autoencoder; see `generators.nn.word_vae`.

Loss: the painter's error for z of the posterior, `kl_weight` times the KL divergence of posterior
and prior (both depend on data: the prior learns where the pictures of a caption lie), the painter's
error for the prior's own mean (without it, thousands of steps pass before words lead anywhere: the
posterior tells the painter all), and the restorer's error on damaged pictures. A good share of
captions is empty, since a picture that is blended comes without words. The restorer shares no
parameter with the rest: `restorer_only` trains it in weights whose drawing is to stay as it is.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from generators.nn import word_vae
from generators.nn.word_vae import Shape, WordVae
from generators.weights import WeightsManifest, write_manifest
from trainer import initial, latents
from trainer.contract import TrainingError
from trainer.data import images, pairs
from trainer.data.captions import draw_captions, name_of, prompts_to_show
from trainer.data.damage import damaged, noisy
from trainer.data.images import Pictures
from trainer.data.order import step_seed
from trainer.data.recolour import load_train
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import sheet

NOISE = 40  # steps of 255: the noise that `denoise_psnr_db` is measured with
UNDAMAGED = 0.1  # of the pairs: a clean upload is to stay as it is
CARD = Card(
    title="A small VAE that draws, blends and cleans pictures",
    usage="""from generators.nn import painter, word_vae

net = word_vae.load(folder, device, dtype)  # Path("path/to/this/folder"), torch.device("cpu"), ...
vae = painter.load_autoencoder(folder, device, dtype)
ids = net.reading.ids(["red heart"])
pixels = painter.decode(vae, net.imagine(torch.randn(1, net.shape.chance), ids))""",
    limits="Softer than the GAN and the diffusion model, as VAEs are: it draws the mean of what it"
    " is unsure about. Blends and cleans flat artwork; a photograph comes back as an emoji would.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "latent_vae"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    buckets: int = Field(default=5120, ge=16, description="rows of the word table")
    width: int = Field(default=208, ge=8, description="of the painter's perceptron")
    encoder_width: int = Field(default=152, ge=8)
    chance: int = Field(default=64, ge=1, le=1024, description="width of z")
    kl_weight: float = Field(default=0.6, ge=0, description="per latent element, in nats")
    typical_weight: float = Field(default=0.5, ge=0, description="of the prior's mean, painted")
    restore_weight: float = Field(default=0.5, ge=0)
    moved: int = Field(default=0, ge=0, le=32, description="more poses of each picture")
    recoloured: int = Field(default=0, ge=0, le=7, description="more colours of each picture")
    restorer_only: bool = Field(default=False, description="the rest stays as --init has it")
    restorer_width: int = Field(default=64, ge=1)
    restorer_blocks: int = Field(default=3, ge=0, le=16)
    damaged: int = Field(default=2, ge=1, le=16, description="damaged versions of each picture")
    damaged_moved: int = Field(default=0, ge=0, le=32, description="more poses of it to damage")
    damaged_recoloured: int = Field(default=0, ge=0, le=7, description="more colours of it")
    empty_captions: float = Field(default=0.3, ge=0, le=1)


class Variational(nn.Module):
    """The net with its loss."""

    def __init__(self, net: WordVae, settings: Settings) -> None:
        super().__init__()
        self.net = net
        self.settings = settings

    def forward(self, batch: Batch) -> Tensor:
        """Loss of `latents` (B, C, h, w) under `ids` (B, W, K), and of `damaged` latents whose
        clean ones are `clean`, both (D, C, h, w)."""
        restored = self.net.restore(batch["damaged"])
        loss = self.settings.restore_weight * latent_loss(restored.float(), batch["clean"])
        return loss if self.settings.restorer_only else loss + self._drawing(batch)

    def _drawing(self, batch: Batch) -> Tensor:
        real, settings = batch["latents"], self.settings
        reading = self.net.reading(batch["ids"])
        posterior = self.net.encode(real)
        z = posterior[0] + posterior[1].exp() * torch.randn_like(posterior[0])
        loss = latent_loss(self.net.painter(z, reading).float(), real)
        prior = self.net.prior(reading)
        divergence = kl(*(x.float() for x in (*posterior, *prior)))
        loss = loss + settings.kl_weight * divergence.mean() / real[0].numel()
        typical = self.net.painter(prior[0], reading).float()
        return loss + settings.typical_weight * (typical - real).abs().mean()


def latent_loss(made: Tensor, real: Tensor) -> Tensor:
    """L1 plus L2 of latents; a scalar."""
    error = made - real
    return error.abs().mean() + error.square().mean()


def kl(mean: Tensor, log_deviation: Tensor, other_mean: Tensor, other_log: Tensor) -> Tensor:
    """KL(N(mean, deviation) || N(other)) in nats, Gaussians of (B, D) each -> (B,)."""
    square = (2 * (log_deviation - other_log)).exp()
    away = ((mean - other_mean) * (-other_log).exp()).square()
    return (other_log - log_deviation + 0.5 * (square + away - 1)).sum(1)


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD
    init_from = frozenset({"vae", "autoencoder", "diffusion"})

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = settings = Settings.model_validate(setting.recipe.settings)
        self.device = setting.device
        self.autoencoder = latents.find_autoencoder(setting.init)
        self.vae = latents.load_autoencoder(self.autoencoder, self.device)
        self.size = int(self.vae.config.sample_size)
        net = self._net().to(self.device, memory_format=torch.channels_last)
        self.module = Variational(net, settings)
        train = load_train(setting, self.size, settings.moved, settings.recoloured)
        self.held_out = images.load(setting.dataset, "held_out", self.size)
        self.captions, self.colours = train.captions, train.colours
        self.latents = latents.encode_all(self.vae, train)
        self.dataset_size = len(train)
        self.pairs = pairs.load(
            setting,
            self.vae,
            self.autoencoder,
            moved=settings.damaged_moved,
            recoloured=settings.damaged_recoloured,
            versions=settings.damaged,
        )

    def _net(self) -> WordVae:
        init, settings = self.setting.init, self.settings
        if init is not None and initial.holds(init, "vae"):
            net = word_vae.load(init, self.device, torch.float32)
            (net.restorer if settings.restorer_only else net).requires_grad_(True)
            return net
        if settings.restorer_only:
            raise TrainingError("restorer_only needs the VAE whose restorer it is: --init vae")
        return WordVae(
            Shape(
                buckets=settings.buckets,
                width=settings.width,
                encoder_width=settings.encoder_width,
                chance=settings.chance,
                restorer_width=settings.restorer_width,
                restorer_blocks=settings.restorer_blocks,
                channels=self.vae.config.latent_channels,
                side=latents.latent_side(self.vae),
            )
        )

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """The matrices of the perceptrons."""
        return not name.startswith("net.reading.") and "scales" not in name

    def batch(self, indices: list[int], seed: int) -> Batch:
        rng = random.Random(seed)
        empty = self.settings.empty_captions
        texts = draw_captions(self.captions, self.colours, indices, rng, empty)
        count = len(indices) if self.settings.restorer_only else max(1, len(indices) // 2)
        spoiled, clean = self.pairs.take([self._pair(rng) for _ in range(count)])
        return {
            "latents": self.latents[indices],
            "ids": self.module.net.reading.ids(texts),
            "clean": clean,
            "damaged": spoiled,
        }

    def _pair(self, rng: random.Random) -> tuple[int, int]:
        """One row for `Pairs.take`."""
        number = rng.randrange(len(self.pairs.clean))
        if rng.random() < UNDAMAGED:
            return 0, number
        return rng.randint(1, self.settings.damaged), number

    @torch.no_grad()
    def sample(self, folder: Path, name: str) -> Path:
        """The recipe's prompts; then a blend of two held-out pictures; then noisy ones, cleaned."""
        prompts = prompts_to_show(self.setting.recipe.prompts, self.captions)
        net = self.module.net
        noise = latents.chance(range(len(prompts)), self.settings.chance)
        drawn = net.imagine(noise.to(self.device), self._ids(prompts)).cpu()
        source = self.held_out if len(self.held_out) else None
        rows = [latents.decode(self.vae, drawn)]
        if source is not None:
            count = min(8, len(source))
            clean = source.batch(range(count))
            noised = self._noisy(source, count)
            rows += [clean, noised, self._developed(noised, restored=True)]
        return save_sheet(sheet(torch.cat(rows), columns=8), folder, name)

    def _ids(self, texts: list[str]) -> Tensor:
        return self.module.net.reading.ids(texts).to(self.device)

    def _noisy(self, source: Pictures, count: int) -> Tensor:
        changed = pairs.changed(source, range(count), lambda p, i: noisy(p, NOISE, i))
        return changed.batch(range(count))

    def _damaged(self, source: Pictures) -> Tensor:
        rows = range(len(source))
        changed = pairs.changed(source, rows, lambda p, i: damaged(p, step_seed(0, "held out", i)))
        return changed.batch(rows)

    @torch.no_grad()
    def _developed(self, pixels: Tensor, restored: bool) -> Tensor:
        """(B, 3, H, W) through the autoencoder, and between its halves through the restorer."""
        parts = []
        for part in pixels.split(64):
            found = latents.encode(self.vae, part).to(self.device)
            kept = self.module.net.restore(found) if restored else found
            parts.append(latents.decode(self.vae, kept))
        return torch.cat(parts)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """PSNR in dB on held-out pictures, through the autoencoder alone and restored: after noise
        of deviation 40 / 255, after damage of all kinds, and as they are; RMS error of the painter
        for their z, latents of deviation 1; how far two drawings for one caption lie apart."""
        source = self.held_out if len(self.held_out) else self._some_train()
        clean = source.batch(range(len(source)))
        noised, spoiled = self._noisy(source, len(source)), self._damaged(source)
        figures = {"noisy_psnr_db": psnr(noised, clean)}
        for name, pixels in (("", noised), ("damaged_", spoiled), ("clean_", clean)):
            for way, restored in (("autoencoded", False), ("denoise", True)):
                made = self._developed(pixels, restored)
                figures[f"{name}{way}_psnr_db"] = psnr(made, clean)
        return figures | {"held_out_rms": self._painted_rms(source), "spread_rms": self._spread()}

    def _painted_rms(self, source: Pictures) -> float:
        net = self.module.net
        found = latents.encode_all(self.vae, source).to(self.device)
        painted = net.paint(net.encode(found)[0], self._ids([""]).expand(len(source), -1, -1))
        return float((painted - found).square().mean((1, 2, 3)).sqrt().mean())

    def _spread(self) -> float:
        names, net = [name_of(one) for one in self.captions[:256]], self.module.net
        first, second = (
            net.imagine(
                torch.randn(len(names), net.shape.chance, generator=rng).to(self.device),
                self._ids(names),
            )
            for rng in (torch.Generator().manual_seed(seed) for seed in range(2))
        )
        return float((first - second).square().mean((1, 2, 3)).sqrt().mean())

    def _some_train(self) -> Pictures:
        train = images.load(self.setting.dataset, "train", self.size)
        return Pictures(train.pixels[:64], train.captions[:64])

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """The net in float16 with `atelier.json` and a sample sheet."""
        word_vae.save(self.module.net, folder)
        manifest = WeightsManifest(
            generator="vae",
            summary=self.setting.recipe.about
            or {"en": "Draws, blends and cleans pictures.", "zh": "绘制、融合和修复图片。"},
            licence=self.setting.manifest.licence,
            limits={"height": self.size, "width": self.size},
            parts={"autoencoder": latents.part_path(self.autoencoder, folder)},
            figures={name: round(value, 3) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)
        self.sample(folder, "samples")


def psnr(made: Tensor, wanted: Tensor) -> float:
    """Mean over pictures (B, 3, H, W) in [-1, 1] of 10 log10(1 / MSE), pixels in [0, 1]."""
    errors = ((made.clamp(-1, 1) - wanted) / 2).square().mean((1, 2, 3)).clamp(min=1e-10)
    return float(sum(10 * math.log10(1 / float(error)) for error in errors) / len(errors))
