"""One serving path for every text-to-image pipeline: Stable Diffusion, SDXL and Flux, all tiny."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawing import SMALL, Load, ask, draw, pixels, refusal
from PIL import Image

from generators.contract import BadRequest, Generated, Step
from generators.models import diffusion
from generators.nn import pipeline_pass
from generators.weights import WeightsError

# ---------------------------------------------------------------- every pipeline


def test_every_pipeline_keeps_a_seed_whatever_its_company(model: diffusion.Model) -> None:
    [alone] = draw(model, ask("a", 7))
    company = draw(
        model,
        ask("b", 1, 2),
        ask("a", 7),
        ask("c", 2, negative_prompt="blue"),
        ask("d", 7, variation_seed=3, variation_strength=0.5),
    )
    assert pixels(alone).shape == (32, 32, 3)
    assert np.abs(pixels(alone) - pixels(company[1])).max() <= 2
    assert draw(model, ask("a", 7))[0].items[0].data == alone.items[0].data
    assert np.abs(pixels(alone) - pixels(company[3])).max() > 2


def test_every_pipeline_mixes_noise_for_variations(model: diffusion.Model) -> None:
    [base, other] = draw(model, ask("a", 7), ask("b", 1000))
    mixed = {
        strength: draw(model, ask("a", 7, variation_seed=1000, variation_strength=strength))[0]
        for strength in (0.0, 0.1, 1.0)
    }
    assert np.abs(pixels(mixed[0.0]) - pixels(base)).max() <= 2
    assert np.abs(pixels(mixed[1.0]) - pixels(other)).max() <= 2
    near = np.abs(pixels(mixed[0.1]) - pixels(base)).mean()
    assert 0 < near < np.abs(pixels(other) - pixels(base)).mean()


def test_the_items_of_a_variation_are_one_family(model: diffusion.Model) -> None:
    """They share the seed's noise, and their own part counts on."""
    mix = {"variation_seed": 50, "variation_strength": 0.5}
    [three] = draw(model, ask("a", 7, 3, **mix))
    [third] = draw(model, ask("a", 7, **{**mix, "variation_seed": 52}))
    assert np.abs(pixels(three, 2) - pixels(third)).max() <= 2


def test_every_pipeline_takes_a_negative_prompt(model: diffusion.Model) -> None:
    [plain, negative] = draw(
        model,
        ask("a", 7, guidance_scale=5.0),
        ask("b", 7, guidance_scale=5.0, negative_prompt="blue cats"),
    )
    assert not np.array_equal(pixels(plain), pixels(negative))


def test_every_pipeline_shows_previews(
    model: diffusion.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_pass, "PREVIEW_EVERY_S", -1.0)
    steps: list[Step] = []

    def on_step(step: Step) -> frozenset[str]:
        steps.append(step)
        return frozenset()

    draw(model, ask("a", 7, 4), ask("b", 8), on_step=on_step)
    shown = [step for step in steps if step.previews]
    assert shown
    assert set(shown[0].previews) == {"a", "b"}
    assert Image.open(io.BytesIO(shown[0].previews["b"].data)).size == (32, 32)
    assert Image.open(io.BytesIO(shown[0].previews["a"].data)).size == (65, 65)


