"""Which models the host offers: the starter weights that ship, and the host's own `models.toml`.

No torch. The gateway reads it to list and to validate, the model child to find the weights. A
person in chat picks among these names; only the host's file may name a folder or a hub id.

    [defaults]
    image = "turbo"

    [models.turbo]
    generator = "diffusion"
    weights = "stabilityai/sd-turbo"     # a hub id, or a folder (relative to this file)
    revision = "b261bac6fd2cf515557d5d0707481eafa0485ec2"
    licence = "..."
    summary = { en = "Pictures in one step." }
    defaults = { num_inference_steps = 1, guidance_scale = 0.0 }
    dtype = "bfloat16"                   # or float32, float16; auto: as it suits the device
    offload = "auto"                     # none, model, sequential: what does not fit takes turns
    compile = true                       # the first picture takes a minute, later ones less time
    adapters = { ours = "adapters/ours", pixel = "someone/pixel@<commit>" }   # turbo+ours, ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from generators import catalog
from generators.contract import Modality
from generators.models_file import (
    NAME,
    AdapterSource,
    Dtype,
    HostEntry,
    Offload,
    RegistryError,
    read_models_file,
)
from generators.weights import STARTER, WeightsError, read_manifest

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
REVISION = re.compile(r"[0-9a-f]{40}")


class ModelEntry(BaseModel):
    """One model by its registered name.

    `weights` is an absolute folder, a hub id, or empty for a generator without weights.
    `defaults` fill params that a request leaves open; `limits` are facts the weights impose (for
    example `max_pixels`). Both come from the weights' manifest, overlaid by the host's entry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    generator: str
    weights: str = ""
    revision: str | None = None
    summary: dict[str, str] = {}
    licence: str = ""
    defaults: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    starter: bool = False
    default: bool = False
    dtype: Dtype = "auto"
    offload: Offload = "auto"
    compile: bool = False
    adapter: AdapterSource | None = None  # what is added to the weights; None: nothing

    @property
    def modality(self) -> Modality:
        """What comes out: image, text, audio or video."""
        return catalog.spec(self.generator).modality

    @property
    def capabilities(self) -> frozenset[str]:
        """What the generator can do, in the words of `GeneratorSpec.capabilities`."""
        return catalog.spec(self.generator).capabilities

    @property
    def folder(self) -> Path | None:
        """The weights as a folder, or None for a hub id or a generator without weights."""
        return Path(self.weights) if self.weights and Path(self.weights).is_absolute() else None

    @property
    def base(self) -> ModelEntry:
        """The same model without its adapter, under the base's name: what lies in memory."""
        if self.adapter is None:
            return self
        return self.model_copy(update={"name": self.name.rpartition("+")[0], "adapter": None})


@dataclass(frozen=True, slots=True)
class Registry:
    """The models on offer, by name, starters first."""

    entries: Mapping[str, ModelEntry] = field(default_factory=dict)

    def entry(self, name: str) -> ModelEntry:
        """The model of this name. Raises RegistryError with a sentence that lists the names."""
        try:
            return self.entries[name]
        except KeyError:
            known = ", ".join(self.entries) or "none"
            raise RegistryError(f"there is no model {name!r}; there are: {known}") from None

    def offering(self, modality: Modality, capability: str = "prompt") -> list[ModelEntry]:
        """The models of this modality that can do this, the default one first."""
        fitting = [
            entry
            for entry in self.entries.values()
            if entry.modality == modality and capability in entry.capabilities
        ]
        return sorted(fitting, key=lambda entry: not entry.default)

    def default(self, modality: Modality, capability: str = "prompt") -> ModelEntry | None:
        """The model taken where none is named: the host's choice, else the first that ships."""
        return next(iter(self.offering(modality, capability)), None)


def read_registry(models_file: Path | None, starter: Path = STARTER) -> Registry:
    """Starter entries, then the host's. A host's entry may not take a starter's name.

    Raises RegistryError, whose sentence names the file and the entry.
    """
    entries = {entry.name: entry for entry in starter_entries(starter)}
    chosen: dict[str, str] = {}
    if models_file is not None:
        tables, chosen = read_models_file(models_file)
        for name, table in tables.items():
            if name in entries:
                raise RegistryError(f"{models_file}: [models.{name}] takes a starter model's name")
            entries |= {entry.name: entry for entry in _resolve(name, table, models_file)}
    for modality, name in chosen.items():
        if name not in entries or entries[name].modality != modality:
            raise RegistryError(
                f"{models_file}: [defaults] {modality} = {name!r} is no {modality} model on offer"
            )
        entries[name] = entries[name].model_copy(update={"default": True})
    return Registry(entries)


