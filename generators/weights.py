"""A folder of weights: its manifest, its hash. No torch: reading tensors is the library's own
business.

Weights lie in the folders that diffusers and transformers write themselves (safetensors and
configs), so that their own `from_pretrained` loads them. Beside them we keep one small
`atelier.json` that says what the folder is; a folder without one (any model from a hub) works too
and takes the spec's defaults.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

MANIFEST_NAME = "atelier.json"
STARTER = Path(__file__).parent / "starter"


class WeightsManifest(BaseModel):
    """What `atelier.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    generator: str
    summary: dict[str, str] = {}  # language -> sentence
    licence: str = ""
    defaults: dict[str, Any] = {}  # params that suit these weights
    limits: dict[str, Any] = {}  # facts the model must respect, e.g. {"max_pixels": 4096}
    parts: dict[str, str] = {}  # other weights this one needs, by name; see `part`
    figures: dict[str, float | str] = {}  # measured on held-out examples


class WeightsError(ValueError):
    """The folder is not what it should be; the message says what to do."""


def read_manifest(folder: Path) -> WeightsManifest | None:
    """The folder's manifest, or None where it has none. Raises WeightsError where it is broken."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        return WeightsManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise WeightsError(f"{path} is not a valid weights manifest: {error}") from error


def write_manifest(folder: Path, manifest: WeightsManifest) -> None:
    """Write `atelier.json` into the folder (made if missing)."""
    folder.mkdir(parents=True, exist_ok=True)
    text = manifest.model_dump_json(indent=2, exclude_defaults=True)
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def part(folder: Path, name: str) -> Path:
    """The weights folder that the manifest names as part `name`, e.g. `autoencoder`.

    Families that share a net need not ship it twice. The path is relative to `folder`, or
    `starter:NAME` for weights that ship with the studio, wherever `folder` lies. Raises
    WeightsError where the manifest names no such part or nothing lies there.
    """
    manifest = read_manifest(folder)
    relative = manifest.parts.get(name) if manifest is not None else None
    if relative is None:
        raise WeightsError(f"{folder / MANIFEST_NAME} names no part {name!r}")
    shipped = relative.removeprefix("starter:")
    found = (STARTER / shipped if shipped != relative else folder / relative).resolve()
    if not found.is_dir():
        raise WeightsError(f"{folder} needs its part {name!r} at {found}, where nothing lies")
    return found


def weights_hash(folder: Path) -> str:
    """SHA-256 over every file that decides what comes out, by relative name and content: 16 hex
    digits.

    Model cards, notices and sample sheets are left out, so that a better text does not change a
    receipt. Parts that lie elsewhere count as if they lay in the folder.
    """
    digest = hashlib.sha256()
    _add_files(digest, folder)
    manifest = read_manifest(folder)
    for name in sorted(manifest.parts if manifest is not None else ()):
        digest.update(f"part:{name}\0".encode())
        _add_files(digest, part(folder, name))
    return digest.hexdigest()[:16]


def _add_files(digest: hashlib._Hash, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix not in {".safetensors", ".json", ".txt", ".model"} or not path.is_file():
            continue
        if path.name == MANIFEST_NAME or path.name.startswith("NOTICE"):
            continue
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
