"""The weights that ship were made by recipes here, load with stock libraries, and have learned."""

import json
import re

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from PIL import Image, ImageDraw
from transformers import AutoModelForCausalLM, AutoTokenizer

from generators.nn import painter, word_vae
from generators.weights import STARTER, WeightsManifest, read_manifest
from trainer.data.damage import damaged
from trainer.objectives.latent_vae import psnr

# diffusers 0.42 builds its sigmas from a tensor in a way that numpy 2 announces to end.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def manifest_of(name: str) -> WeightsManifest:
    manifest = read_manifest(STARTER / name)
    assert manifest is not None
    return manifest


@pytest.mark.parametrize("name", ["diffusion", "gan", "gpt2", "super_resolution", "vae"])
def test_a_starter_folder_has_its_card_licence_and_both_languages(name: str) -> None:
    manifest = manifest_of(name)
    assert manifest.generator == name
    assert manifest.licence
    assert set(manifest.summary) == {"en", "zh"}
    card = (STARTER / name / "README.md").read_text(encoding="utf-8")
    for heading in ("## Data and licence", "## Training", "## Limits"):
        assert heading in card


def test_wordnets_notice_travels_with_the_lexicon() -> None:
    assert "Princeton University" in (STARTER / "gpt2" / "NOTICE").read_text(encoding="utf-8")


def test_four_seeds_of_red_heart_are_red_shapes_on_white() -> None:
    """What a machine can say of four recognisable hearts: red, filled, two lobes above a tip."""
    pipeline = DiffusionPipeline.from_pretrained(STARTER / "diffusion")
    assert type(pipeline) is StableDiffusionPipeline
    pipeline.set_progress_bar_config(disable=True)
    defaults = manifest_of("diffusion").defaults
    pictures = pipeline(
        ["red heart"] * 4,
        generator=[torch.Generator().manual_seed(seed) for seed in range(4)],
        output_type="np",
        **defaults,
    ).images  # (4, 64, 64, 3) in [0, 1]
    for picture in pictures:
        red, green, blue = np.moveaxis(picture, -1, 0)
        heart = (red > 0.5) & (green < 0.45) & (blue < 0.5)
        assert 0.25 < heart.mean() < 0.75
        assert heart[20:40, 20:44].mean() > 0.95, "the middle is filled"
        widths = heart.sum(axis=1)
        assert widths[24] > 2 * widths[54], "it narrows to a tip"


def test_the_lexicon_is_better_than_counting_and_writes_entries() -> None:
    figures = manifest_of("gpt2").figures
    assert float(figures["perplexity"]) < float(figures["trigram_perplexity"])
    tokenizer = AutoTokenizer.from_pretrained(STARTER / "gpt2")
    model = AutoModelForCausalLM.from_pretrained(STARTER / "gpt2")
    assert model.dtype == torch.float32
    encoded = tokenizer(["dragon (", "to whisper (", "red ("], return_tensors="pt", padding=True)
    torch.manual_seed(0)
    rows = model.generate(**encoded, max_new_tokens=60, do_sample=True, top_k=40)
    for row in tokenizer.batch_decode(rows, skip_special_tokens=True):
        assert re.match(r"[a-z ]+ \((noun|verb|adjective|adverb)(, [a-z]+)?\): \S", row), row


def test_only_plain_files_ship() -> None:
    kinds = {path.suffix for path in STARTER.rglob("*") if path.is_file()}
    assert kinds <= {".safetensors", ".json", ".txt", ".md", ".png", ".ogg", ""}
    index = json.loads((STARTER / "diffusion" / "model_index.json").read_text(encoding="utf-8"))
    assert index["_class_name"] == "StableDiffusionPipeline"


@torch.inference_mode()
def test_lost_pixels_and_noise_are_cleaned_better_than_by_the_autoencoder_alone() -> None:
    """A face that is no emoji: a disc with two eyes and a mouth."""
    cpu = torch.device("cpu")
    net = word_vae.load(STARTER / "vae", cpu, torch.float32)
    autoencoder = painter.load_autoencoder(STARTER / "vae", cpu, torch.float32)
    face = Image.new("RGB", (256, 256), "white")
    pen = ImageDraw.Draw(face)
    pen.ellipse((20, 20, 236, 236), fill=(252, 200, 40))
    for box in ((80, 80, 108, 116), (148, 80, 176, 116), (90, 160, 166, 176)):
        pen.ellipse(box, fill=(70, 50, 40))
    face = face.resize((64, 64), Image.Resampling.BOX)
    clean = to_tensor(face)[None].expand(16, -1, -1, -1)
    spoiled = torch.stack([to_tensor(damaged(face, seed)) for seed in range(16)])
    found = painter.encode(autoencoder, spoiled)
    alone, restored = (
        psnr(painter.decode(autoencoder, z), clean) for z in (found, net.restore(found))
    )
    assert restored > alone + 0.5


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """(3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 127.5 - 1
