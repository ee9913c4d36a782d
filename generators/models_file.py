"""The host's `models.toml`: read, add, remove, choose a default. No torch.

Only the host edits this file, by hand or with `atelier models`; people in chat pick among the names
in it. Editing keeps what the host wrote: an entry is appended or cut out as text, comments stay,
and the outcome is parsed again before it replaces the file. What the entries mean is the registry's
business.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_HEADER = re.compile(r"^\s*\[")


class RegistryError(ValueError):
    """A model entry is not what it should be; the message names file and entry and says why."""


Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Offload = Literal["auto", "none", "model", "sequential"]


class AdapterSource(BaseModel):
    """An adapter over a model: a folder, or a hub id with its commit.

    In the file also in short: `"path"`, `"owner/name@<commit>"`. `file` names the one to take where
    a hub repository holds several; `scale` is how strongly the adapter acts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str
    revision: str | None = None
    file: str = Field(default="", pattern=r"^([\w.-]+\.safetensors)?$")
    scale: float = Field(default=1.0, gt=0, le=4)
    licence: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        weights, at, revision = value.rpartition("@")
        return {"weights": weights, "revision": revision} if at else {"weights": value}

    @property
    def folder(self) -> Path | None:
        """The adapter as a folder, or None for a hub id."""
        return Path(self.weights) if Path(self.weights).is_absolute() else None


class HostEntry(BaseModel):
    """One `[models.<name>]` table of `models.toml`.

    `dtype` and `offload` say how the weights lie in memory (auto: as they fit); `compile` has the
    net of a pipeline compiled for this machine; each adapter is a model of its own on offer,
    `<name>+<adapter>`, over the same weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str
    weights: str = ""
    revision: str | None = None
    summary: dict[str, str] = {}
    licence: str = ""
    defaults: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    dtype: Dtype = "auto"
    offload: Offload = "auto"
    compile: bool = False
    adapters: dict[str, AdapterSource] = {}


def read_models_file(path: Path) -> tuple[dict[str, HostEntry], dict[str, str]]:
    """The `[models]` and `[defaults]` of a `models.toml`; both empty where there is no file."""
    if not path.is_file():
        return {}, {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path} is not valid TOML: {error}") from error
    unknown = set(content) - {"models", "defaults"}
    if unknown:
        raise RegistryError(
            f"{path}: unknown section {sorted(unknown)[0]!r}; there are [defaults] and"
            " [models.<name>]"
        )
    models, defaults = content.get("models", {}), content.get("defaults", {})
    if not isinstance(models, dict) or not isinstance(defaults, dict):
        raise RegistryError(f"{path}: [models] and [defaults] must be tables")
    if not all(isinstance(name, str) for name in defaults.values()):
        raise RegistryError(f"{path}: [defaults] must map a modality to a model's name")
    return {name: _parse(name, table, path) for name, table in models.items()}, defaults


def _parse(name: str, table: Any, path: Path) -> HostEntry:
    if not NAME.fullmatch(name):
        raise RegistryError(
            f"{path}: [models.{name}]: a name has 1 to 40 of a-z, 0-9, '.', '_', '-'"
            " and begins with a letter or digit"
        )
    try:
        return HostEntry.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RegistryError(f"{path}: [models.{name}] {where}: {first['msg']}") from error


def add_model(path: Path, name: str, entry: HostEntry) -> None:
    """Append `[models.<name>]`. Raises RegistryError where the name is taken or not a name."""
    tables, _ = read_models_file(path)
    if name in tables:
        raise RegistryError(f"{path}: there is already a model {name!r}; remove it first")
    _parse(name, entry.model_dump(exclude_none=True), path)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [f"[models.{_key(name)}]"]
    values = entry.model_dump(exclude_defaults=True, exclude_none=True)
    lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    gap = "\n" if text else ""
    _replace(path, text.rstrip("\n") + ("\n" + gap if text else "") + "\n".join(lines) + "\n")


def remove_model(path: Path, name: str) -> None:
    """Cut `[models.<name>]` out, and its place among the defaults."""
    tables, defaults = read_models_file(path)
    if name not in tables:
        known = ", ".join(tables) or "none"
        raise RegistryError(f"{path}: there is no model {name!r}; there are: {known}")
    lines = _without_section(_lines(path), ("models", name))
    for modality, chosen in defaults.items():
        if chosen == name:
            lines = _without_key(lines, modality)
    _replace(path, "".join(lines))
    if name in read_models_file(path)[0]:
        raise RegistryError(f"{path}: [models.{name}] is written in a way only you can take apart")


def set_default(path: Path, modality: str, name: str) -> None:
    """Make this model the one taken for a modality where none is named."""
    lines = _without_key(_lines(path), modality)
    line = f"{modality} = {_toml(name)}\n"
    at = next((i for i, text in enumerate(lines) if _section(text) == ("defaults",)), None)
    if at is None:
        lines = ["[defaults]\n", line, *(["\n"] if lines else []), *lines]
    else:
        lines.insert(at + 1, line)
    _replace(path, "".join(lines))


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return (text if text.endswith("\n") or not text else text + "\n").splitlines(keepends=True)


def _section(line: str) -> tuple[str, ...] | None:
    """The keys of a table header, or None for any other line."""
    if not _HEADER.match(line):
        return None
    try:
        node: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    keys: list[str] = []
    while isinstance(node, Mapping) and node:
        key = next(iter(node))
        keys.append(key)
        node = node[key]
    return tuple(keys)


def _without_section(lines: list[str], section: tuple[str, ...]) -> list[str]:
    """Without the table and the tables below it."""
    kept, inside = [], False
    for line in lines:
        header = _section(line)
        if header is not None:
            inside = header[: len(section)] == section
        if not inside:
            kept.append(line)
    return kept


def _without_key(lines: list[str], key: str) -> list[str]:
    """Without this key of the table `[defaults]`."""
    kept, inside = [], False
    for line in lines:
        header = _section(line)
        if header is not None:
            inside = header == ("defaults",)
        if not (inside and re.match(rf"\s*{re.escape(key)}\s*=", line)):
            kept.append(line)
    return kept


def _replace(path: Path, text: str) -> None:
    """Parse the new text before it takes the old one's place, and swap the two at once."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RegistryError(f"{path}: this change would break the file: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: Any) -> str:
    """A plain value as TOML. JSON's strings are TOML's, but for DEL, which TOML wants escaped."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items())
        return "{ " + inner + " }" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
