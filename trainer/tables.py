"""A CSV file that grows while a run goes on and survives a kill in the middle of a row."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

Row = dict[str, str]


class Table:
    """Rows of named columns in one file; used by `trainer.journal`."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self._path = path
        self._columns = columns

    def begin(self, keep: Callable[[Row], bool]) -> None:
        """Write the header, and those rows of before that are to be kept."""
        rows = [row for row in self.rows() if keep(row)]
        temporary = self._path.with_name(f".{self._path.name}.new")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self._path)

    def rows(self) -> list[Row]:
        """Every whole row so far; a kill may have cut the last one short."""
        if not self._path.is_file():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            lines = file.read()
        whole = lines[: lines.rfind("\n") + 1].splitlines()
        return [
            row for row in csv.DictReader(whole) if None not in row and None not in row.values()
        ]

    def add(self, **values: float | str) -> None:
        """Append one row."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow(values)
