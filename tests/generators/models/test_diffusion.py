"""One serving path for every text-to-image pipeline: Stable Diffusion, SDXL and Flux, all tiny."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from generators import catalog
from generators.contract import BadRequest, Generated, GenerateRequest, Step
from generators.models import diffusion
from generators.registry import ModelEntry
from generators.weights import WeightsError

PARAMS = catalog.spec("diffusion").params
Load = Callable[..., diffusion.Model]


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


SMALL = {"height": 32, "width": 32, "num_inference_steps": 3}


@pytest.fixture(scope="module", params=["sd_folder", "sdxl_folder", "flux_folder"])
def model(
    request: pytest.FixtureRequest, entry_for: Callable[..., ModelEntry], runtime: Any
) -> diffusion.Model:
    folder = request.getfixturevalue(request.param)
    entry = entry_for(folder, "diffusion", defaults=SMALL, limits={})
    return diffusion.Model.load(entry, runtime)


@pytest.fixture(scope="module")
def load(sd_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any) -> Load:
    def load(folder: Path = sd_folder, **changes: Any) -> diffusion.Model:
        entry = entry_for(folder, "diffusion", **{"defaults": SMALL, **changes})
        return diffusion.Model.load(entry, runtime)

    return load


def ask(job_id: str, seed: int, count: int = 1, **params: Any) -> GenerateRequest:
    return GenerateRequest(job_id, PARAMS(**{"prompt": "a red heart", **params}), seed, count)


def draw(
    model: diffusion.Model, *requests: GenerateRequest, on_step: Any = lambda step: frozenset()
) -> list[Generated]:
    answers = model.generate(requests, on_step)
    assert all(isinstance(answer, Generated) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Generated)]


def pixels(generated: Generated, item: int = 0) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(generated.items[item].data)), dtype=int)


def refusal(model: diffusion.Model, request: GenerateRequest) -> str:
    [answer] = model.generate([request], lambda step: frozenset())
    assert isinstance(answer, BadRequest)
    return str(answer)


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
    monkeypatch.setattr(diffusion, "PREVIEW_EVERY_S", -1.0)
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
    monkeypatch.setattr(diffusion, "PREVIEW_EVERY_S", -1.0)
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


def test_a_picture_its_safety_checker_holds_back_fails_alone(load: Load) -> None:
    model = load()
    call = type(model.pipeline).__call__

    class Checked(type(model.pipeline)):  # type: ignore[misc]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            output = call(self, *args, **kwargs)
            output.nsfw_content_detected = ["cat" in prompt for prompt in kwargs["prompt"]]
            return output

    model.pipeline.__class__ = Checked
    answers = model.generate(
        [ask("a", 1), ask("b", 2, 2, prompt="a cat"), ask("c", 3)], lambda step: frozenset()
    )
    assert [type(answer) for answer in answers] == [Generated, BadRequest, Generated]
    assert "safety checker" in str(answers[1])


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
