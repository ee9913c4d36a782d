"""Texts: a dataset folder -> token ids in memory, and packed rows for any step.

A `.txt` file is one text. A `.jsonl` file holds one text a line, as a JSON string or as an object
`{"texts": [alternatives], "weight": share of epochs that show it}`: one alternative is drawn each
time. Texts are packed whole into rows, so that a step computes on little padding.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor

from trainer.contract import Split, TrainingError
from trainer.data.manifests import read_manifest

IGNORED = -100  # the target of a place that has none


class Line(BaseModel):
    """One line of a `.jsonl` file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    texts: list[str] = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0, le=1)


LINE: TypeAdapter[Line | str] = TypeAdapter(Line | str)


@dataclass(frozen=True, slots=True)
class Tokens:
    """One split of a text dataset: N entries, each with its alternatives as token ids."""

    entries: list[list[list[int]]]
    weights: list[float]

    def __len__(self) -> int:
        return len(self.entries)

    def draw(self, indices: Sequence[int], rng: random.Random) -> list[list[int]]:
        """One alternative of each entry; an entry of weight w is left out 1 - w of the times."""
        kept = [index for index in indices if rng.random() < self.weights[index]]
        return [rng.choice(self.entries[index]) for index in kept or indices]


def read_lines(folder: Path, split: Split) -> list[Line]:
    """The texts of one split. Raises TrainingError naming the file and line that is broken."""
    manifest = read_manifest(folder)
    if manifest.modality != "text":
        raise TrainingError(f"{folder} holds {manifest.modality}; this objective needs texts.")
    lines = [
        line
        for example in manifest.examples
        if example.split == split
        for line in _lines_of(folder / example.file)
    ]
    if not lines and split == "train":
        raise TrainingError(f"{folder} has no text in its train split.")
    return lines


def _lines_of(path: Path) -> Iterator[Line]:
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read as UTF-8 text: {error}") from error
    if path.suffix != ".jsonl":
        yield Line(texts=[content.strip()])
        return
    for number, row in enumerate(content.splitlines(), start=1):
        try:
            line = LINE.validate_python(json.loads(row))
        except (json.JSONDecodeError, ValidationError) as error:
            raise TrainingError(f"{path} line {number} is not a text: {error}") from error
        yield Line(texts=[line]) if isinstance(line, str) else line


def pack(
    texts: Sequence[Sequence[int]], row_tokens: int, end: int, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """Texts one after the other in rows: (R, T) input ids and targets, T = `row_tokens`.

    Every row starts with the end token, every text is followed by it; a text that does not fit the
    row opens the next one, and one longer than a row gives a window of itself. Targets are shifted
    by one, `IGNORED` where a row is empty.
    """
    rows: list[list[int]] = []
    for text in texts:
        piece = [*text, end]
        if len(piece) > row_tokens:
            start = rng.randrange(len(piece) - row_tokens + 1)
            piece = piece[start : start + row_tokens]
        if not rows or len(rows[-1]) + len(piece) > row_tokens + 1:
            rows.append([end])
        rows[-1].extend(piece)
    inputs = torch.full((len(rows), row_tokens), end)
    targets = torch.full((len(rows), row_tokens), IGNORED)
    for number, row in enumerate(rows):
        inputs[number, : len(row) - 1] = torch.tensor(row[:-1])
        targets[number, : len(row) - 1] = torch.tensor(row[1:])
    return inputs, targets
