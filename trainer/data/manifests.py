"""Reading, writing and checking a dataset folder. No torch: the command line checks datasets too.

`check` looks at every example as a stranger's file: bounded reads, bounded decoding, and a problem
in words for each one that cannot be used, so that a broken upload never stops a training at night.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from trainer.contract import MANIFEST_NAME, DatasetManifest, Example, Split, TrainingError

MAX_PICTURE_BYTES = 20 * 2**20
MAX_TEXT_BYTES = 256 * 2**20
MAX_PIXELS = 16_777_216  # 4096 x 4096
MAX_CAPTION_CHARS = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one example cannot be used, in words."""

    file: str
    message: str


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
            f"`python -m trainer dataset build emoji --out {folder}` makes the starter one."
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


def check(folder: Path) -> list[Problem]:
    """Every problem of a dataset, in the manifest's order; an empty list means it can be used."""
    manifest = read_manifest(folder)
    first_with: dict[str, str] = {}
    problems: list[Problem] = []
    if not any(example.split == "train" for example in manifest.examples):
        problems.append(Problem(MANIFEST_NAME, "no example is in the train split"))
    for example in manifest.examples:
        problems.extend(_problems_of(folder, manifest, example))
        twin = first_with.setdefault(example.sha256, example.file)
        if twin != example.file:
            problems.append(Problem(example.file, f"has the same content as {twin}"))
    return problems


def _problems_of(folder: Path, manifest: DatasetManifest, example: Example) -> Iterator[Problem]:
    path = folder / example.file
    if not path.resolve().is_relative_to(folder.resolve()):
        yield Problem(example.file, "is a link that leads out of the dataset")
        return
    if not path.is_file():
        yield Problem(example.file, "is missing")
        return
    size, limit = path.stat().st_size, _byte_limit(manifest)
    if size > limit:
        yield Problem(example.file, f"is {size:,} bytes; at most {limit:,} are allowed")
        return
    if sha256_of(path) != example.sha256:
        yield Problem(example.file, "has changed: its SHA-256 is not the one in the manifest")
    for caption in (phrase for phrases in example.captions.values() for phrase in phrases):
        if not caption.strip() or len(caption) > MAX_CAPTION_CHARS:
            yield Problem(example.file, f"a caption must have 1 to {MAX_CAPTION_CHARS} characters")
    message = _content_problem(manifest, path)
    if message:
        yield Problem(example.file, message)


def _byte_limit(manifest: DatasetManifest) -> int:
    return MAX_PICTURE_BYTES if manifest.modality == "image" else MAX_TEXT_BYTES


def _content_problem(manifest: DatasetManifest, path: Path) -> str | None:
    if manifest.modality == "image":
        return _picture_problem(path)
    if manifest.modality == "text":
        try:
            return None if path.read_text(encoding="utf-8").strip() else "is empty"
        except UnicodeDecodeError:
            return "is not UTF-8 text"
    return None


def _picture_problem(path: Path) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    return f"has {width} x {height} pixels; at most {MAX_PIXELS:,} are allowed"
                picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        return f"cannot be decoded as a picture ({error})"
    return None
