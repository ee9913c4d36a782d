"""Autoencoder: pictures to small latents and back (Kingma & Welling, 2014, arXiv:1312.6114).

diffusers' own `AutoencoderKL`, so that the exported folder is a stock one. The loss is made for
flat artwork with hard edges: absolute and squared error, the absolute error of the picture's
gradients (edges stay sharp without an adversary), and a small KL term that keeps latents near a
unit Gaussian.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Self

import torch
from diffusers import AutoencoderKL
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from generators.weights import WeightsManifest, write_manifest
from trainer.contract import TrainingError
from trainer.data import images
from trainer.data.recolour import load_train
from trainer.initial import refuse_other_shape
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import sheet

EVALUATION_BATCH = 64
SHOWN = 12  # held-out pictures on a sample sheet


CARD = Card(
    title="A small autoencoder of pictures",
    usage="""from diffusers import AutoencoderKL

vae = AutoencoderKL.from_pretrained("path/to/this/folder")""",
    limits="Made for flat artwork at one size; fine texture and photographs come back soft.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "vae"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=64, ge=16, le=1024, description="training pictures, pixels square")
    block_out_channels: tuple[int, ...] = (24, 48, 64, 64)
    layers_per_block: int = Field(default=1, ge=1, le=4)
    latent_channels: int = Field(default=8, ge=1, le=64)
    norm_num_groups: int = Field(default=8, ge=1)
    edge_weight: float = Field(default=2.0, ge=0, description="of the picture-gradient term")
    kl_weight: float = Field(default=1e-3, ge=0)
    train_encoder: bool = Field(
        default=True, description="false: a better decoder for latents that others already know"
    )
    encoder_tether: float = Field(
        default=0.0,
        ge=0,
        description="weight of the squared distance to the latents of the weights started from,"
        " so that nets trained on those still fit",
    )
    moved: int = Field(default=0, ge=0, le=64, description="more poses of every picture")
    recoloured: int = Field(default=0, ge=0, le=7, description="more colours of every picture")
    latent_noise: float = Field(
        default=0.0, ge=0, le=1, description="deviation of noise the decoder learns to look through"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        halvings = len(self.block_out_channels) - 1
        if any(channels % self.norm_num_groups for channels in self.block_out_channels):
            raise ValueError("norm_num_groups must divide every entry of block_out_channels")
        if self.size % 2**halvings:
            raise ValueError(f"size must be a multiple of {2**halvings} for so many channels")
        return self


class Reconstruction(nn.Module):
    """The autoencoder with its loss."""

    def __init__(self, vae: AutoencoderKL, settings: Settings) -> None:
        super().__init__()
        self.vae = vae
        self.settings = settings
        if not settings.train_encoder:
            vae.encoder.requires_grad_(False)
            vae.quant_conv.requires_grad_(False)
        tethered = settings.encoder_tether > 0
        # In a tuple, so that it is neither trained nor saved with the module.
        self._origin = (copy.deepcopy(vae).requires_grad_(False),) if tethered else ()

    def forward(self, batch: Batch) -> Tensor:
        """Loss of `pixels` (B, 3, H, W) in [-1, 1]."""
        x = batch["pixels"].contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(self.settings.train_encoder and torch.is_grad_enabled()):
            posterior = self.vae.encode(x).latent_dist
        latents = posterior.mean + posterior.std * torch.randn_like(posterior.mean)
        latents = latents + self.settings.latent_noise * torch.randn_like(latents)
        restored = self.vae.decode(latents).sample
        loss = picture_loss(restored.float(), x, self.settings.edge_weight)
        for origin in self._origin:
            with torch.no_grad():
                known = origin.encode(x).latent_dist.mean.float()
            away = (posterior.mean.float() - known).square().mean()
            loss = loss + self.settings.encoder_tether * away
        return loss + self.settings.kl_weight * kl(posterior.mean.float(), posterior.logvar.float())


def picture_loss(restored: Tensor, x: Tensor, edge_weight: float) -> Tensor:
    """L1 + L2 of the pixels plus L1 of their horizontal and vertical differences; a scalar."""
    error = restored - x
    edges = (error[..., 1:] - error[..., :-1]).abs().mean()
    edges = edges + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + error.square().mean() + 0.5 * edge_weight * edges


def kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) in nats, averaged over latent elements."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD
    init_from = frozenset({"autoencoder", "diffusion", "vae"})

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = settings = Settings.model_validate(setting.recipe.settings)
        self.device = setting.device
        self.train = load_train(setting, settings.size, settings.moved, settings.recoloured)
        self.held_out = images.load(setting.dataset, "held_out", settings.size)
        self.dataset_size = len(self.train)
        if not settings.train_encoder and setting.init is None:
            raise TrainingError("train_encoder = false needs weights to start from: add --init.")
        if settings.encoder_tether and setting.init is None:
            raise TrainingError("encoder_tether needs weights to be tied to: add --init.")
        vae = load_or_make(setting.init, settings).to(memory_format=torch.channels_last)
        self.module = Reconstruction(vae, settings).to(setting.device)

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """Convolutions only: nothing for Muon."""
        return False

    def batch(self, indices: list[int], seed: int) -> Batch:
        return {"pixels": self.train.batch(indices)}

    @torch.no_grad()
    def sample(self, folder: Path, name: str) -> Path:
        """Held-out pictures above their reconstructions."""
        source = self.held_out if len(self.held_out) else self.train
        x = source.batch(range(min(SHOWN, len(source)))).to(self.device)
        restored = self.module.vae(x).sample
        return save_sheet(sheet(torch.cat([x, restored]), columns=len(x)), folder, name)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """`psnr_db`: mean over held-out pictures of 10 log10(1 / MSE), pixels in [0, 1]."""
        source = self.held_out if len(self.held_out) else self.train
        values: list[float] = []
        for start in range(0, len(source), EVALUATION_BATCH):
            x = source.batch(range(start, min(start + EVALUATION_BATCH, len(source))))
            restored = self.module.vae(x.to(self.device)).sample.clamp(-1, 1)
            errors = ((restored.cpu() - x) / 2).square().mean((1, 2, 3))
            values += [10 * math.log10(1 / max(float(error), 1e-10)) for error in errors]
        return {"psnr_db": sum(values) / len(values)}

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """An `AutoencoderKL` folder in float16 whose latents have mean 0 and deviation 1.

        With the encoder frozen or tethered they stay as they came.
        """
        finished = copy.deepcopy(self.module.vae).float()
        if self.settings.train_encoder and not self.settings.encoder_tether:
            standardise(finished, *self._latent_moments())
            finished.register_to_config(scaling_factor=1.0)
        finished.half().save_pretrained(folder)
        manifest = WeightsManifest(
            generator="autoencoder",
            summary=self.setting.recipe.about
            or {"en": "An autoencoder of pictures.", "zh": "图像自编码器。"},
            licence=self.setting.manifest.licence,
            figures={name: round(value, 4) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)

    @torch.no_grad()
    def _latent_moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each latent channel over the train split: (C,) twice."""
        count = min(len(self.train), 4096)
        latents = torch.cat(
            [
                self.module.vae.encode(
                    self.train.batch(range(start, min(start + 64, count))).to(self.device)
                ).latent_dist.mean
                for start in range(0, count, 64)
            ]
        )
        return latents.mean((0, 2, 3)), latents.std((0, 2, 3)).clamp(min=1e-3)