def starter_entries(starter: Path = STARTER) -> list[ModelEntry]:
    """One entry for each folder of weights that ships and each generator that needs none."""
    entries = []
    for generator in catalog.names():
        if not catalog.spec(generator).needs_weights:
            entries.append(_weightless(generator))
    for folder in sorted(path.parent for path in starter.glob("*/atelier.json")):
        try:
            manifest = read_manifest(folder)
        except WeightsError as error:
            raise RegistryError(str(error)) from error
        if manifest is None or manifest.generator not in catalog.names():
            continue
        entries.append(
            ModelEntry(
                name=folder.name,
                weights=str(folder.resolve()),
                starter=True,
                **manifest.model_dump(exclude={"figures", "parts"}),
            )
        )
    return sorted(entries, key=lambda entry: entry.name)


def _resolve(name: str, table: HostEntry, path: Path) -> list[ModelEntry]:
    """The host's entry with its weights found and its manifest read, then one for each adapter."""
    where = f"{path}: [models.{name}]"
    if table.generator not in catalog.names():
        known = ", ".join(catalog.names())
        raise RegistryError(f"{where} generator {table.generator!r} is unknown; there are {known}")
    values = table.model_dump(exclude={"adapters"})
    folder = (path.parent / Path(table.weights).expanduser()).resolve()
    if not table.weights:
        raise RegistryError(f"{where} weights: name a folder or a hub id")
    if folder.is_dir():
        try:
            manifest = read_manifest(folder)
        except WeightsError as error:
            raise RegistryError(f"{where} {error}") from error
        if manifest is not None and manifest.generator != table.generator:
            raise RegistryError(
                f"{where} is a {table.generator} model, but its weights are for"
                f" {manifest.generator}"
            )
        if manifest is not None:
            values["defaults"] = {**manifest.defaults, **table.defaults}
            values["limits"] = {**manifest.limits, **table.limits}
            values["summary"] = table.summary or manifest.summary
            values["licence"] = table.licence or manifest.licence
        values["weights"] = str(folder)
        values["revision"] = None
    else:
        _check_hub(table.weights, table.revision, folder, where)
    _check_defaults(table.generator, values["defaults"], where)
    base = ModelEntry(name=name, **values)
    return [base, *(_adapted(base, *item, path) for item in table.adapters.items())]


def _adapted(base: ModelEntry, style: str, source: AdapterSource, path: Path) -> ModelEntry:
    """The model that the base becomes with this adapter."""
    where = f"{path}: [models.{base.name}] adapters.{style}"
    if not NAME.fullmatch(style):
        raise RegistryError(f"{where}: a name has 1 to 40 of a-z, 0-9, '.', '_', '-'")
    folder = (path.parent / Path(source.weights).expanduser()).resolve()
    if folder.is_dir():
        source = source.model_copy(update={"weights": str(folder), "revision": None})
    else:
        _check_hub(source.weights, source.revision, folder, where)
    licences = dict.fromkeys(text for text in (base.licence, source.licence) if text)
    changes = {
        "name": f"{base.name}+{style}",
        "adapter": source,
        "licence": "; ".join(licences),
        "default": False,
    }
    return base.model_copy(update=changes)


def _check_hub(weights: str, revision: str | None, folder: Path, where: str) -> None:
    """What is no folder must be a hub id at a commit."""
    if not HUB_ID.fullmatch(weights):
        raise RegistryError(f"{where} weights: there is no folder {folder}")
    if revision is None or not REVISION.fullmatch(revision):
        raise RegistryError(
            f"{where} revision: a hub model needs the full commit it is pinned to"
            " (40 hexadecimal digits), so that it cannot change under you"
        )


def _check_defaults(generator: str, defaults: Mapping[str, Any], where: str) -> None:
    """Defaults are params like any other: known by name, and in range."""
    fields = catalog.spec(generator).params.model_fields
    for name, value in defaults.items():
        if name not in fields:
            known = ", ".join(fields)
            raise RegistryError(
                f"{where} defaults: {generator} has no param {name!r}, only {known}"
            )
        checks = tuple(fields[name].metadata)
        try:
            annotation: Any = fields[name].annotation
            for check in checks:
                annotation = Annotated[annotation, check]
            TypeAdapter(annotation).validate_python(value)
        except ValidationError as error:
            raise RegistryError(f"{where} defaults: {name}: {error.errors()[0]['msg']}") from error


def _weightless(generator: str) -> ModelEntry:
    return ModelEntry(
        name=generator,
        generator=generator,
        summary=dict(catalog.spec(generator).summary),
        starter=True,
    )