def test_previews_do_not_change_the_picture(
    model: diffusion.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    [without] = draw(model, ask("a", 7))
    monkeypatch.setattr(pipeline_pass, "PREVIEW_EVERY_S", -1.0)
    [shown] = draw(model, ask("a", 7))
    assert shown.items[0].data == without.items[0].data


def test_the_picture_is_what_the_pipeline_itself_draws(model: diffusion.Model) -> None:
    """Parity: our serving adds nothing to what the library's own call gives."""
    [ours] = draw(model, ask("a", 7))
    expected = model.pipeline(
        prompt=["a red heart"], generator=[torch.Generator().manual_seed(7)], **_theirs(model)
    ).images[0]
    assert np.array_equal(pixels(ours), np.asarray(expected, dtype=int))


def _theirs(model: diffusion.Model) -> dict[str, Any]:
    extra = {"max_sequence_length": 32} if hasattr(model.pipeline, "text_encoder_2") else {}
    return SMALL | (extra if "Flux" in type(model.pipeline).__name__ else {})


# ---------------------------------------------------------------- limits, defaults, safety


def test_open_params_take_the_weights_defaults_then_the_pipelines(load: Load) -> None:
    model = load(defaults={"num_inference_steps": 2})
    assert draw(model, ask("a", 1))[0].params["num_inference_steps"] == 2
    assert draw(model, ask("a", 1))[0].params["guidance_scale"] == 7.5
    assert draw(model, ask("a", 1, guidance_scale=1.5))[0].params["guidance_scale"] == 1.5
    assert draw(model, ask("a", 1))[0].params["width"] == 32


def test_a_faster_format_draws_nearly_the_same_and_says_so(load: Load) -> None:
    exact, fast = load(), load(dtype="bfloat16")
    assert fast.pipeline.unet.dtype == torch.bfloat16
    assert (exact.tolerance, "bfloat16" in fast.tolerance) == ("", True)
    difference = np.abs(pixels(draw(exact, ask("a", 7))[0]) - pixels(draw(fast, ask("a", 7))[0]))
    assert 0 < difference.mean() < 8


@pytest.mark.parametrize(
    ("limits", "params", "said"),
    [
        ({"width": 32, "height": 32}, {"width": 64}, "32 x 32 pixels only"),
        ({"max_pixels": 2000}, {"width": 64, "height": 64}, "at most 2000 pixels"),
        ({}, {"width": 33}, "width must be a multiple of 2"),
        ({"multiple_of": 8}, {"height": 36}, "height must be a multiple of 8"),
    ],
)
def test_sizes_the_weights_cannot_draw_are_declined_in_words(
    load: Load, limits: dict[str, int], params: dict[str, int], said: str
) -> None:
    model = load(limits=limits)
    assert said in refusal(model, ask("a", 1, **params))
    draw(model, ask("a", 1, width=32, height=32))


def test_a_picture_its_safety_checker_holds_back_fails_alone(load: Load, checker: Any) -> None:
    """The library's own checker, made to know one picture."""
    model = load()
    model.pipeline.register_modules(safety_checker=checker.net, feature_extractor=checker.reader)
    requests = [ask("a", 1), ask("b", 2, 2, prompt="a cat"), ask("c", 3)]
    fine, bad, also_fine = (answer.items[0].data for answer in draw(model, *requests))
    checker.forbid(bad, but_not=[fine, also_fine])
    answers = model.generate(requests, lambda step: frozenset())
    assert [type(answer) for answer in answers] == [Generated, BadRequest, Generated]
    assert "safety checker" in str(answers[1])


@dataclass
class _Checker:
    net: Any
    reader: Any

    def forbid(self, png: bytes, but_not: Sequence[bytes]) -> None:
        """Flag what looks like this: by the part of it that none of the others has."""
        pictures = [Image.open(io.BytesIO(data)) for data in (png, *but_not)]
        read = self.reader(pictures, return_tensors="pt").pixel_values
        with torch.no_grad():
            seen = self.net.visual_projection(self.net.vision_model(read)[1])  # (B, D)
        seen = torch.nn.functional.normalize(seen)
        others, _ = torch.linalg.qr(seen[1:].T)  # (D, B - 1), orthonormal
        own = seen[0] - others @ (others.T @ seen[0])
        self.net.concept_embeds[0] = own
        self.net.concept_embeds_weights[0] = float(own.norm()) / 2


@pytest.fixture
def checker() -> _Checker:
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessorPil

    torch.manual_seed(0)
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    net = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16))
    for weight in net.vision_model.parameters():
        torch.nn.init.normal_(weight)  # so that it tells pictures apart
    net.concept_embeds_weights.fill_(2.0)  # no cosine is larger
    net.special_care_embeds_weights.fill_(2.0)
    size = {"height": 32, "width": 32}
    return _Checker(net, CLIPImageProcessorPil(size=size, crop_size=size))


# ---------------------------------------------------------------- loading


def test_only_safetensors_are_loaded(load: Load, sd_folder: Path, tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    folder = copied(sd_folder, tmp_path / "pickled", without="unet/*.safetensors")
    unet = UNet2DConditionModel.from_pretrained(sd_folder / "unet", use_safetensors=True)
    unet.save_pretrained(folder / "unet", safe_serialization=False)
    assert list((folder / "unet").glob("*.bin"))
    with pytest.raises(OSError, match="safetensors"):
        load(folder)


@pytest.mark.parametrize(
    "index",
    [
        None,
        "no json",
        "{}",
        json.dumps({"_class_name": "NoSuchPipeline"}),
        json.dumps({"_class_name": ["pipeline", "Evil"]}),
    ],
)
def test_a_folder_that_is_no_pipeline_of_diffusers_is_refused(
    load: Load, tmp_path: Path, index: str | None
) -> None:
    (tmp_path / "pipeline.py").write_text("raise SystemExit('remote code ran')")
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(WeightsError, match=str(tmp_path)):
        load(tmp_path)


def test_a_component_of_its_own_code_is_refused(
    load: Load, sd_folder: Path, tmp_path: Path
) -> None:
    folder = copied(sd_folder, tmp_path / "custom")
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["evil_unet", "EvilUNet"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "unet" / "evil_unet.py").write_text("raise SystemExit('remote code ran')")
    with pytest.raises((ValueError, OSError, ImportError)):
        load(folder)


def copied(source: Path, target: Path, without: str = "") -> Path:
    left_out: Sequence[Path] = list(source.glob(without)) if without else []
    for path in source.rglob("*"):
        if path.is_file() and path not in left_out:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return target


# ---------------------------------------------------------------- compiled


def test_a_host_may_have_the_net_compiled(
    load: Load, sd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling takes a minute, so that it draws the same is seen in `tests/benchmarks`."""
    asked: list[tuple[str, Any]] = []

    def compile_(net: torch.nn.Module, **options: Any) -> None:
        asked.append((type(net).__name__, options))

    monkeypatch.setattr(torch.nn.Module, "compile", compile_)
    assert not load(sd_folder).tolerance
    assert asked == []
    assert "compiled" in load(sd_folder, compile=True).tolerance
    assert asked == [("UNet2DConditionModel", {"dynamic": True})]
    assert torch._dynamo.config.suppress_errors, "what cannot be compiled runs as it was"
