"""Checking a dataset, example by example, as a stranger's files. No torch: people do it at a desk.

Bounded reads, bounded decoding, and a problem in words for each example that cannot be used, so
that a broken upload never stops a training at night. An error makes an example unusable; a warning
(a near-duplicate, no caption) is worth a look.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageOps

from trainer.contract import MANIFEST_NAME, DatasetManifest, Example, Modality
from trainer.data.likeness import Likeness, fingerprint
from trainer.data.manifests import read_manifest, sha256_of

MAX_BYTES: dict[Modality, int] = {
    "image": 20 * 2**20,
    "audio": 64 * 2**20,
    "text": 256 * 2**20,
}
MAX_PIXELS = 16_777_216  # 4096 x 4096
MAX_SOUND_S = 600.0
MAX_CAPTION_CHARS = 500

Kind = Literal[
    "missing", "outside", "oversized", "changed", "caption", "broken", "duplicate", "similar"
]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one example cannot be used, or should be looked at, in words."""

    file: str
    message: str
    kind: Kind
    severity: Literal["error", "warning"] = "error"

    def facts(self) -> dict[str, str]:
        """For an event: all but the words."""
        return {"file": self.file, "kind": self.kind, "severity": self.severity}


def check(folder: Path, progress: OnProgress | None = None) -> list[Problem]:
    """Every problem of a dataset, in the manifest's order; an empty list means it can be used."""
    manifest = read_manifest(folder)
    first_with: dict[str, str] = {}
    alike = Likeness()
    problems: list[Problem] = []
    if not any(example.split == "train" for example in manifest.examples):
        problems.append(Problem(MANIFEST_NAME, "no example is in the train split", "missing"))
    for done, example in enumerate(manifest.examples, start=1):
        found = list(_problems_of(folder, manifest, example))
        twin = first_with.setdefault(example.sha256, example.file)
        if twin != example.file:
            found.append(Problem(example.file, f"has the same content as {twin}", "duplicate"))
        elif manifest.modality == "image" and not any(p.severity == "error" for p in found):
            other = alike.add(example.file, fingerprint(folder / example.file))
            if other is not None:
                words = f"looks the same as {other}"
                found.append(Problem(example.file, words, "similar", "warning"))
        problems += found
        if progress is not None:
            progress(done, len(manifest.examples))
    return problems


def _problems_of(folder: Path, manifest: DatasetManifest, example: Example) -> Iterator[Problem]:
    path, file = folder / example.file, example.file
    if not path.resolve().is_relative_to(folder.resolve()):
        yield Problem(file, "is a link that leads out of the dataset", "outside")
        return
    if not path.is_file():
        yield Problem(file, "is missing", "missing")
        return
    size, limit = path.stat().st_size, MAX_BYTES[manifest.modality]
    if size > limit:
        yield Problem(file, f"is {size:,} bytes; at most {limit:,} are allowed", "oversized")
        return
    if sha256_of(path) != example.sha256:
        words = "has changed: its SHA-256 is not the one in the manifest"
        yield Problem(file, words, "changed")
    phrases = [phrase for phrases in example.captions.values() for phrase in phrases]
    if any(not phrase.strip() or len(phrase) > MAX_CAPTION_CHARS for phrase in phrases):
        words = f"a caption must have 1 to {MAX_CAPTION_CHARS} characters"
        yield Problem(file, words, "caption")
    if not phrases and manifest.modality != "text":
        yield Problem(file, "has no caption: no words will lead to it", "caption", "warning")
    unusable = content_problem(manifest.modality, path)
    if unusable is not None:
        yield Problem(file, *unusable)


def content_problem(modality: Modality, path: Path) -> tuple[str, Kind] | None:
    """Why the content of a file of acceptable size cannot be used, or None."""
    if modality == "image":
        return _picture_problem(path)
    if modality == "audio":
        return _sound_problem(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8 text", "broken"
    return None if text.strip() else ("is empty", "broken")


def _picture_problem(path: Path) -> tuple[str, Kind] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    many = f"has {width} x {height} pixels; at most {MAX_PIXELS:,} are allowed"
                    return many, "oversized"
                ImageOps.exif_transpose(picture).load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        return f"cannot be decoded as a picture ({error})", "broken"
    return None


def _sound_problem(path: Path) -> tuple[str, Kind] | None:
    import soundfile  # a library of the extra `train`, needed for sounds alone

    try:
        with soundfile.SoundFile(path) as sound:
            seconds = sound.frames / sound.samplerate
            if seconds > MAX_SOUND_S:
                many = f"lasts {seconds:,.0f} s; at most {MAX_SOUND_S:,.0f} are allowed"
                return many, "oversized"
            heard = sum(len(block) for block in sound.blocks(blocksize=65_536))
    except (OSError, RuntimeError) as error:
        return f"cannot be decoded as a sound ({error})", "broken"
    return None if heard else ("is empty", "broken")
