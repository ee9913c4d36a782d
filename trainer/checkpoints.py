"""Checkpoints: everything a run needs to go on, written whole or not at all, never as pickle.

`out/checkpoints/step-00001200/` holds safetensors (module, averaged weights, each optimizer's
state) and one `state.json`. A folder is written under a temporary name, flushed, and renamed, so a
kill at any moment leaves the last good one. Random generators and the sampler are not stored: every
step derives its own seed and examples (`trainer.data.order`), which makes a resumed run equal to an
uninterrupted one.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.contract import Recipe, TrainingError
from trainer.optimizers import Average

KEPT = 2  # the newest and the one before it
STATE = "state.json"
FREE_TO_CHANGE = {
    "total_steps",
    "checkpoint_every_s",
    "sample_every_s",
    "evaluate_every_s",
    "summary",
    "init",  # what a run began with is kept in its checkpoints
    "prompts",
    "about",
    "limits",
    "defaults",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands, over all of its sittings."""

    optimizer_step: int  # steps done
    train_s: float  # seconds of training spent
    init: str = ""  # the folder of the weights it started from
    loss_scale: dict[str, Any] = field(default_factory=dict)  # state of fp16's scaler


def unique_state(module: nn.Module, *, adapter_only: bool = False) -> dict[str, Tensor]:
    """The module's state by name, with weights that share memory (tied embeddings) listed once.

    `adapter_only`: just what is trained. The base below a LoRA never changes, and would make each
    checkpoint a hundred times larger.
    """
    seen: set[tuple[int, torch.Size]] = set()
    state: dict[str, Tensor] = {}
    trained = {name for name, value in module.named_parameters() if value.requires_grad}
    for name, tensor in module.state_dict().items():
        if adapter_only and name not in trained:
            continue
        key = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        state[name] = tensor.detach().contiguous()
    return state


def save(
    folder: Path,
    progress: Progress,
    module: nn.Module,
    average: Average | None,
    optimizers: list[torch.optim.Optimizer],
    recipe: dict[str, Any],
) -> Path:
    """Write `folder/step-<n>`, drop all but the newest two, and return its path.

    Raises TrainingError where the disk is full or cannot be written; older checkpoints stay.
    """
    target = folder / f"step-{progress.optimizer_step:08d}"
    temporary = folder / f".writing-{os.getpid()}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        state = unique_state(module, adapter_only=bool(recipe.get("adapter")))
        save_file(state, temporary / "module.safetensors")
        if average is not None:
            packed = {name: value.contiguous() for name, value in average.shadow.items()}
            save_file(packed, temporary / "average.safetensors")
        scalars = [
            _save_optimizer(optimizer, temporary / f"optimizer-{number}.safetensors")
            for number, optimizer in enumerate(optimizers)
        ]
        facts = {**asdict(progress), "optimizer_scalars": scalars, "recipe": recipe}
        (temporary / STATE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        for path in temporary.iterdir():
            _flush(path)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        last = latest(folder)
        kept = f"the last good one is {last}" if last else "no earlier one exists"
        raise TrainingError(f"The checkpoint could not be written ({error}); {kept}.") from error
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run, or None."""
    whole = [path for path in folder.glob("step-*") if (path / STATE).is_file()]
    return max(whole, default=None)


def read_recipe(checkpoint: Path) -> dict[str, Any]:
    """The recipe that the checkpoint's run was started with."""
    return dict(_read_state(checkpoint)["recipe"])


def read_init(checkpoint: Path) -> Path | None:
    """The weights that the checkpoint's run started from."""
    init = _read_state(checkpoint).get("init")
    return Path(init) if init else None


def refuse_other_recipe(checkpoint: Path, recipe: Recipe) -> None:
    """A resumed run keeps its recipe, but for its length, its reports and its words.

    Raises TrainingError naming what differs. A field that did not exist when the checkpoint was
    written counts as its default.
    """
    now, before = recipe.model_dump(mode="json"), read_recipe(checkpoint)
    with suppress(ValidationError):  # a field that is gone: compare what was written
        before = Recipe.model_validate(before).model_dump(mode="json")
    changed = [name for name in now if name not in FREE_TO_CHANGE and now[name] != before.get(name)]
    if changed:
        raise TrainingError(
            f"The run was started with another recipe: {', '.join(changed)} differ. "
            "Start a new run with --init to build on its weights."
        )


def _read_state(checkpoint: Path) -> dict[str, Any]:
    return dict(json.loads((checkpoint / STATE).read_text(encoding="utf-8")))


def restore(
    checkpoint: Path,
    module: nn.Module,
    average: Average | None,
    optimizers: list[torch.optim.Optimizer],
) -> Progress:
    """Load everything back in place. Raises TrainingError where it does not fit the recipe."""
    try:
        state = _read_state(checkpoint)
        adapter_only = bool(state["recipe"].get("adapter"))
        _load_into(module, load_file(checkpoint / "module.safetensors"), adapter_only)
        if average is not None:
            stored = load_file(checkpoint / "average.safetensors")
            for name, value in average.shadow.items():
                value.copy_(stored[name])
        for number, (optimizer, scalars) in enumerate(
            zip(optimizers, state["optimizer_scalars"], strict=True)
        ):
            _load_optimizer(optimizer, checkpoint / f"optimizer-{number}.safetensors", scalars)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{checkpoint} does not fit this recipe: {error}") from error
    return Progress(
        state["optimizer_step"],
        state["train_s"],
        state.get("init", ""),
        state.get("loss_scale", {}),
    )


def _load_into(module: nn.Module, stored: dict[str, Tensor], adapter_only: bool) -> None:
    own = unique_state(module, adapter_only=adapter_only)
    if own.keys() != stored.keys():
        odd = sorted(own.keys() ^ stored.keys())
        raise ValueError(f"weights differ at {odd[0]} and {len(odd) - 1} more")
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name in stored:
                value.copy_(stored[name])


def _save_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> dict[str, Any]:
    """Tensors to `path` as `<parameter>.<name>`; what is not a tensor is returned for the JSON."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach().contiguous()
            else:
                scalars[f"{index}.{name}"] = value
    save_file(tensors, path)
    return scalars


def _load_optimizer(optimizer: torch.optim.Optimizer, path: Path, scalars: dict[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**load_file(path), **scalars}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # Fused optimizers pair the elements by their place in memory, and parameters may
                # be channels-last where the file is not.
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _flush(path: Path) -> None:
    """fsync a file or folder, so that the rename never outruns its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
