"""Words to vectors by hashed character n-grams: a text encoder that forgives. Torch.

Every word is the sum of its own vector and those of its character n-grams (fastText: Bojanowski et
al., 2017, arXiv:1607.04606), looked up by hash in one small table (Weinberger et al., 2009,
arXiv:0902.2206). A plural or a misspelling shares most of its n-grams with the word it stands for,
and a word never met falls near those that look like it; no vocabulary has to be kept. Trained with
the net that reads it. Used by families whose recipes train in minutes: GAN, VAE, audio GAN.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

MAX_WORDS = 12  # of a prompt; what follows is not read
MAX_PIECES = 24  # of a word: itself and its n-grams
NGRAM_SIZES = (3, 4)
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+", re.UNICODE)


def split_words(text: str) -> list[str]:
    """Lower-case words without accents; a run of Chinese becomes its characters and their pairs,
    since nothing there says where a word ends."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    words: list[str] = []
    for match in _WORD.findall(unicodedata.normalize("NFKC", plain)):
        if re.match(rf"[{_CJK}]", match):
            words += [match[i : i + 2] for i in range(len(match) - 1)] or [match]
        else:
            words.append(match)
    return words


def pieces(word: str) -> Iterator[str]:
    """What a word is looked up by: itself, then its n-grams with marks at both ends.

    Pairs of Chinese characters are looked up by themselves and by each character.
    """
    yield f"<{word}>"
    if re.match(rf"[{_CJK}]", word):
        yield from word
        return
    marked = f"<{word}>"
    for size in NGRAM_SIZES:
        yield from (marked[i : i + size] for i in range(len(marked) - size + 1))


def word_ids(texts: Sequence[str], buckets: int) -> Tensor:
    """Table rows of each word's pieces: (B, MAX_WORDS, MAX_PIECES) int64 in [0, buckets].

    0 pads. The hash is CRC-32, which is the same everywhere and for ever.
    """
    ids = torch.zeros(len(texts), MAX_WORDS, MAX_PIECES, dtype=torch.long)
    for row, text in zip(ids, texts, strict=True):
        for place, word in zip(row, split_words(text), strict=False):
            found = list(dict.fromkeys(pieces(word)))[:MAX_PIECES]
            hashed = [1 + zlib.crc32(piece.encode()) % buckets for piece in found]
            place[: len(hashed)] = torch.tensor(hashed)
    return ids


class HashedWords(nn.Module):
    """The table and a transformer layer or two over the words.

    buckets: rows of the table (collisions are harmless while words have several pieces). A row is
    narrow (`table_width`) and widened by a matrix, so the table stays small.
    """

    def __init__(
        self, width: int = 128, buckets: int = 8192, table_width: int = 48, layers: int = 1
    ) -> None:
        super().__init__()
        self.buckets = buckets
        self.table = nn.Embedding(buckets + 1, table_width, padding_idx=0)
        nn.init.normal_(self.table.weight, std=table_width**-0.5)
        with torch.no_grad():
            self.table.weight[0].zero_()
        self.widen = nn.Linear(table_width, width)
        self.places = nn.Parameter(torch.zeros(MAX_WORDS, width))
        self.nothing = nn.Parameter(torch.zeros(width))  # stands for "no words at all"
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)

    def ids(self, texts: Sequence[str]) -> Tensor:
        """`word_ids` for this table."""
        return word_ids(texts, self.buckets)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ids (B, W, K) -> (pooled (B, D), words (B, W, D), mask (B, W) True where a word is).

        An empty text has one word, `nothing`, so that attention always has something to look at;
        its pooled vector is the unconditional one of classifier-free guidance.
        """
        known = ids > 0  # (B, W, K)
        mask = known.any(-1)  # (B, W)
        count = known.sum(-1, keepdim=True).clamp(min=1)
        x = self.widen(self.table(ids).sum(2) / count.sqrt())  # (B, W, D)
        empty = ~mask.any(1)
        first = torch.zeros_like(mask)
        first[:, 0] = empty
        x = torch.where(first[..., None], self.nothing.to(x.dtype), x) + self.places
        mask = mask | first
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~mask)
        x = self.norm(x) * mask[..., None]
        pooled = x.sum(1) / mask.sum(1, keepdim=True)
        return pooled, x, mask
