"""Two processes train what one trains with twice the batch, also when one of them is killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from trainer.catalog import load_recipe
from trainer.contract import DatasetManifest, Example, Recipe
from trainer.data.manifests import sha256_of, write_manifest
from trainer.loop import Run
from trainer.orders import Order

STEPS = 8
TOKENS = 20  # of every text: two do not fit a row of 24, so that each process averages over as many
RECIPE = """
objective = "language_model"
summary = "for two processes"
total_steps = %d
batch_size = %d
precision = "fp32"
checkpoint_every_s = 0.001

[settings]
layers = 1
width = 32
heads = 2
context = 24
vocab_size = 300
"""


@pytest.fixture(autouse=True)
def global_random_state() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture
def base(texts: Path, tmp_path: Path) -> Path:
    tiny = load_recipe("tiny_language_model")
    settings = {**tiny.settings, "dropout": 0.0}  # its noise would differ between the processes
    recipe = tiny.model_copy(update={"total_steps": 1, "settings": settings})
    order = Order(recipe, "tiny_language_model", texts, tmp_path / "base")
    weights = Run(order, lambda event, **facts: None).train()
    assert weights is not None
    return weights


@pytest.fixture
def even_texts(base: Path, tmp_path: Path) -> Path:
    """Sixteen texts of exactly `TOKENS` tokens."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    rng, folder = random.Random(0), tmp_path / "even"
    folder.mkdir()
    examples: list[Example] = []
    while len(examples) < 16:
        text = " ".join(rng.choices(["small", "grey", "owl", "sings", "boats"], k=9))
        if len(tokenizer(text, add_special_tokens=False).input_ids) < TOKENS:
            text += "!" * (TOKENS - len(tokenizer(text, add_special_tokens=False).input_ids))
        if len(tokenizer(text, add_special_tokens=False).input_ids) != TOKENS:
            continue
        path = folder / f"{len(examples)}.txt"
        path.write_text(text, encoding="utf-8")
        examples.append(Example(file=path.name, sha256=sha256_of(path)))
    manifest = DatasetManifest(name="even", modality="text", licence="CC0-1.0", examples=examples)
    write_manifest(folder, manifest)
    return folder


def trained(recipe: Recipe, dataset: Path, out: Path, base: Path) -> tuple[Run, float]:
    """A finished run in this process, and how far its farthest weight moved."""
    run = Run(Order(recipe, "even", dataset, out, init=base), lambda event, **facts: None)
    before = {name: value.clone() for name, value in run.plain.state_dict().items()}
    assert run.train() is not None
    after = run.plain.state_dict()
    return run, max(float((after[name] - before[name]).abs().max()) for name in before)


def recipe_of(batch_size: int, **changes: Any) -> Recipe:
    return Recipe.model_validate(tomllib.loads(RECIPE % (STEPS, batch_size)) | changes)


def test_accumulated_gradients_equal_a_larger_batch(
    base: Path, even_texts: Path, tmp_path: Path
) -> None:
    whole, moved = trained(recipe_of(8), even_texts, tmp_path / "whole", base)
    halves = recipe_of(4, gradient_accumulation_steps=2)
    accumulated, _ = trained(halves, even_texts, tmp_path / "halves", base)
    assert moved > 1e-3, "something was learned"
    for one, same in zip(whole.trained, accumulated.trained, strict=True):
        torch.testing.assert_close(one, same, rtol=1e-3, atol=2e-4)


@pytest.mark.kill
@pytest.mark.timeout(600)
def test_two_processes_equal_one_of_twice_the_batch_even_after_a_kill(
    base: Path, even_texts: Path, tmp_path: Path
) -> None:
    (tmp_path / "of4.toml").write_text(RECIPE % (STEPS, 4), encoding="utf-8")
    command = [sys.executable, "-m", "trainer", "train", tmp_path / "of4.toml"]
    command += [
        "--data",
        even_texts,
        "--init",
        base,
        "--threads",
        "1",
        "--no-tensorboard",
        "--json",
    ]
    command += ["--out", tmp_path / "two", "--devices", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as two:
        assert two.stdout is not None
        for line in two.stdout:
            event = json.loads(line)
            if event["event"] == "checkpoint" and "step-00000003" in event["path"]:
                second = max(psutil.Process(two.pid).children(), key=lambda child: child.pid)
                second.kill()
                break
        two.communicate(timeout=90)
    assert two.returncode == 128 + signal.SIGKILL
    ended = subprocess.run(
        [*command, "--resume"], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [event["event"] for event in events].count("done") == 1, "one process speaks for all"
    first = next(event for event in events if event["event"] == "progress")
    assert 3 < first["optimizer_step"] < STEPS

    one, _ = trained(recipe_of(8), even_texts, tmp_path / "one", base)
    both = load_file(tmp_path / f"two/checkpoints/step-{STEPS:08d}/module.safetensors")
    state = one.plain.state_dict()
    for name, value in both.items():
        torch.testing.assert_close(value, state[name], rtol=1e-3, atol=2e-4)
