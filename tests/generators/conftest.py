"""Tiny models, made once per session: the real classes with random weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Before anything imports torch: threads that spin while they wait make tiny models slow.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from generators.registry import ModelEntry
from generators.weights import WeightsManifest, read_manifest, write_manifest

# The first example often pays for an import; how long it takes asserts nothing here.
hypothesis.settings.register_profile("generators", deadline=None)
hypothesis.settings.load_profile("generators")

END = "<|endoftext|>"
SENTENCE = "a red heart on the table, a dragon (noun): a creature of stories. two small blue cats"


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A byte-level BPE of some 300 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([SENTENCE], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        bos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=32,
    )


@pytest.fixture(scope="session")
def make_language_model(tokenizer: Any) -> Callable[..., None]:
    """Save a random causal language model of this class and configuration."""

    def make(folder: Path, model_class: Any, config: Any) -> None:
        import torch

        torch.manual_seed(0)
        model_class(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return make


@pytest.fixture(scope="session")
def gpt2_folder(
    tmp_path_factory: pytest.TempPathFactory, make_language_model: Callable[..., None]
) -> Path:
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("weights") / "gpt2"
    config = GPT2Config(
        vocab_size=300,
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    make_language_model(folder, GPT2LMHeadModel, config)
    write_manifest(
        folder,
        WeightsManifest(
            generator="gpt2",
            defaults={"max_new_tokens": 12},
            limits={"headword_format": "{word} (", "reads": "latin"},
        ),
    )
    return folder


@pytest.fixture(scope="session")
def lstm_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    import torch

    from generators.nn.lstm import LstmConfig, LstmNet, save_net

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "lstm"
    config = LstmConfig(vocab_size=300, width=16, hidden=24, layers=2, context=64)
    save_net(LstmNet(config), folder)
    tokenizer.save_pretrained(folder)
    manifest = WeightsManifest(generator="lstm", defaults={"max_new_tokens": 12})
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="session")
def clip_config() -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )


@pytest.fixture(scope="session")
def sd_parts(tokenizer: Any, clip_config: Any) -> Callable[..., dict[str, Any]]:
    """The parts that Stable Diffusion and SDXL share, tiny: pictures of 32 x 32."""

    def make(cross_attention_dim: int = 32, **unet: Any) -> dict[str, Any]:
        import torch
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from transformers import CLIPTextModel

        torch.manual_seed(0)
        return {
            "vae": AutoencoderKL(
                block_out_channels=[16, 16],
                norm_num_groups=8,
                down_block_types=["DownEncoderBlock2D"] * 2,
                up_block_types=["UpDecoderBlock2D"] * 2,
                latent_channels=4,
            ),
            "unet": UNet2DConditionModel(
                sample_size=16,
                block_out_channels=(16, 32),
                norm_num_groups=8,
                layers_per_block=1,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                cross_attention_dim=cross_attention_dim,
                **unet,
            ),
            "text_encoder": CLIPTextModel(clip_config),
            "tokenizer": tokenizer,
            "scheduler": DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        }

    return make


@pytest.fixture(scope="session")
def sd_folder(
    tmp_path_factory: pytest.TempPathFactory, sd_parts: Callable[..., dict[str, Any]]
) -> Path:
    from diffusers import StableDiffusionPipeline

    folder = tmp_path_factory.mktemp("weights") / "diffusion"
    StableDiffusionPipeline(
        **sd_parts(), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    ).save_pretrained(folder)
    write_manifest(
        folder,
        WeightsManifest(
            generator="diffusion",
            defaults={"num_inference_steps": 4, "guidance_scale": 3.0},
            limits={"max_pixels": 48 * 48},
        ),
    )
    return folder


@pytest.fixture(scope="session")
def super_resolution_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net that has learned nothing, but whose tails do not give zero either."""
    import torch

    from generators.nn.super_resolution import Enlarger, Shape, save

    folder = tmp_path_factory.mktemp("weights") / "super_resolution"
    torch.manual_seed(0)
    net = Enlarger(Shape(channels=4, blocks=1))
    for tail in (net.twofold[0], net.fourfold[3]):
        torch.nn.init.normal_(tail.weight, std=0.05)
    save(net, folder)
    write_manifest(folder, WeightsManifest(generator="super_resolution"))
    return folder


@pytest.fixture(scope="session")
def autoencoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random autoencoder of 16 px pictures to latents of 4 x 8 x 8."""
    import torch
    from diffusers import AutoencoderKL

    folder = tmp_path_factory.mktemp("weights") / "autoencoder"
    torch.manual_seed(0)
    AutoencoderKL(
        sample_size=16,
        block_out_channels=[8, 8],
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        mid_block_add_attention=False,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def gan_folder(autoencoder_folder: Path, super_resolution_folder: Path) -> Path:
    import torch

    from generators.nn import painter

    folder = autoencoder_folder.with_name("gan")
    torch.manual_seed(0)
    shape = painter.Shape(buckets=64, width=16, blocks=1, chance=4, finish=8, channels=4)
    painter.save(painter.WordPainter(shape), folder)
    parts = {"autoencoder": "../autoencoder", "upscaler": str(super_resolution_folder)}
    write_manifest(folder, WeightsManifest(generator="gan", parts=parts))
    return folder


@pytest.fixture(scope="session")
def vae_folder(autoencoder_folder: Path, super_resolution_folder: Path) -> Path:
    import torch

    from generators.nn import word_vae

    folder = autoencoder_folder.with_name("vae")
    torch.manual_seed(0)
    shape = word_vae.Shape(
        buckets=64, width=16, encoder_width=16, prior_width=16, chance=4, finish=8, channels=4,
        restorer_width=8, restorer_blocks=1,
    )  # fmt: skip
    word_vae.save(word_vae.WordVae(shape), folder)
    parts = {"autoencoder": "../autoencoder", "upscaler": str(super_resolution_folder)}
    write_manifest(folder, WeightsManifest(generator="vae", parts=parts))
    return folder


@pytest.fixture(scope="session")
def entry_for() -> Callable[..., ModelEntry]:
    """A model entry for a folder of weights, as the registry would make it."""

    def make(folder: Path, generator: str = "", **changes: Any) -> ModelEntry:
        manifest = read_manifest(folder) or WeightsManifest(generator=generator)
        values = {
            "name": "tiny",
            "generator": manifest.generator,
            "weights": str(folder),
            "defaults": manifest.defaults,
            "limits": manifest.limits,
        }
        return ModelEntry(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def runtime() -> Any:
    import torch

    from generators.runtime import Runtime

    return Runtime(torch.device("cpu"))


@pytest.fixture(scope="session")
def audio_gan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A player of three sounds, one of them a drum, that plays noise."""
    import torch

    from generators.nn.one_shot import OneShot, OneShotConfig, Sound

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "audio_gan"
    sounds = (
        Sound("Flute", 60, 84, (33, 89)),
        Sound("Snare", 0, 0),
        Sound("Viola", 50, 74, (33, 89)),
    )
    config = OneShotConfig(sounds, 3, (8, 8, 8, 8), 16, 4, word_width=8, word_buckets=64)
    OneShot(config).save_pretrained(folder)
    manifest = WeightsManifest(generator="audio_gan", limits={"max_seconds": 2.0})
    write_manifest(folder, manifest)
    return folder
