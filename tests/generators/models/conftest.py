"""Tiny pipelines of the families that hub models come in (Stable Diffusion, SDXL and Flux), and the
diffusion models that serve them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import SMALL, Load

from generators.models import diffusion
from generators.registry import ModelEntry


@pytest.fixture(scope="session")
def sdxl_folder(
    tmp_path_factory: pytest.TempPathFactory,
    sd_parts: Callable[..., dict[str, Any]],
    tokenizer: Any,
    clip_config: Any,
) -> Path:
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPTextModelWithProjection

    parts = sd_parts(
        cross_attention_dim=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )
    folder = tmp_path_factory.mktemp("weights") / "sdxl"
    StableDiffusionXLPipeline(
        **parts,
        text_encoder_2=CLIPTextModelWithProjection(clip_config),
        tokenizer_2=tokenizer,
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def flux_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any, clip_config: Any) -> Path:
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        FluxPipeline,
        FluxTransformer2DModel,
    )
    from transformers import CLIPTextModel, T5Config, T5EncoderModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "flux"
    t5 = T5Config(vocab_size=300, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4)
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKL(
            block_out_channels=[8, 8],
            norm_num_groups=4,
            down_block_types=["DownEncoderBlock2D"] * 2,
            up_block_types=["UpDecoderBlock2D"] * 2,
            latent_channels=1,
            shift_factor=0.06,
            scaling_factor=1.5,
        ),
        text_encoder=CLIPTextModel(clip_config),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=tokenizer,
        transformer=FluxTransformer2DModel(
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
        ),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["sd_folder", "sdxl_folder", "flux_folder"])
def model(
    request: pytest.FixtureRequest, entry_for: Callable[..., ModelEntry], runtime: Any
) -> diffusion.Model:
    """One of each family."""
    folder = request.getfixturevalue(request.param)
    entry = entry_for(folder, "diffusion", defaults=SMALL, limits={})
    return diffusion.Model.load(entry, runtime)


@pytest.fixture(scope="module")
def load(sd_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any) -> Load:
    """Makes a model of the first family, or of another folder, with an entry of one's own."""

    def load(folder: Path = sd_folder, **changes: Any) -> diffusion.Model:
        entry = entry_for(folder, "diffusion", **{"defaults": SMALL, **changes})
        return diffusion.Model.load(entry, runtime)

    return load
