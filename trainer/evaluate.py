"""`python -m trainer evaluate WEIGHTS`: the command that measures weights. No torch until it runs.

Used by `trainer.__main__` only. Tells each figure as an event `figure`, each measure that does not
apply as `skipped`, and ends with `done` and the files it wrote.
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path
from typing import Any

from generators.models_file import RegistryError
from generators.registry import ModelEntry, read_registry
from generators.settings import GeneratorSettings
from generators.weights import WeightsError, read_manifest
from trainer.contract import MANIFEST_NAME, TrainingError
from trainer.evaluation.figures import Figure, Skipped
from trainer.progress import Reporter

STARTER_DATASETS = {"image": "emoji", "text": "lexicon", "audio": "instruments"}
FRAMEWORK_FILES = {"model_index.json": "diffusion", "generation_config.json": "gpt2"}


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `evaluate`."""
    evaluate = commands.add_parser("evaluate", parents=[common], help="measure weights")
    evaluate.add_argument("weights", help="a folder, or the name of a model of this studio")
    evaluate.add_argument("--data", type=Path, help="the dataset; default: the starter dataset")
    evaluate.add_argument("--quick", action="store_true", help="fewer samples, rougher figures")
    evaluate.add_argument("--out", type=Path, help="where to write; default: beside the weights")
    evaluate.add_argument("--judge", type=Path, help="another judge than the one that ships")
    evaluate.add_argument("--models-file", type=Path, help="the host's models.toml")
    evaluate.add_argument("--threads", type=int, default=0, help="CPU threads")
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace, report: Reporter) -> int:
    """Measure, tell, write; returns the exit code. Raises TrainingError in words."""
    settings = GeneratorSettings(preload=False, threads=options.threads)
    entry = find_entry(options.weights, options.models_file or settings.models_path)
    dataset = options.data or starter_dataset(entry, settings.data_dir, report)
    out = options.out or _own_folder(entry)
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    from trainer.evaluation.audio_judge import INSTRUMENTS_JUDGE
    from trainer.evaluation.examination import Examination
    from trainer.evaluation.picture_judge import EMOJI_JUDGE

    judge = INSTRUMENTS_JUDGE if entry.modality == "audio" else EMOJI_JUDGE
    try:
        examination = Examination(
            entry, dataset, options.judge or judge, options.quick, out, settings
        )
        results = examination.run(report)
    except WeightsError as error:
        raise TrainingError(str(error)) from error
    tell(results.figures, results.skipped, report)
    files = sorted([*results.sheets, "README.md"]) if out is not None else []
    report("done", weights=entry.name, out=str(out or ""), files=files)
    return 0


def tell(figures: list[Figure], skipped: list[Skipped], report: Reporter) -> None:
    """One event for each figure and each measure that was skipped."""
    for figure in figures:
        report("figure", **figure.to_json())
    for skip in skipped:
        report("skipped", name=skip.name, reason=skip.reason)


def find_entry(weights: str, models_file: Path) -> ModelEntry:
    """The model behind a folder or a registered name. Raises TrainingError listing the names."""
    folder = Path(weights).expanduser()
    try:
        if folder.is_dir():
            return _entry_of(folder.resolve())
        return read_registry(models_file if models_file.is_file() else None).entry(weights)
    except (RegistryError, WeightsError) as error:
        raise TrainingError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def _entry_of(folder: Path) -> ModelEntry:
    manifest = read_manifest(folder)
    if manifest is not None:
        values = manifest.model_dump(exclude={"figures", "parts"})
        return ModelEntry(name=folder.name, weights=str(folder), **values)
    for file, generator in FRAMEWORK_FILES.items():
        if (folder / file).is_file():
            return ModelEntry(name=folder.name, generator=generator, weights=str(folder))
    raise TrainingError(
        f"{folder} has no atelier.json and is no folder of diffusers or transformers: "
        "say what it is with `atelier models add NAME FOLDER`, then evaluate NAME."
    )


def starter_dataset(entry: ModelEntry, data_dir: Path, report: Reporter) -> Path:
    """The starter dataset of the model's modality, built once into the studio's data folder."""
    name = STARTER_DATASETS.get(entry.modality)
    if name is None:
        raise TrainingError(f"There is no starter dataset of {entry.modality}: give one by --data.")
    folder = data_dir / "datasets" / name
    if not (folder / MANIFEST_NAME).is_file():
        build = importlib.import_module(f"trainer.data.starter_{name}").build
        build(folder, lambda done, total: report("progress", done=done, total=total))
    return folder


def _own_folder(entry: ModelEntry) -> Path | None:
    """Where the card belongs: beside weights of ours, never into a stranger's folder."""
    folder = entry.folder
    return folder if folder is not None and read_manifest(folder) is not None else None
