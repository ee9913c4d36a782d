"""The trainer's examples a second against a bare loop with the same model, batch and optimizers.

Both train the shipped text recipe's net, taking turns of a few steps in one process, so that a busy
machine slows both alike. The trainer also averages weights, watches for divergence, writes metrics
and progress and makes every batch anew; the bare loop computes on one batch made before.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer.catalog import load_recipe
from trainer.contract import DatasetManifest, Example, Recipe
from trainer.data.manifests import sha256_of, write_manifest
from trainer.loop import Run
from trainer.optimizers import build_optimizers
from trainer.orders import Order

if TYPE_CHECKING:
    from conftest import Report

TURNS, STEPS, BATCH = 8, 5, 32


def test_examples_a_second(tmp_path: Path, report: Report) -> None:
    turns = _Turns()
    run = Run(Order(_recipe(), "bench", _texts(tmp_path), tmp_path / "out"), turns)
    turns.bare = _BareLoop(run)
    run.train()
    ours, theirs = (STEPS * BATCH / statistics.median(s[1:]) for s in (turns.ours, turns.theirs))
    report.add("training GPT-2 (6 x 256)", ours, "examples/s", "bare PyTorch loop", theirs)


def _recipe() -> Recipe:
    shipped = load_recipe("lexicon_gpt2")
    changes = {
        "batch_size": BATCH,
        "total_steps": TURNS * STEPS,
        "prompts": [],
        "settings": {**shipped.settings, "baselines": False},
    }
    return Recipe.model_validate(shipped.model_dump() | changes)


def _texts(folder: Path) -> Path:
    lines = [f"thing {n % 97} (noun): what meets {n % 13} at place {n}, once." for n in range(2000)]
    path = folder / "train.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    example = Example(file=path.name, sha256=sha256_of(path))
    manifest = DatasetManifest(name="made", modality="text", licence="CC0-1.0", examples=[example])
    write_manifest(folder, manifest)
    return folder


class _Turns:
    """The trainer's reporter: after every few of its steps the bare loop makes as many."""

    def __init__(self) -> None:
        self.bare: Any = None
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self._since = time.perf_counter()

    def __call__(self, event: str, **facts: Any) -> None:
        if event == "progress" and facts["optimizer_step"] % STEPS == 0:
            self.ours.append(time.perf_counter() - self._since)
            self.theirs.append(self.bare.seconds())
            self._since = time.perf_counter()


class _BareLoop:
    """Forward, backward, clip, step: what anybody would write first."""

    def __init__(self, run: Run) -> None:
        objective = type(run.objective)(run.objective.setting)
        self._module = objective.module.train()
        self._optimizers = build_optimizers(
            self._module, run.order.recipe.optimizer, objective.is_hidden
        )
        self._batch = objective.batch(list(range(BATCH)), seed=0)

    def seconds(self) -> float:
        """The time of `STEPS` steps."""
        began = time.perf_counter()
        for _ in range(STEPS):
            with torch.autocast("cpu", torch.bfloat16):
                loss = self._module(self._batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._module.parameters(), 1.0)
            for optimizer in self._optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - began
