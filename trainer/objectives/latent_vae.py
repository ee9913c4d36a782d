"""A text-conditional VAE over the latents of an autoencoder; see `generators.nn.word_vae`.

Loss: the painter's error for z of the posterior, `kl_weight` times the KL divergence of posterior
and prior (both depend on data: the prior learns where the pictures of a caption lie), the painter's
error for the prior's own mean (without it, thousands of steps pass before words lead anywhere: the
posterior tells the painter all), and the restorer's error on damaged pictures. A good share of
captions is empty, since a picture that is blended or cleaned comes without words.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from generators.nn import word_vae
from generators.nn.word_vae import Shape, WordVae
from generators.weights import WeightsManifest, write_manifest
from trainer import initial, latents
from trainer.data import images
from trainer.data.captions import draw_captions, name_of, prompts_to_show
from trainer.data.damage import damaged, noisy
from trainer.data.images import Pictures
from trainer.data.order import step_seed
from trainer.data.recolour import load_train
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import sheet

NOISE = 40  # steps of 255: the noise that `denoise_psnr_db` is measured with
DAMAGED_MOST = 4096  # pairs of damaged and clean pictures
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
    damaged: int = Field(default=2, ge=1, le=16, description="damaged versions of each picture")
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
        real, settings = batch["latents"], self.settings
        reading = self.net.reading(batch["ids"])
        posterior = self.net.encode(real)
        z = posterior[0] + posterior[1].exp() * torch.randn_like(posterior[0])
        loss = latent_loss(self.net.painter(z, reading).float(), real)
        prior = self.net.prior(reading)
        divergence = kl(*(x.float() for x in (*posterior, *prior)))
        loss = loss + settings.kl_weight * divergence.mean() / real[0].numel()
        typical = self.net.painter(prior[0], reading).float()
        loss = loss + settings.typical_weight * (typical - real).abs().mean()
        nothing = torch.zeros_like(batch["ids"][:1]).expand(len(batch["damaged"]), -1, -1)
        restored = self.net.restore(batch["damaged"], nothing)
        return loss + settings.restore_weight * latent_loss(restored.float(), batch["clean"])


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
        train = load_train(setting, self.size, settings.moved, settings.recoloured)
        self.held_out = images.load(setting.dataset, "held_out", self.size)
        self.captions, self.colours = train.captions, train.colours
        self.latents = latents.encode_all(self.vae, train)
        self.dataset_size = len(train)
        plain = images.load(setting.dataset, "train", self.size)
        self.clean, self.damaged = self._pairs(plain)
        self.module = Variational(self._net(), settings).to(self.device)

    def _pairs(self, pictures: Pictures) -> tuple[Tensor, Tensor]:
        """Latents of clean and of damaged pictures, (N, C, h, w) each."""
        count = min(len(pictures) * self.settings.damaged, DAMAGED_MOST)
        rows = [index % len(pictures) for index in range(count)]
        seed = self.setting.recipe.seed
        changed = changed_pictures(
            pictures, rows, lambda p, i: damaged(p, step_seed(seed, "damage", i))
        )
        clean = latents.encode_all(self.vae, pictures)
        return clean[rows], latents.encode_all(self.vae, changed)

    def _net(self) -> WordVae:
        init, settings = self.setting.init, self.settings
        if init is not None and initial.holds(init, "vae"):
            return word_vae.load(init, self.device, torch.float32).requires_grad_(True)
        return WordVae(
            Shape(
                buckets=settings.buckets,
                width=settings.width,
                encoder_width=settings.encoder_width,
                chance=settings.chance,
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
        pairs = [rng.randrange(len(self.clean)) for _ in indices[: max(1, len(indices) // 2)]]
        return {
            "latents": self.latents[indices],
            "ids": self.module.net.reading.ids(texts),
            "clean": self.clean[pairs],
            "damaged": self.damaged[pairs],
        }

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
            rows += [clean, noised, self._restored(noised)]
        return save_sheet(sheet(torch.cat(rows), columns=8), folder, name)

    def _ids(self, texts: list[str]) -> Tensor:
        return self.module.net.reading.ids(texts).to(self.device)

    def _noisy(self, source: Pictures, count: int) -> Tensor:
        changed = changed_pictures(source, range(count), lambda p, i: noisy(p, NOISE, i))
        return changed.batch(range(count))

    @torch.no_grad()
    def _restored(self, pixels: Tensor) -> Tensor:
        parts = []
        for part in pixels.split(64):
            found = latents.encode(self.vae, part).to(self.device)
            ids = self._ids([""]).expand(len(part), -1, -1)
            parts.append(latents.decode(self.vae, self.module.net.restore(found, ids)))
        return torch.cat(parts)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """PSNR in dB on held-out pictures: after noise of deviation 40 / 255, and cleaned of it, by
        the autoencoder alone and by all; RMS error of the painter for their z, latents of deviation
        1; and how far two drawings for one caption lie apart."""
        source = self.held_out if len(self.held_out) else self._some_train()
        count = len(source)
        clean, noised = source.batch(range(count)), self._noisy(source, count)
        net = self.module.net
        found = latents.encode_all(self.vae, source).to(self.device)
        ids = self._ids([""]).expand(count, -1, -1)
        error = (net.paint(net.encode(found)[0], ids) - found).square().mean((1, 2, 3)).sqrt()
        alone = torch.cat(
            [latents.decode(self.vae, latents.encode(self.vae, x)) for x in noised.split(64)]
        )
        names = [name_of(one) for one in self.captions[:256]]
        first, second = (
            net.imagine(
                torch.randn(len(names), self.settings.chance, generator=rng).to(self.device),
                self._ids(names),
            )
            for rng in (torch.Generator().manual_seed(seed) for seed in range(2))
        )
        return {
            "noisy_psnr_db": psnr(noised, clean),
            "autoencoded_psnr_db": psnr(alone, clean),
            "denoise_psnr_db": psnr(self._restored(noised), clean),
            "held_out_rms": float(error.mean()),
            "spread_rms": float((first - second).square().mean((1, 2, 3)).sqrt().mean()),
        }

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


def changed_pictures(pictures: Pictures, rows: range | list[int], change: object) -> Pictures:
    """`change(picture, number)` of the pictures at `rows`, without captions."""
    made = []
    for number, row in enumerate(rows):
        picture = Image.fromarray(pictures.pixels[row].permute(1, 2, 0).numpy())
        made.append(np.asarray(change(picture, number)))  # type: ignore[operator]
    stacked = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).contiguous()
    return Pictures(stacked, [{} for _ in made])


def psnr(made: Tensor, wanted: Tensor) -> float:
    """Mean over pictures (B, 3, H, W) in [-1, 1] of 10 log10(1 / MSE), pixels in [0, 1]."""
    errors = ((made.clamp(-1, 1) - wanted) / 2).square().mean((1, 2, 3)).clamp(min=1e-10)
    return float(sum(10 * math.log10(1 / float(error)) for error in errors) / len(errors))
