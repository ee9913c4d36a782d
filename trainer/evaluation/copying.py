"""How much of a text was copied: the longest run of words that stands in a training text. NumPy."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(r"\w+|[^\w\s]")
END = 0  # between two training texts: no run crosses it


def words_of(text: str) -> list[str]:
    """Lower-case words and punctuation marks."""
    return _WORD.findall(text.casefold())


class Corpus:
    """Training texts as one row of word numbers, with an index of all pairs of words."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._numbers: dict[str, int] = {}
        row: list[int] = [END]
        for text in texts:
            for word in words_of(text):
                row.append(self._numbers.setdefault(word, len(self._numbers) + 1))
            row.append(END)
        self._row = np.array(row, dtype=np.int64)
        codes = self._code(self._row[:-1], self._row[1:])
        self._order = np.argsort(codes, kind="stable")
        self._sorted = codes[self._order]

    def _code(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first * (len(self._numbers) + 1) + second

    def longest_run(self, text: str) -> int:
        """Words of the longest stretch of `text` that stands in one training text; one word that
        is known counts 1."""
        numbers = np.array([self._numbers.get(word, -1) for word in words_of(text)])
        longest = int((numbers > 0).any())
        for start in range(len(numbers) - 1):
            if len(numbers) - start <= longest:
                break
            longest = max(longest, self._run_from(numbers[start:], longest))
        return longest

    def _run_from(self, numbers: np.ndarray, enough: int) -> int:
        """The longest run that begins with these numbers, 0 where it is no longer than `enough`."""
        if numbers[0] < 0 or numbers[1] < 0:
            return 0
        code = self._code(numbers[:1], numbers[1:2])[0]
        low, high = np.searchsorted(self._sorted, [code, code + 1])
        places = self._order[low:high]
        length = 2 if len(places) else 0
        while len(places) and length < len(numbers):
            inside = places[places + length < len(self._row)]
            places = inside[self._row[inside + length] == numbers[length]]
            length += 1 if len(places) else 0
        return length if length > enough else 0
