"""Latent diffusion from words: flow matching in an autoencoder's latents.

Stock parts (a `UNet2DConditionModel` at the latents' one resolution, a small `CLIPTextModel`
trained with it, an `AutoencoderKL` that stays as it is), so that the exported folder is a
`StableDiffusionPipeline`. Loss: rectified flow (Liu et al., 2023, arXiv:2209.03003) with
logit-normal times (Esser et al., 2024, arXiv:2403.03206); some captions are empty, for
classifier-free guidance (Ho & Salimans, 2022, arXiv:2207.12598).
"""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from generators.weights import STARTER, WeightsManifest, write_manifest
from trainer import encoded
from trainer.contract import TrainingError
from trainer.data.captions import all_phrases, draw_captions, name_of, prompts_to_show
from trainer.data.clip_tokens import train_clip_tokenizer
from trainer.export import save_half
from trainer.initial import refuse_other_shape
from trainer.latents import latent_side
from trainer.noising import VariancePreserving, process_of
from trainer.objective import Batch, Card, Setting, save_sheet
from trainer.plots import sheet

TRAIN_TIMESTEPS = 1000
FLOW_SHIFT = 3.0  # of the sampler: more of its steps where the words decide
MAX_TOKENS = 77  # of CLIP
SAMPLING = {"num_inference_steps": 16, "guidance_scale": 4.0}
CARD = Card(
    title="A small latent diffusion model that draws from words",
    usage="""from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("path/to/this/folder")
pipeline("red heart", num_inference_steps=16, guidance_scale=4.0).images[0].save("heart.png")""",
    limits="It draws what its pictures show, in their style and size, and blurs what it saw "
    "seldom; words it never met give a guess. Two things in one picture are beyond it.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "diffusion"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=128, ge=16, description="channels of the U-Net and the words")
    unet_transformer_layers: int = Field(default=2, ge=1, le=8)
    attention_heads: int = Field(default=4, ge=1)
    norm_num_groups: int = Field(default=16, ge=1)
    text_layers: int = Field(default=2, ge=1, le=24)
    vocab_size: int = Field(default=4096, ge=600, description="entries of the tokenizer")
    max_tokens: int = Field(default=16, ge=4, le=77)
    time_shift: float = Field(
        default=4.0, ge=1, le=20, description="how far training times are moved towards noise"
    )
    moved: int = Field(default=0, ge=0, le=64, description="more poses of every picture")
    recoloured: int = Field(default=0, ge=0, le=7, description="more colours of every picture")
    empty_captions: float = Field(default=0.1, ge=0, le=1, description="share, for guidance")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.norm_num_groups or self.width % self.attention_heads:
            raise ValueError("norm_num_groups and attention_heads must divide width")
        return self


class Flow(nn.Module):
    """Text encoder and U-Net, with the loss they share."""

    def __init__(
        self,
        text_encoder: CLIPTextModel,
        unet: UNet2DConditionModel,
        time_shift: float,
        process: VariancePreserving | None = None,
    ) -> None:
        super().__init__()
        self.time_shift = time_shift
        self.process = process  # of a base that was not trained here; None: our straight path
        self.text_encoder = text_encoder
        self.unet = unet

    def forward(self, batch: Batch) -> Tensor:
        """Loss of `latents` (B, C, H, W) of unit variance under `input_ids` (B, T)."""
        x0 = batch["latents"]
        noise = torch.randn_like(x0)
        if self.process is not None:
            s = torch.rand(len(x0), device=x0.device)  # (B,)
        else:
            s = shifted(torch.sigmoid(torch.randn(len(x0), device=x0.device)), self.time_shift)
        return self.loss(x0, noise, s, batch["input_ids"])

    def loss(self, x0: Tensor, noise: Tensor, s: Tensor, input_ids: Tensor) -> Tensor:
        """The loss at times `s` (B,) in (0, 1), 1 being noise; a scalar."""
        if self.process is None:
            return flow_loss(self, x0, noise, s, input_ids)
        words = self.text_encoder(input_ids).last_hidden_state  # (B, T, D)

        def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
            return self.unet(noisy, timesteps, encoder_hidden_states=words).sample

        return self.process.loss(predict, x0, noise, s)


def shifted(s: Tensor, shift: float) -> Tensor:
    """Times in (0, 1), 1 being noise, moved towards noise (Esser et al., 2024, equation 23).

    Small latents show what the picture is at nearly every time; only close to noise do the words
    decide. Unshifted, that is a thirtieth of the examples and the words are learned last.
    """
    return shift * s / (1 + (shift - 1) * s)


def flow_loss(flow: Flow, x0: Tensor, noise: Tensor, s: Tensor, input_ids: Tensor) -> Tensor:
    """Mean squared error of the velocity `noise - x0` at x_s = (1 - s) x0 + s noise; a scalar."""
    level = s.view(-1, 1, 1, 1)
    mixed = ((1 - level) * x0 + level * noise).contiguous(memory_format=torch.channels_last)
    # The sampler hands the net whole numbers, rounded down: train on the same ones.
    timesteps = (s * TRAIN_TIMESTEPS).long()
    words = flow.text_encoder(input_ids).last_hidden_state  # (B, T, D)
    velocity = flow.unet(mixed, timesteps, encoder_hidden_states=words).sample
    return F.mse_loss(velocity.float(), noise - x0)


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD
    init_from = frozenset({"diffusion", "autoencoder"})

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = Settings.model_validate(setting.recipe.settings)
        self.device = setting.device
        init = find_init(setting.init)
        self.vae = AutoencoderKL.from_pretrained(_vae_folder(init), torch_dtype=torch.float32)
        self.vae.requires_grad_(False).to(self.device).eval()
        folder, settings = _vae_folder(init), self.settings
        train = encoded.load(setting, self.vae, folder, settings.moved, settings.recoloured)
        held_out = encoded.held_out(setting, self.vae)
        self.captions, self.held_out_captions = train.captions, held_out.captions
        self.colours = train.colours
        self.latents, self.held_out = train.latents, held_out.latents
        self.dataset_size = len(train)
        continued = init if (init / "model_index.json").is_file() and setting.init else None
        self.tokenizer = self._tokenizer(continued)
        self.scheduler = make_scheduler(continued)
        self.module = self._nets(continued).to(self.device)

    def adaptable(self) -> dict[str, nn.Module]:
        """What a LoRA may change; see `trainer.adapters`."""
        return {"unet": self.module.unet, "text_encoder": self.module.text_encoder}

    def _tokenizer(self, init: Path | None) -> CLIPTokenizer:
        self.max_tokens = self.settings.max_tokens
        if init is not None:
            tokenizer = CLIPTokenizer.from_pretrained(init / "tokenizer")
            self.max_tokens = min(tokenizer.model_max_length, MAX_TOKENS)
            return tokenizer
        texts = [text for captions in self.captions for text in all_phrases(captions)]
        return train_clip_tokenizer(texts, self.settings.vocab_size, self.settings.max_tokens)

    def _nets(self, init: Path | None) -> Flow:
        if init is not None:
            text_encoder = CLIPTextModel.from_pretrained(init / "text_encoder", dtype=torch.float32)
            unet = UNet2DConditionModel.from_pretrained(init / "unet", torch_dtype=torch.float32)
            found = {
                "width": unet.config.block_out_channels[0],
                "text_layers": text_encoder.config.num_hidden_layers,
            }
            refuse_other_shape(self.settings, found, init)
        else:
            text_encoder = make_text_encoder(self.settings, self.tokenizer)
            unet = make_unet(self.settings, self.vae)
        # Attention over 64 places: plain matrix products train twice as fast as the fused kernel
        # on a CPU (its backward pass is slow) and give the same numbers.
        unet.set_attn_processor(AttnProcessor())
        unet.to(memory_format=torch.channels_last)
        process = process_of(init) if init is not None else None
        return Flow(text_encoder, unet, self.settings.time_shift, process)

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """Every matrix but the word and position tables."""
        return not name.removesuffix(".weight").endswith("embedding")

    def batch(self, indices: list[int], seed: int) -> Batch:
        rng = random.Random(seed)
        empty = self.settings.empty_captions
        captions = draw_captions(self.captions, self.colours, indices, rng, empty)
        return {"latents": self.latents[indices], "input_ids": self._tokens(captions)}

    def _tokens(self, captions: list[str]) -> Tensor:
        encoded = self.tokenizer(
            captions,
            padding="max_length",
            max_length=self.max_tokens,
            truncation=True,
            return_tensors="pt",
        )
        return encoded.input_ids  # (B, T)

    def pipeline(self) -> StableDiffusionPipeline:
        """The parts as they are now, as the pipeline that ships."""
        pipeline = StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.module.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.module.unet,
            scheduler=self.scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _sampling(self) -> dict[str, Any]:
        """Arguments of the pipeline's call that suit these weights."""
        asked = self.setting.recipe.defaults
        return {name: asked.get(name, value) for name, value in SAMPLING.items()}

    @torch.no_grad()
    def sample(self, folder: Path, name: str) -> Path:
        """The recipe's prompts (or the first captions), each with its own fixed seed."""
        prompts = prompts_to_show(self.setting.recipe.prompts, self.captions)
        rngs = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
        pictures = self.pipeline()(
            prompts,
            **self._sampling(),
            generator=rngs,
            output_type="pt",
        ).images
        return save_sheet(sheet(pictures * 2 - 1, columns=min(8, len(prompts))), folder, name)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The loss at fixed noise and times, full names as captions, on both splits."""
        figures = {}
        plain = [i for i, colour in enumerate(self.colours) if not colour][:256]
        train = self.latents[plain], [self.captions[i] for i in plain]
        held_out = self.held_out, self.held_out_captions
        for name, (latents, captions) in {"train_loss": train, "held_out_loss": held_out}.items():
            if len(latents):
                figures[name] = self._fixed_loss(latents, captions)
        return figures

    def _fixed_loss(self, latents: Tensor, captions: list[dict[str, list[str]]]) -> float:
        rng = torch.Generator().manual_seed(0)
        noise = torch.randn(latents.shape, generator=rng)
        s = (torch.arange(len(latents)) + 0.5) / len(latents)
        names = [name_of(phrases) for phrases in captions]
        loss = 0.0
        for start in range(0, len(latents), 64):
            rows = slice(start, start + 64)
            parts = latents[rows], noise[rows], s[rows], self._tokens(names[rows])
            moved = [part.to(self.device) for part in parts]
            loss += float(self.module.loss(*moved)) * len(parts[0])
        return loss / len(latents)

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """A `StableDiffusionPipeline` folder in float16 with `atelier.json` and a sample sheet."""
        pipeline = self.pipeline()
        pipeline.save_pretrained(folder, safe_serialization=True)
        for name in ("vae", "unet"):
            part = copy.deepcopy(getattr(pipeline, name)).half()
            part.to(memory_format=torch.contiguous_format).save_pretrained(folder / name)
        save_half(self.module.text_encoder, folder / "text_encoder")
        size, source = self.vae.config.sample_size, self.setting.manifest.name
        manifest = WeightsManifest(
            generator="diffusion",
            summary=self.setting.recipe.about
            or {
                "en": f"Draws {size} x {size} pictures in the manner of {source}.",
                "zh": f"画出 {size} x {size} 的 {source} 风格图片。",
            },
            licence=self.setting.manifest.licence,
            defaults={"height": size, "width": size, **SAMPLING, **self.setting.recipe.defaults},
            # It has learned no other size.
            limits={"height": size, "width": size, **self.setting.recipe.limits},
            parts=self.setting.recipe.parts,
            figures={name: round(value, 4) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)
        self.sample(folder, "samples")


def make_unet(settings: Settings, vae: AutoencoderKL) -> UNet2DConditionModel:
    """A U-Net that stays at the latents' resolution: 8 x 8 places leave nothing to halve."""
    return UNet2DConditionModel(
        sample_size=latent_side(vae),
        in_channels=vae.config.latent_channels,
        out_channels=vae.config.latent_channels,
        block_out_channels=(settings.width,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        layers_per_block=1,
        transformer_layers_per_block=settings.unet_transformer_layers,
        cross_attention_dim=settings.width,
        attention_head_dim=settings.attention_heads,  # diffusers' name for the number of heads
        norm_num_groups=settings.norm_num_groups,
        use_linear_projection=True,  # matrices, which Muon can move
        time_embedding_dim=2 * settings.width,
        # The words, pooled, also go where the time goes, into every block: attention alone needs
        # several times the steps to learn to listen.
        addition_embed_type="text",
        addition_embed_type_num_heads=settings.attention_heads,
    )


def make_text_encoder(settings: Settings, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A CLIP text encoder of a few layers; causal, as CLIP's always is."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.width,
            intermediate_size=3 * settings.width,
            num_hidden_layers=settings.text_layers,
            num_attention_heads=settings.attention_heads,
            max_position_embeddings=settings.max_tokens,
            projection_dim=settings.width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_scheduler(base: Path | None = None) -> DPMSolverMultistepScheduler:
    """DPM-Solver++ (Lu et al., 2022, arXiv:2211.01095) along the path that was trained.

    That is a straight one, unless `base` is a pipeline with another.
    """
    if base is not None and process_of(base) is not None:
        return DPMSolverMultistepScheduler.from_pretrained(base, subfolder="scheduler")
    return DPMSolverMultistepScheduler(
        num_train_timesteps=TRAIN_TIMESTEPS,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=FLOW_SHIFT,
        steps_offset=1,
    )


def find_init(init: Path | None) -> Path:
    """The weights to start from: a pipeline, an autoencoder alone, or the starter's autoencoder."""
    folder = init if init is not None else STARTER / "diffusion"
    if not (_vae_folder(folder) / "config.json").is_file():
        raise TrainingError(
            f"{folder} holds no autoencoder: train one (recipe emoji_vae) and give its weights "
            "with --init."
        )
    return folder


def _vae_folder(folder: Path) -> Path:
    config = folder / "config.json"
    if config.is_file() and json.loads(config.read_text())["_class_name"] == "AutoencoderKL":
        return folder
    return folder / "vae"
