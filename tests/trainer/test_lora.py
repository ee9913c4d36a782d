"""LoRA holds to its identities, and stock peft, transformers and diffusers load what comes out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from generators.weights import read_manifest
from trainer.catalog import load_recipe
from trainer.contract import Recipe, TrainingError
from trainer.loop import Run
from trainer.noising import VariancePreserving
from trainer.orders import Order, StopRequest

# peft 0.21 asks transformers 5 by a name that is to go.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(autouse=True)
def global_random_state() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def ordered(recipe_name: str, dataset: Path, out: Path, init: Path | None, **more: Any) -> Order:
    recipe = Recipe.model_validate({**load_recipe(recipe_name).model_dump(), **more})
    return Order(recipe, recipe_name, dataset, out, init=init, init_name="a-base")


def trained(*order: Any, **changes: Any) -> Path:
    weights = Run(ordered(*order, **changes), lambda event, **facts: None).train()
    assert weights is not None
    return weights


@pytest.fixture(scope="module")
def language_base(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("tiny_language_model", texts, tmp_path_factory.mktemp("lm"), None)


@pytest.fixture(scope="module")
def picture_base(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    vae = trained("tiny_vae", pictures, tmp_path_factory.mktemp("vae"), None)
    return trained("tiny_diffusion", pictures, tmp_path_factory.mktemp("diffusion"), vae)


def read_ids() -> torch.Tensor:
    return torch.arange(1, 17).view(2, 8)


def test_an_untrained_adapter_changes_nothing_and_only_it_is_trained(
    texts: Path, language_base: Path, tmp_path: Path
) -> None:
    plain = AutoModelForCausalLM.from_pretrained(
        language_base, dtype=torch.float32, attn_implementation="eager"
    )
    run = Run(
        ordered("tiny_lora_language_model", texts, tmp_path, language_base),
        lambda event, **facts: None,
    )
    adapted = run.objective.module.eval().model
    with torch.no_grad():
        assert torch.equal(adapted(read_ids()).logits, plain.eval()(read_ids()).logits)
    before = {name: value.clone() for name, value in run.plain.named_parameters()}
    assert run.train() is not None
    changed = {
        name for name, value in run.plain.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed
    assert all("lora_" in name for name in changed)
    layers = 4  # c_attn, attn.c_proj, c_fc, mlp.c_proj of the one block
    assert len(run.trained) == 2 * layers


def test_the_language_adapter_is_a_stock_one_and_merges(
    texts: Path, language_base: Path, tmp_path: Path
) -> None:
    folder = trained("tiny_lora_language_model", texts, tmp_path, language_base)
    names = {path.name for path in folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "atelier.json", "NOTICE"} <= names
    assert not {"model.safetensors", "tokenizer.json"} & names
    places = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert set(load_file(folder / "adapter_model.safetensors")) == {
        f"base_model.model.transformer.h.0.{place}.lora_{side}.weight"
        for place in places
        for side in "AB"
    }
    assert "/" not in (folder / "adapter_config.json").read_text().replace("\\/", "")
    plain = AutoModelForCausalLM.from_pretrained(language_base, dtype=torch.float32).eval()
    with torch.no_grad():
        alone = plain(read_ids()).logits
        adapted = PeftModel.from_pretrained(plain, folder).eval()
        apart = adapted(read_ids()).logits
        merged = adapted.merge_and_unload()(read_ids()).logits
    assert not torch.allclose(alone, apart)
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-5)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.generator == "gpt2"
    assert "a-base" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_picture_adapter_loads_into_a_stock_pipeline_and_merges(
    pictures: Path, picture_base: Path, tmp_path: Path
) -> None:
    order = ordered("tiny_lora_diffusion", pictures, tmp_path, picture_base)
    run = Run(order, lambda event, **facts: None)
    folder = run.train()
    assert folder is not None
    names = {path.name for path in folder.iterdir()}
    assert {"pytorch_lora_weights.safetensors", "atelier.json", "samples.png"} <= names
    keys = set(load_file(folder / "pytorch_lora_weights.safetensors"))
    assert len(keys) == len(run.trained)
    assert {key.partition(".")[0] for key in keys} == {"unet", "text_encoder"}

    def draw(pipeline: Any) -> torch.Tensor:
        return pipeline(
            "red disc",
            num_inference_steps=2,
            guidance_scale=2.0,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).images

    pipeline = DiffusionPipeline.from_pretrained(picture_base, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    alone = draw(pipeline)
    pipeline.load_lora_weights(folder)
    apart = draw(pipeline)
    assert not torch.allclose(alone, apart)
    with torch.no_grad():
        torch.testing.assert_close(apart, draw(run.objective.pipeline()), rtol=1e-4, atol=1e-5)
    pipeline.fuse_lora()
    torch.testing.assert_close(draw(pipeline), apart, rtol=1e-4, atol=1e-4)


def test_a_base_of_the_stable_diffusion_family_keeps_its_own_path(
    pictures: Path, picture_base: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(picture_base, base)
    (base / "scheduler" / "scheduler_config.json").unlink()
    scheduler = DDIMScheduler(prediction_type="v_prediction", steps_offset=1, clip_sample=False)
    scheduler.save_pretrained(base / "scheduler")
    run = Run(
        ordered("tiny_lora_diffusion", pictures, tmp_path / "run", base),
        lambda event, **facts: None,
    )
    assert run.plain.process is not None
    assert run.objective.scheduler.config.prediction_type == "v_prediction"
    folder = run.train()
    assert folder is not None
    assert (folder / "pytorch_lora_weights.safetensors").is_file()


@pytest.mark.parametrize("target", ["epsilon", "v_prediction", "sample"])
def test_who_knows_the_target_has_no_loss(target: str) -> None:
    config = {"prediction_type": target, "num_train_timesteps": 10, "beta_schedule": "linear"}
    process = VariancePreserving(config)
    signal = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 10), 0)
    x0, noise = torch.randn(2, 4, 2, 2), torch.randn(2, 4, 2, 2)

    def knowing(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        assert timesteps.tolist() == [0, 7]
        a = signal[timesteps].view(-1, 1, 1, 1)
        torch.testing.assert_close(noisy, a.sqrt() * x0 + (1 - a).sqrt() * noise)
        velocity = a.sqrt() * noise - (1 - a).sqrt() * x0
        return {"epsilon": noise, "v_prediction": velocity, "sample": x0}[target]

    loss = process.loss(knowing, x0, noise, torch.tensor([0.05, 0.75]))
    assert float(loss) == pytest.approx(0, abs=1e-9)


def test_a_stopped_adapter_run_goes_on_without_being_told_its_base(
    texts: Path, language_base: Path, tmp_path: Path
) -> None:
    def go(out: Path, stop_at: int, **changes: Any) -> Run:
        stop = StopRequest()

        def report(event: str, **facts: Any) -> None:
            if facts.get("optimizer_step") == stop_at:
                stop.signal_number = 15

        order = ordered("tiny_lora_language_model", texts, out, language_base, total_steps=6)
        run = Run(replace(order, **changes), report, stop)
        run.train()
        return run

    whole = go(tmp_path / "whole", stop_at=0)
    go(tmp_path / "parts", stop_at=3)
    checkpoint = tmp_path / "parts/checkpoints/step-00000003/module.safetensors"
    assert all("lora_" in name for name in load_file(checkpoint)), "the base is not stored again"
    resumed = go(tmp_path / "parts", stop_at=0, resume=True, init=None)
    for one, other in zip(whole.trained, resumed.trained, strict=True):
        assert torch.equal(one, other)


def test_mistakes_are_said(
    texts: Path, pictures: Path, language_base: Path, picture_base: Path, tmp_path: Path
) -> None:
    def message(*order: Any, **changes: Any) -> str:
        with pytest.raises(TrainingError) as caught:
            trained(*order, **changes)
        return str(caught.value)

    out = tmp_path / "out"
    assert "--init" in message("tiny_lora_language_model", texts, out, None)
    assert "cannot train a LoRA" in message(
        "tiny_vae", pictures, out, picture_base / "vae", adapter={"rank": 2}
    )
    assert "no diffusion pipeline" in message(
        "tiny_lora_diffusion", pictures, out, picture_base / "vae"
    )
    assert "target_modules" in message(
        "tiny_lora_language_model", texts, out, language_base, adapter={"target_modules": ["q"]}
    )
