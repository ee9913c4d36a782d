"""N-gram language models to compare with: what counting alone achieves on the same tokens.

Unigram with add-one smoothing, and an interpolated Kneser-Ney trigram (Chen & Goodman, 1999,
"An empirical study of smoothing techniques for language modeling", section 4.1, one discount).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

DISCOUNT = 0.75


def perplexities(
    train: Sequence[Sequence[int]], held_out: Sequence[Sequence[int]], end: int, vocab_size: int
) -> dict[str, float]:
    """`unigram_perplexity` and `trigram_perplexity` of `held_out`, end tokens included."""
    trigrams = Counter(gram for text in train for gram in _grams(text, end))
    unigrams: Counter[int] = Counter()
    for (_, _, word), count in trigrams.items():
        unigrams[word] += count
    model = KneserNey(trigrams, vocab_size)
    total = sum(unigrams.values())
    unigram_nats = trigram_nats = 0.0
    tokens = 0
    for text in held_out:
        for gram in _grams(text, end):
            unigram_nats -= math.log((unigrams[gram[2]] + 1) / (total + vocab_size))
            trigram_nats -= math.log(model.probability(*gram))
            tokens += 1
    return {
        "unigram_perplexity": math.exp(unigram_nats / tokens),
        "trigram_perplexity": math.exp(trigram_nats / tokens),
    }


def _grams(text: Sequence[int], end: int) -> Iterator[tuple[int, int, int]]:
    padded = [end, end, *text, end]
    return zip(padded, padded[1:], padded[2:], strict=False)


class KneserNey:
    """An interpolated Kneser-Ney trigram from trigram counts."""

    def __init__(self, trigrams: Counter[tuple[int, int, int]], vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._trigrams = trigrams
        self._after_pair: Counter[tuple[int, int]] = Counter()  # tokens
        self._kinds_after_pair: Counter[tuple[int, int]] = Counter()
        pairs: Counter[tuple[int, int]] = Counter()  # different words before the pair
        for (first, second, third), count in trigrams.items():
            self._after_pair[first, second] += count
            self._kinds_after_pair[first, second] += 1
            pairs[second, third] += 1
        self._pairs = pairs
        self._after_word: Counter[int] = Counter()
        self._kinds_after_word: Counter[int] = Counter()
        self._words: Counter[int] = Counter()  # different words before the word
        for (second, third), count in pairs.items():
            self._after_word[second] += count
            self._kinds_after_word[second] += 1
            self._words[third] += 1

    def probability(self, first: int, second: int, third: int) -> float:
        """P(third | first second); sums to 1 over the vocabulary."""
        lower = self._given_word(second, third)
        total = self._after_pair[first, second]
        if not total:
            return lower
        own = max(self._trigrams[first, second, third] - DISCOUNT, 0)
        return (own + DISCOUNT * self._kinds_after_pair[first, second] * lower) / total

    def _given_word(self, second: int, third: int) -> float:
        lower = self._alone(third)
        total = self._after_word[second]
        if not total:
            return lower
        own = max(self._pairs[second, third] - DISCOUNT, 0)
        return (own + DISCOUNT * self._kinds_after_word[second] * lower) / total

    def _alone(self, third: int) -> float:
        total = len(self._pairs)
        own = max(self._words[third] - DISCOUNT, 0)
        return (own + DISCOUNT * len(self._words) / self._vocab_size) / total
