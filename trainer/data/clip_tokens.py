"""A small CLIP-style tokenizer of our own: lower case, byte-level BPE, any language, no unknowns.

The result is transformers' own `CLIPTokenizer`, so that a stock pipeline loads it. All 256 bytes
are in the vocabulary, inside a word and at its end, as in the original (Radford et al., 2021):
whatever a person types has tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
SUFFIX = "</w>"


def train_clip_tokenizer(texts: Iterable[str], vocab_size: int, max_tokens: int) -> CLIPTokenizer:
    """A tokenizer of at most `vocab_size` entries, padding and cutting to `max_tokens` tokens.

    Merges are learned on `texts` (counted as often as they occur, twice at least).
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *(char + SUFFIX for char in alphabet)]
    empty = CLIPTokenizer()
    learner = Tokenizer(BPE(end_of_word_suffix=SUFFIX))
    learner.normalizer = empty.backend_tokenizer.normalizer
    learner.pre_tokenizer = empty.backend_tokenizer.pre_tokenizer
    learner.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            initial_alphabet=alphabet,
            end_of_word_suffix=SUFFIX,
            show_progress=False,
        ),
    )
    learned = json.loads(learner.to_str())["model"]["merges"]
    merges = [(left, right) for left, right in learned][: vocab_size - len(pieces) - 2]
    names = dict.fromkeys([*pieces, *(left + right for left, right in merges), START, END])
    vocab = {name: number for number, name in enumerate(names)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=max_tokens)
