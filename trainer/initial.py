"""Weights to start from (`--init`): finding them by name, and saying plainly when they do not fit.

A name is a folder, a model of this studio (`atelier models list`), or a hub id with the commit it
is pinned to, `owner/name@0123...` (40 hex digits). No torch. An objective that continues weights
says whose in a class attribute `init_from` (generator names) and calls `refuse_other_shape`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError

from generators.models_file import RegistryError
from generators.registry import HUB_ID, REVISION, read_registry
from generators.weights import WeightsError, read_manifest
from trainer.contract import TrainingError

# What the libraries raise over a folder that is not what they look for.
UNFIT = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError)
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]  # never pickle, never code


def find(name: str, models_file: Path | None) -> Path:
    """The folder of the weights called `name`. Raises TrainingError listing what there is."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    hub_id, _, revision = name.partition("@")
    if revision:
        return _from_hub(hub_id, revision)
    try:
        offered = read_registry(models_file).entries
    except (RegistryError, WeightsError) as error:
        raise TrainingError(f"The models of this studio cannot be read: {error}") from error
    entry = offered.get(name)
    if entry is None or not entry.weights:
        known = ", ".join(key for key, model in offered.items() if model.weights)
        raise TrainingError(
            f"There are no weights {name!r}: no such folder, and the models here are {known}. "
            "A hub model is written owner/name@ and the 40 digits of its commit."
        )
    return entry.folder or _from_hub(entry.weights, entry.revision or "")


def _from_hub(hub_id: str, revision: str) -> Path:
    if not HUB_ID.fullmatch(hub_id) or not REVISION.fullmatch(revision):
        raise TrainingError(
            f"{hub_id}@{revision} is no pinned hub model: write owner/name@ and the 40 hexadecimal "
            "digits of the commit, so that it cannot change under you."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise TrainingError(f"{hub_id} could not be fetched from the hub: {error}") from error


@contextmanager
def explained(init: Path | None, objective: Any) -> Iterator[None]:
    """While an objective is made from `init`: whatever a library makes of it becomes a sentence."""
    if init is None:
        yield
        return
    accepted = getattr(objective, "init_from", None)
    try:
        manifest = read_manifest(init)
    except WeightsError as error:
        raise TrainingError(str(error)) from error
    if manifest is not None and accepted is not None and manifest.generator not in accepted:
        raise TrainingError(
            f"{init} holds weights for {manifest.generator}; this recipe can start from those for "
            f"{' or '.join(sorted(accepted))}."
        )
    try:
        yield
    except ValidationError:
        raise
    except UNFIT as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise TrainingError(f"{init} cannot be continued by this recipe: {first}") from error


def holds(folder: Path, generator: str) -> bool:
    """Whether these are weights for this generator, to be continued as they are."""
    manifest = read_manifest(folder)
    return manifest is not None and manifest.generator == generator


def refuse_other_shape(settings: BaseModel, found: Mapping[str, object], init: Path) -> None:
    """Raise TrainingError where the recipe states a shape that the weights do not have.

    `found` maps names of settings to what the weights are; settings that the recipe leaves open
    follow the weights.
    """
    for name, value in found.items():
        stated = getattr(settings, name)
        if name in settings.model_fields_set and stated != value:
            raise TrainingError(
                f"The recipe says {name} = {stated}, but the weights in {init} have {value}: leave "
                "it out of the recipe, or start without --init."
            )
