"""Reading and writing a dataset's manifest, and splitting examples. No torch.

What the examples themselves are worth is `trainer.data.checking`'s business.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from trainer.contract import MANIFEST_NAME, DatasetManifest, Split, TrainingError


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_of(key: str, held_out: float, salt: str = "atelier") -> Split:
    """A stable split: the same key is held out whatever else the dataset holds.

    `held_out` is the share in [0, 1].
    """
    digest = hashlib.sha256(f"{salt}/{key}".encode()).digest()
    return "held_out" if int.from_bytes(digest[:4], "big") / 2**32 < held_out else "train"


def read_manifest(folder: Path) -> DatasetManifest:
    """The manifest of a dataset folder. Raises TrainingError with what is missing or wrong."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise TrainingError(
            f"{folder} is not a dataset: it has no {MANIFEST_NAME}. "
            f"`atelier dataset import FOLDER --out {folder} --licence ...` makes one of your own "
            f"files, `atelier dataset build emoji --out {folder}` the starter one."
        )
    try:
        return DatasetManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TrainingError(f"{path} is not a valid manifest: {where}: {first['msg']}") from error


def write_manifest(folder: Path, manifest: DatasetManifest) -> None:
    """Write `manifest.json`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{MANIFEST_NAME}.new"
    text = json.dumps(manifest.model_dump(exclude_defaults=True), ensure_ascii=False, indent=1)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(folder / MANIFEST_NAME)
