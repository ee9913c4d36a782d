"""Two real steps of every objective: what comes out is what the stock libraries load."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, StableDiffusionPipeline
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GPT2LMHeadModel

from generators.weights import read_manifest
from trainer import checkpoints
from trainer.catalog import load_recipe
from trainer.contract import Recipe, TrainingError, TrainingReport
from trainer.loop import Order, Run, StopRequest

# diffusers 0.42 builds its sigmas from a tensor in a way that numpy 2 announces to end.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def global_random_state() -> Iterator[None]:
    """Training seeds torch's global generator; other tests must not notice."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def order(recipe_name: str, dataset: Path, out: Path, **changes: Any) -> Order:
    return Order(
        recipe=load_recipe(recipe_name),
        recipe_name=recipe_name,
        dataset=dataset,
        out=out,
        **changes,
    )


def run(what: Order, stop: StopRequest | None = None) -> tuple[Path | None, Events]:
    events: Events = []
    run_ = Run(what, lambda event, **facts: events.append((event, facts)), stop or StopRequest())
    return run_.train(), events


def metrics(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def autoencoder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights, _ = run(order("tiny_vae", pictures, tmp_path_factory.mktemp("vae")))
    assert weights is not None
    return weights


@pytest.fixture(scope="module")
def pipeline_folder(
    pictures: Path, autoencoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("diffusion")
    weights, _ = run(order("tiny_diffusion", pictures, out, init=autoencoder))
    assert weights is not None
    return weights


def test_the_autoencoder_loads_and_has_standard_latents(autoencoder: Path, pictures: Path) -> None:
    vae = AutoencoderKL.from_pretrained(autoencoder, torch_dtype=torch.float32)
    assert vae.config.scaling_factor == 1.0
    with torch.no_grad():
        assert vae(torch.zeros(1, 3, 16, 16)).sample.shape == (1, 3, 16, 16)
    manifest = read_manifest(autoencoder)
    assert manifest is not None
    assert manifest.licence == "CC0-1.0"
    assert manifest.figures["psnr_db"] > 0


def test_the_pipeline_is_a_stock_one_and_draws_by_its_default_call(pipeline_folder: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(pipeline_folder)
    assert type(pipeline) is StableDiffusionPipeline
    pipeline.set_progress_bar_config(disable=True)
    draw = [
        np.asarray(
            pipeline(
                "red disc", num_inference_steps=2, generator=torch.Generator().manual_seed(3)
            ).images[0]
        )
        for _ in range(2)
    ]
    assert draw[0].shape == (16, 16, 3)
    assert (draw[0] == draw[1]).all()
    manifest = read_manifest(pipeline_folder)
    assert manifest is not None
    assert manifest.generator == "diffusion"
    assert manifest.defaults["height"] == manifest.limits["height"] == 16
    assert set(manifest.figures) == {"train_loss", "held_out_loss"}


def test_training_goes_on_from_a_pipeline(
    pictures: Path, pipeline_folder: Path, tmp_path: Path
) -> None:
    first = run(order("tiny_diffusion", pictures, tmp_path / "a", init=pipeline_folder))[1]
    fresh = run(order("tiny_diffusion", pictures, tmp_path / "b", init=pipeline_folder / "vae"))[1]
    assert first[0][1]["loss"] != fresh[0][1]["loss"]


def test_a_decoder_trained_alone_keeps_the_latents(
    pictures: Path, autoencoder: Path, tmp_path: Path
) -> None:
    settings = {**load_recipe("tiny_vae").settings, "train_encoder": False}
    what = longer(order("tiny_vae", pictures, tmp_path, init=autoencoder), settings=settings)
    weights, _ = run(what)
    old, new = (
        AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
        for folder in (autoencoder, weights)
    )
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        latents = [vae.encode(x).latent_dist.mean for vae in (old, new)]
        assert torch.equal(*latents)
        assert not torch.equal(*(vae.decode(latents[0]).sample for vae in (old, new)))


def test_the_language_model_loads_and_continues_text(texts: Path, tmp_path: Path) -> None:
    weights, events = run(order("tiny_language_model", texts, tmp_path))
    assert weights is not None
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(weights)
    assert type(model) is GPT2LMHeadModel
    ids = tokenizer("owl", return_tensors="pt").input_ids
    answer = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=4)
    assert tokenizer.decode(answer[0], skip_special_tokens=True).startswith("owl")
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    generation = GenerationConfig.from_pretrained(weights)
    assert end == tokenizer.eos_token_id == tokenizer.bos_token_id == generation.eos_token_id
    ids = tokenizer("naïve 红心 🍕").input_ids
    assert ids[0] == end, "a prompt begins as the training texts did"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "naïve 红心 🍕"
    figures = events[-1][1]["figures"]
    assert 1 < figures["trigram_perplexity"] < figures["unigram_perplexity"]
    assert (weights / "NOTICE").read_text() == "Keep me.\n"


def test_a_run_leaves_what_people_look_at(texts: Path, tmp_path: Path) -> None:
    weights, events = run(order("tiny_language_model", texts, tmp_path))
    assert weights is not None
    last = ["checkpoint", "evaluation", "sample", "done"]
    assert [event for event, _ in events] == ["progress"] * 2 + last
    assert Path(events[-2][1]["path"]).is_file()
    report = TrainingReport.model_validate_json((tmp_path / "report.json").read_bytes())
    assert (report.optimizer_steps, report.examples_seen, report.dataset) == (2, 8, "owls")
    assert [row["optimizer_step"] for row in metrics(tmp_path)] == ["1", "2"]
    assert (tmp_path / "loss.png").is_file()
    card = (weights / "README.md").read_text(encoding="utf-8")
    for fact in ("owls", "CC0-1.0", "tiny_language_model", "perplexity", "## Limits"):
        assert fact in card
    mode = (weights / "model.safetensors").stat().st_mode
    assert mode & 0o044 == 0o044, "weights must be readable by other processes of the studio"


@pytest.mark.parametrize("recipe_name", ["tiny_vae", "tiny_language_model"])
def test_a_dataset_without_held_out_examples_still_trains(
    recipe_name: str, pictures: Path, texts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "all"
    shutil.copytree(pictures if recipe_name == "tiny_vae" else texts, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for example in manifest["examples"]:
        example["split"] = "train"
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    weights, _ = run(order(recipe_name, folder, tmp_path / "out"))
    assert weights is not None


@pytest.mark.parametrize("recipe_name", ["tiny_language_model", "tiny_language_lstm"])
def test_texts_go_on_from_weights(recipe_name: str, texts: Path, tmp_path: Path) -> None:
    first = Run(order(recipe_name, texts, tmp_path / "first"), lambda event, **facts: None)
    weights = first.train()
    assert weights is not None
    second = Run(
        order(recipe_name, texts, tmp_path / "second", init=weights), lambda event, **facts: None
    )
    assert first.average is not None
    for name, value in second.plain.named_parameters():
        exported = first.average.shadow[name]
        torch.testing.assert_close(value.detach(), exported, rtol=1e-3, atol=1e-4)  # float16
    assert second.objective.tokenizer.get_vocab() == first.objective.tokenizer.get_vocab()


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing without a GPU")
def test_fp16_without_a_gpu_is_refused_in_words(texts: Path, tmp_path: Path) -> None:
    what = longer(order("tiny_language_model", texts, tmp_path), precision="fp16")
    with pytest.raises(TrainingError, match=r"needs a CUDA GPU.*bf16"):
        run(what)


def test_more_processes_than_gpus_are_refused_in_words(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(TrainingError, match="--devices 3, but this machine has 2"):
        run(order("tiny_language_model", texts, tmp_path))


def test_held_out_examples_are_looked_at_while_training(texts: Path, tmp_path: Path) -> None:
    what = longer(
        order("tiny_language_model", texts, tmp_path), total_steps=3, evaluate_every_s=1e-6
    )
    _, events = run(what)
    looks = [facts["optimizer_step"] for event, facts in events if event == "evaluation"]
    assert looks[0] == 1
    assert looks[-1] == 3
    with (tmp_path / "held_out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["optimizer_step"] for row in rows} == set(map(str, looks))
    assert {"perplexity", "trigram_perplexity"} <= {row["figure"] for row in rows}


def longer(what: Order, **changes: Any) -> Order:
    recipe = Recipe.model_validate({**what.recipe.model_dump(), **changes})
    return replace(what, recipe=recipe)


def test_a_stop_request_checkpoints_and_leaves(texts: Path, tmp_path: Path) -> None:
    what = longer(order("tiny_language_model", texts, tmp_path), total_steps=50)
    stop = StopRequest()
    events: Events = []

    def report(event: str, **facts: Any) -> None:
        events.append((event, facts))
        if facts.get("optimizer_step") == 3:
            stop.signal_number = 15

    assert Run(what, report, stop).train() is None
    assert events[-1][0] == "checkpoint"
    assert checkpoints.latest(tmp_path / "checkpoints") == tmp_path / "checkpoints/step-00000003"
    with pytest.raises(TrainingError, match="--resume"):
        run(what)
    with pytest.raises(TrainingError, match="batch_size"):
        run(longer(replace(what, resume=True), batch_size=2))


@pytest.mark.parametrize("recipe_name", ["tiny_vae", "tiny_language_lstm"])
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one(
    recipe_name: str, pictures: Path, texts: Path, tmp_path: Path
) -> None:
    """Also where weights lie in memory otherwise than in the file (channels last)."""
    dataset = pictures if recipe_name == "tiny_vae" else texts

    def go(out: str, stop_at: int, resume: bool = False) -> Run:
        stop = StopRequest()

        def report(event: str, **facts: Any) -> None:
            if facts.get("optimizer_step") == stop_at:
                stop.signal_number = 15

        what = longer(order(recipe_name, dataset, tmp_path / out), total_steps=8)
        run_ = Run(replace(what, resume=resume), report, stop)
        run_.train()
        return run_

    whole = go("whole", stop_at=0)
    go("parts", stop_at=4)
    resumed = go("parts", stop_at=0, resume=True)
    assert resumed.step == 8
    for one, other in zip(whole.trained, resumed.trained, strict=True):
        assert torch.equal(one, other)


def test_a_loss_that_is_not_a_number_keeps_the_last_good_checkpoint(
    texts: Path, tmp_path: Path
) -> None:
    what = longer(
        order("tiny_language_model", texts, tmp_path), total_steps=5, checkpoint_every_s=1e-6
    )
    events: Events = []
    broken: list[Run] = []

    def report(event: str, **facts: Any) -> None:
        events.append((event, facts))
        if event == "checkpoint" and "step-00000002" in facts["path"]:
            next(broken[0].plain.parameters()).data.fill_(float("nan"))

    broken.append(Run(what, report))
    with pytest.raises(TrainingError, match=r"step 3.*step-00000002"):
        broken[0].train()
    kept = checkpoints.latest(tmp_path / "checkpoints")
    assert kept is not None
    state = json.loads((kept / "state.json").read_text())
    assert state["optimizer_step"] == 2