@torch.no_grad()
def standardise(vae: AutoencoderKL, mean: Tensor, deviation: Tensor) -> None:
    """Fold the latents' mean and deviation per channel, (C,) each, into the two 1 x 1 convolutions.

    Pictures come out as before, and a diffusion model on these latents sees zero mean and unit
    variance in every channel, which one `scaling_factor` for all cannot give.
    """
    into, out = vae.quant_conv, vae.post_quant_conv
    channels = len(mean)
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= deviation.view(1, -1, 1, 1)
    into.bias[:channels] -= mean
    into.bias[:channels] /= deviation
    into.weight[:channels] /= deviation.view(-1, 1, 1, 1)
    into.bias[channels:] -= 2 * deviation.log()  # log-variances of the scaled latents


@torch.no_grad()
def deepened(known: AutoencoderKL, deeper: AutoencoderKL) -> AutoencoderKL:
    """`deeper`, which has more residual blocks a level, made to compute what `known` does.

    The blocks it has beyond those of `known` begin as the identity: their last convolution is 0
    (He et al., "Bag of tricks for image classification", 2019, section 3.1, "zero gamma").
    """
    own = known.state_dict()
    deeper.load_state_dict(own, strict=False)
    for name, parameter in deeper.named_parameters():
        if name not in own and ".conv2." in name:
            parameter.zero_()
    deeper.register_to_config(scaling_factor=known.config.scaling_factor)
    return deeper


def load_or_make(init: Path | None, settings: Settings) -> AutoencoderKL:
    """The autoencoder in `init`, deepened where the recipe asks for more, or a fresh one."""
    if init is not None:
        init = init / "vae" if (init / "vae").is_dir() else init
        vae = AutoencoderKL.from_pretrained(init, torch_dtype=torch.float32)
        found = {
            "block_out_channels": tuple(vae.config.block_out_channels),
            "latent_channels": vae.config.latent_channels,
        }
        refuse_other_shape(settings, found, init)
        more = settings.layers_per_block - vae.config.layers_per_block
        return deepened(vae, make(settings)) if more > 0 else vae
    return make(settings)


def make(settings: Settings) -> AutoencoderKL:
    """A fresh autoencoder of the recipe's shape; float32."""
    levels = len(settings.block_out_channels)
    return AutoencoderKL(
        sample_size=settings.size,
        block_out_channels=settings.block_out_channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=settings.layers_per_block,
        latent_channels=settings.latent_channels,
        norm_num_groups=settings.norm_num_groups,
        mid_block_add_attention=False,
    )
