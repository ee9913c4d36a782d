"""Writing the weights' folder of a finished run, whole or not at all, with its model card."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from generators.weights import read_manifest
from trainer.contract import DatasetManifest, Recipe, TrainingError
from trainer.objective import Card, Objective


def write_weights(
    objective: Objective,
    folder: Path,
    recipe: Recipe,
    recipe_name: str,
    dataset: DatasetManifest,
    figures: dict[str, float],
) -> None:
    """Export into a temporary folder beside `folder`, then rename it there (replacing an old one).

    Adds the model card, and `NOTICE` where the dataset's licence asks for one. Raises TrainingError
    where the disk is full or cannot be written; the old folder stays.
    """
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        objective.export(temporary, figures)
        _forget_paths(temporary)
        text = model_card(objective.card, temporary, recipe, recipe_name, dataset)
        (temporary / "README.md").write_text(text, encoding="utf-8")
        if dataset.notice:
            (temporary / "NOTICE").write_text(dataset.notice + "\n", encoding="utf-8")
        for path in temporary.rglob("*.safetensors"):
            path.chmod(0o644)  # the library leaves them to their owner alone
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainingError(f"The weights could not be written to {folder}: {error}.") from error


def _forget_paths(folder: Path) -> None:
    """Drop the path that diffusers notes in a config when a run began from given weights: it tells
    of the trainer's disk, and would make equal weights hash differently."""
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def save_half(model: PreTrainedModel, folder: Path) -> None:
    """Save a transformers model in float16, to be loaded in float32 unless asked otherwise.

    Half the size on disk; but without the note in the config, transformers would compute in half
    precision too, which is slow on a CPU and does not fit float32 parts beside it.
    """
    half = copy.deepcopy(model).cpu().half()
    half.save_pretrained(folder)
    half.config.dtype = torch.float32
    half.config.save_pretrained(folder)


def model_card(
    card: Card, folder: Path, recipe: Recipe, recipe_name: str, dataset: DatasetManifest
) -> str:
    """Markdown: what it is, how to load it, data, licence, recipe, figures and limits."""
    manifest = read_manifest(folder)
    figures = manifest.figures if manifest else {}
    licence_tail = "; its notice is in `NOTICE`" if dataset.notice else ""
    parts = [
        f"# {card.title}",
        manifest.summary.get("en", "") if manifest else "",
        "![samples](samples.png)" if (folder / "samples.png").is_file() else "",
        f"```python\n{card.usage}\n```",
        "## Data and licence",
        f"`{dataset.name}`: {dataset.source or 'no source given'}. "
        f"Licence: {dataset.licence}{licence_tail}.",
        "## Training",
        f"Recipe `{recipe_name}` (objective `{recipe.objective}`): {recipe.total_steps:,} steps of "
        f"{recipe.batch_size * recipe.gradient_accumulation_steps} examples, "
        f"{recipe.precision}, seed {recipe.seed}.",
        "## Figures\n\n| figure | value |\n|---|---|\n"
        + "\n".join(f"| {name} | {value} |" for name, value in figures.items())
        if figures
        else "",
        "## Limits",
        card.limits,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
