"""Benchmarks report figures and ratios; they never fail for being slow.

Each compares with a named baseline measured in the same run, since machines differ and drift.
`make bench` prints the table.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

for _folder in (Path(__file__).parent, Path(__file__).parent.parent / "fixtures"):
    sys.path.insert(0, str(_folder))

ROWS = pytest.StashKey[list["Row"]]()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    figure: float
    unit: str
    baseline: str
    baseline_figure: float | None


class Report:
    """Collects rows for the table at the end."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def add(
        self,
        what: str,
        figure: float,
        unit: str,
        baseline: str = "",
        baseline_figure: float | None = None,
    ) -> None:
        """A figure, and the baseline it stands beside."""
        self._rows.append(Row(what, figure, unit, baseline, baseline_figure))


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Report:
    """Where figures go."""
    return Report(pytestconfig.stash[ROWS])


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    rows = config.stash[ROWS]
    if not rows:
        return
    terminalreporter.section("figures")
    for row in rows:
        line = f"{row.what:<58} {row.figure:>10.4g} {row.unit}"
        if row.baseline_figure:
            ratio = row.figure / row.baseline_figure
            line += f"   {ratio:.3g} x {row.baseline} ({row.baseline_figure:.4g})"
        terminalreporter.write_line(line)


def p50(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def p99(values: Sequence[float]) -> float:
    """The 99th percentile (the largest, of fewer than a hundred)."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
