"""A plain folder becomes a dataset: a host's own pictures, texts or sounds, in one command.

Captions lie beside a file (`cat.png`, `cat.txt`: one phrase a line, the first is the full name) or
in one `captions.csv` with the columns file, caption and, if wanted, language. Without a caption a
file is called by its own name, if that has words in it. Every file is checked as `dataset check`
would; what cannot be used is left out and named. The folder itself is only read. No torch.
"""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.contract import DatasetManifest, Example, Modality, Split, TrainingError
from trainer.data.checking import MAX_BYTES, MAX_CAPTION_CHARS, Problem, content_problem
from trainer.data.manifests import sha256_of, split_of, write_manifest

SUFFIXES: dict[Modality, frozenset[str]] = {
    "image": frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"}),
    "audio": frozenset({".wav", ".flac", ".ogg", ".mp3"}),
    "text": frozenset({".txt", ".md"}),
}
CAPTIONS = "captions.csv"
PIECE_CHARS = 4000  # a longer text is cut at paragraphs, so that each part is drawn as often
HAN = re.compile(r"[\u4e00-\u9fff]")

Captions = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the host says about the examples."""

    name: str
    licence: str
    source: str = ""
    notice: str = ""
    modality: Modality | None = None  # None: what most files are
    held_out: float = 0.05  # share in [0, 0.5] kept to judge by


def import_folder(
    folder: Path, out: Path, wishes: Wishes, progress: Callable[[int, int], None]
) -> tuple[DatasetManifest, list[Problem]]:
    """Write a dataset into `out`; returns its manifest and what was left out, and why.

    Raises TrainingError where there is nothing to import or `out` already holds something.
    """
    if not folder.is_dir():
        raise TrainingError(f"There is no folder {folder}.")
    if out.exists() and any(out.iterdir()):
        raise TrainingError(f"{out} already holds something: choose a new folder for the dataset.")
    if not 0 <= wishes.held_out <= 0.5:
        raise TrainingError("The held-out share must lie between 0 and 0.5.")
    everything = sorted(path for path in folder.rglob("*") if path.is_file())
    modality = wishes.modality or _most(everything)
    files = [path for path in everything if path.suffix.lower() in SUFFIXES[modality]]
    if not files:
        raise TrainingError(f"{folder} holds nothing that can be read as {modality}.")
    captions = {} if modality == "text" else _captions(folder)
    intake = _Intake(folder, out, modality, captions)
    for done, path in enumerate(files, start=1):
        intake.take(path)
        progress(done, len(files))
    if not intake.examples:
        first = f"{intake.left_out[0].file} {intake.left_out[0].message}"
        raise TrainingError(f"No file of {folder} can be used: {first}.")
    manifest = DatasetManifest(
        name=wishes.name[:80],
        modality=modality,
        licence=wishes.licence,
        source=wishes.source,
        notice=wishes.notice,
        examples=hold_out(intake.examples, wishes.held_out),
    )
    write_manifest(out, manifest)
    return manifest, intake.left_out


def hold_out(examples: list[Example], share: float) -> list[Example]:
    """Split by content, so that the same file is on the same side in any later import.

    A small dataset may have no hash below the line: then the lowest one is held out, since a run
    that is judged by nothing is worth less than one example.
    """
    splits: dict[str, Split] = {e.sha256: split_of(e.sha256, share) for e in examples}
    if share > 0 and len(examples) > 4 and "held_out" not in splits.values():
        splits[min(splits)] = "held_out"
    if "train" not in splits.values():
        splits[max(splits)] = "train"
    return [example.model_copy(update={"split": splits[example.sha256]}) for example in examples]


class _Intake:
    """Takes files in one by one: checks, copies, captions."""

    def __init__(
        self, folder: Path, out: Path, modality: Modality, captions: dict[str, Captions]
    ) -> None:
        self.folder, self.out, self.modality, self.captions = folder, out, modality, captions
        self.examples: list[Example] = []
        self.left_out: list[Problem] = []
        self._first_with: dict[str, str] = {}

    def take(self, path: Path) -> None:
        file = path.relative_to(self.folder).as_posix()
        size, limit = path.stat().st_size, MAX_BYTES[self.modality]
        if size > limit:
            words = f"is {size:,} bytes; at most {limit:,} are allowed"
            self.left_out.append(Problem(file, words, "oversized"))
            return
        unusable = content_problem(self.modality, path)
        if unusable is not None:
            self.left_out.append(Problem(file, *unusable))
            return
        twin = self._first_with.setdefault(sha256_of(path), file)
        if twin != file:
            words = f"has the same content as {twin}"
            self.left_out.append(Problem(file, words, "duplicate", "warning"))
            return
        if self.modality == "text":
            self._take_text(path, file)
        else:
            self._take_with_captions(path, file)

    def _take_text(self, path: Path, file: str) -> None:
        pieces = list(paragraphs(path.read_text(encoding="utf-8"), PIECE_CHARS))
        for number, piece in enumerate(pieces, start=1):
            stem = file.rpartition(".")[0]
            name = file if len(pieces) == 1 else f"{stem}-{number:04d}.txt"
            target = self.out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(piece + "\n", encoding="utf-8")
            self._add(name, {})

    def _take_with_captions(self, path: Path, file: str) -> None:
        captions = self.captions.get(file) or _beside(path) or by_language(_words_of(path))
        long = [p for phrases in captions.values() for p in phrases if len(p) > MAX_CAPTION_CHARS]
        if long:
            words = f"has a caption of {len(long[0])} characters; at most {MAX_CAPTION_CHARS}"
            self.left_out.append(Problem(file, words, "caption"))
            return
        target = self.out / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        self._add(file, captions)

    def _add(self, file: str, captions: Captions) -> None:
        digest = sha256_of(self.out / file)
        self.examples.append(Example(file=file, sha256=digest, captions=captions))


def paragraphs(text: str, most: int) -> Iterator[str]:
    """The text in pieces of at most `most` characters, cut between paragraphs where it can be."""
    piece = ""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        for start in range(0, len(paragraph), most):
            part = paragraph[start : start + most].strip()
            if piece and len(piece) + len(part) + 2 > most:
                yield piece
                piece = ""
            piece = f"{piece}\n\n{part}" if piece else part
    if piece:
        yield piece


def by_language(phrases: list[str]) -> Captions:
    """Phrases by language: Chinese where there is a Chinese character, else English."""
    sorted_: Captions = {}
    for phrase in phrases:
        sorted_.setdefault("zh" if HAN.search(phrase) else "en", []).append(phrase)
    return sorted_


def _most(files: list[Path]) -> Modality:
    """What most files are; captions beside pictures and sounds are no texts."""
    count: Counter[Modality] = Counter()
    for modality, suffixes in SUFFIXES.items():
        count[modality] = sum(path.suffix.lower() in suffixes for path in files)
    if count["image"] or count["audio"]:
        return max(("image", "audio"), key=lambda modality: count[modality])
    return "text"


def _beside(path: Path) -> Captions:
    """The phrases of `cat.txt` for `cat.png`."""
    sidecar = path.with_suffix(".txt")
    if not sidecar.is_file():
        return {}
    try:
        lines = sidecar.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise TrainingError(f"{sidecar} is not UTF-8 text: {error}") from error
    return by_language([line.strip() for line in lines if line.strip()])


def _captions(folder: Path) -> dict[str, Captions]:
    """`captions.csv`: file -> captions. Raises TrainingError naming a file that is not there."""
    path = folder / CAPTIONS
    if not path.is_file():
        return {}
    found: dict[str, Captions] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"file", "caption"} <= set(rows.fieldnames or ()):
                raise TrainingError(f"{path} needs a first line with the columns file and caption.")
            for number, row in enumerate(rows, start=2):
                name, caption = (row["file"] or "").strip(), (row["caption"] or "").strip()
                if not (folder / name).is_file():
                    raise TrainingError(f"{path} line {number}: there is no file {name!r}.")
                language = (row.get("language") or "").strip()
                captions = {language: [caption]} if language else by_language([caption])
                for key, phrases in captions.items() if caption else ():
                    found.setdefault(name, {}).setdefault(key, []).extend(phrases)
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    return found


def _words_of(path: Path) -> list[str]:
    """`red_fox-2.png` -> ["red fox"]; nothing for `IMG_2041.jpg` and bare numbers."""
    if re.match(r"(?i)(img|dsc|dscn|pxl|image|photo|screenshot|untitled)?[\W_\d]*$", path.stem):
        return []
    words = re.sub(r"[\W_]+|\d+", " ", path.stem).split()
    return [" ".join(words)] if words else []
