"""Where a run begins: fresh, from weights (`--init`), or at its last checkpoint (`--resume`).

Everything that can be refused before the first step is refused here, as a sentence. Used by
`trainer.loop` only.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from accelerate import Accelerator

from trainer import checkpoints, initial
from trainer.adapters import Adapter
from trainer.catalog import load_objective
from trainer.contract import Recipe, TrainingError
from trainer.data.manifests import read_manifest
from trainer.data.order import step_seed
from trainer.objective import Objective, Setting
from trainer.orders import Order
from trainer.versions import quieten_libraries


def refuse_impossible(recipe: Recipe) -> None:
    """Raise TrainingError for what this machine cannot do: fp16 on a CPU, more processes than GPUs.

    fp16's range asks for a scaled loss, and CPUs do not compute in it.
    """
    gpus, processes = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if recipe.precision == "fp16" and not gpus:
        raise TrainingError(
            "precision fp16 needs a CUDA GPU, and there is none: use bf16 or fp32 in the recipe."
        )
    if 0 < gpus < processes:
        raise TrainingError(f"--devices {processes}, but this machine has {gpus} GPU(s).")


def starting_checkpoint(order: Order, folder: Path, *, main: bool) -> Path | None:
    """Where to go on, or None for a new run; makes the run's folder and its recipe file.

    Raises TrainingError where a run lies there already and nobody said `--resume`, or where it was
    begun with another recipe.
    """
    order.out.mkdir(parents=True, exist_ok=True)
    found = checkpoints.latest(folder)
    if found is not None and not order.resume:
        raise TrainingError(
            f"{order.out} already holds a run: add --resume to go on with it, "
            "or choose another folder."
        )
    if found is not None:
        checkpoints.refuse_other_recipe(found, order.recipe)
    if main:
        text = json.dumps(order.recipe.model_dump(), indent=1, ensure_ascii=False)
        (order.out / "recipe.json").write_text(text + "\n", encoding="utf-8")
    return found


def initial_weights(order: Order, start: Path | None) -> Path | None:
    """What the run started from, also where a resumed one no longer says it."""
    before = checkpoints.read_init(start) if start else None
    if before is None or before.is_dir():
        return before or order.init
    if order.init is None:
        raise TrainingError(f"The run began with {before}, which is gone: add --init.")
    return order.init


def make_objective(order: Order, init: Path | None, accelerator: Accelerator) -> Objective:
    """The recipe's objective over the dataset, one process after the other."""
    setting = Setting(
        recipe=order.recipe,
        dataset=order.dataset,
        manifest=read_manifest(order.dataset),
        device=accelerator.device,
        init=init,
    )
    make = load_objective(order.recipe.objective)
    quieten_libraries()
    with accelerator.main_process_first(), initial.explained(init, make):
        objective: Objective = make(setting)
    return objective


def make_adapter(order: Order, init: Path | None, objective: Objective) -> Adapter | None:
    """The LoRA to train instead of the objective's own weights, where the recipe wants one."""
    wanted = order.recipe.adapter
    if wanted is None:
        return None
    if init is None:
        raise TrainingError("A LoRA is trained over weights that exist: name them with --init.")
    torch.manual_seed(step_seed(order.recipe.seed, "adapter"))
    return Adapter(objective, wanted, init, order.init_name or init.name)
