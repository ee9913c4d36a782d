"""What a network remembers of the rows it writes, so that a step reads one token only. Torch.

`RowMemory`: each row has a stretch of its own in a preallocated key-value cache of transformers'
`Cache` interface, so rows come and go at any step. `BatchMemory`: the library's own cache, which
models with sliding windows, recurrent states or other odd layers need; there, rows begin together
and newcomers wait until all have ended. The idea of batching by the step is Yu et al., "Orca: A
distributed serving system for transformer-based generative models" (OSDI 2022).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

_BLOCK = 64  # columns by which a cache grows
_EXACT_ATTENTION = {"sdpa", "eager"}  # implementations that take a ready-made mask


class Memory(Protocol):
    """Rows 0 ... B - 1 of a network. Scores are (B, V), float32."""

    joins: bool
    """Whether rows may be added while there are others."""

    def add(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Read these texts as new rows behind the others; scores of their next tokens, one row of
        scores for each text."""
        ...

    def advance(self, tokens: Tensor) -> Tensor:
        """Read one more token of each row, (B,) int64; scores of all next tokens."""
        ...

    def keep(self, order: Sequence[int]) -> None:
        """Let row i be what row `order[i]` was; rows that are not named are forgotten."""
        ...


def tolerance(dtype: torch.dtype) -> str:
    """What a receipt says of texts written in this format; nothing for float32."""
    if dtype == torch.float32:
        return ""
    bits = round(-math.log2(torch.finfo(dtype).eps)) + 1
    return f"scores have {bits} bits: in other company, a near tie between two tokens may turn"


class Network:
    """A causal language model of transformers, called with what it understands."""

    def __init__(self, net: Any) -> None:
        self.net, self.device = net, net.device
        self._accepted = inspect.signature(net.forward).parameters
        self._is_plain = self._has_plain_attention()

    def memory(self) -> Memory:
        """A new memory of the kind that suits the network."""
        return RowMemory(self) if self._is_plain else BatchMemory(self)

    def _has_plain_attention(self) -> bool:
        """Whether every layer sees all tokens before its own, wherever the caller says they are."""
        if not {"position_ids", "past_key_values", "attention_mask"} <= set(self._accepted):
            return False
        if getattr(self.net.config, "_attn_implementation", None) not in _EXACT_ATTENTION:
            return False
        layers = DynamicCache(config=self.net.config).layers
        return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)

    def scores(self, tokens: Tensor, positions: Tensor, mask: Tensor, cache: Cache) -> Tensor:
        """Scores of what follows the last column of `tokens` (B, T): (B, V), float32."""
        arguments: dict[str, Any] = {
            "input_ids": tokens,
            "attention_mask": mask,
            "position_ids": positions,
            "past_key_values": cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        output = self.net(**{k: v for k, v in arguments.items() if k in self._accepted})
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def read(self, texts: Sequence[Sequence[int]], cache: Cache) -> tuple[Tensor, Tensor]:
        """Read whole texts, padded on the left: (scores, mask (B, T) of what is no padding)."""
        longest = max(len(text) for text in texts)
        tokens = torch.tensor([[0] * (longest - len(text)) + list(text) for text in texts])
        mask = torch.tensor([[0] * (longest - len(t)) + [1] * len(t) for t in texts])
        mask = mask.to(self.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        return self.scores(tokens.to(self.device), positions, mask, cache), mask


class RowMemory:
    """Every row has its own stretch of columns, from 0 to its length, in one block of memory."""

    joins = True

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lengths = torch.zeros(0, dtype=torch.int64, device=network.device)  # (B,)
        self._columns = _Columns()
        layers = DynamicCache(config=network.net.config).layers
        self._layers = [_RowLayer(self._columns) for _ in layers]
        self._cache = Cache(layers=list(self._layers))
        self._dtype = network.net.dtype

    def add(self, texts: Sequence[Sequence[int]]) -> Tensor:
        read = DynamicCache(config=self._network.net.config)
        scores, _ = self._network.read(texts, read)
        known = len(self._lengths)
        lengths = torch.tensor([len(text) for text in texts], device=self._lengths.device)
        self._lengths = torch.cat([self._lengths, lengths])
        self._columns.place(self._lengths)
        for ours, theirs in zip(self._layers, read.layers, strict=True):
            ours.reserve(theirs.keys, len(self._lengths))
            for row, text in enumerate(texts, start=known):
                ours.write(row, theirs.keys[row - known], theirs.values[row - known], len(text))
        return scores

    def advance(self, tokens: Tensor) -> Tensor:
        positions = self._lengths  # the new token's column is the row's length so far
        self._lengths = positions + 1
        self._columns.place(self._lengths)
        columns = torch.arange(self._columns.longest, device=positions.device)
        unseen = columns > positions[:, None]  # (B, K)
        mask = torch.zeros_like(unseen, dtype=self._dtype)
        mask.masked_fill_(unseen, torch.finfo(self._dtype).min)
        return self._network.scores(
            tokens[:, None], positions[:, None], mask[:, None, None], self._cache
        )

    def keep(self, order: Sequence[int]) -> None:
        lengths = self._lengths.tolist()
        for layer in self._layers:
            for row, source in enumerate(order):
                if row != source:
                    layer.move(source, row, lengths[source])
        self._lengths = self._lengths[torch.tensor(order, dtype=torch.int64).to(self._lengths)]
        if order:
            self._columns.place(self._lengths)


class _Columns:
    """Where each row's newest token lies; the same in all layers."""

    def __init__(self) -> None:
        self.rows = self.newest = torch.zeros(0, dtype=torch.int64)
        self.longest = 0

    def place(self, lengths: Tensor) -> None:
        """Rows have become so long (B,)."""
        self.newest = lengths - 1
        if len(self.rows) != len(lengths):
            self.rows = torch.arange(len(lengths), device=lengths.device)
        self.longest = int(lengths.max())


class _RowLayer(CacheLayerMixin):
    """Keys and values of one layer: (rows, heads, columns, width), of which parts are in use."""

    def __init__(self, columns: _Columns) -> None:
        super().__init__()
        self._columns = columns

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Space for a first block; part of the library's interface."""
        self.reserve(key_states, key_states.shape[0])

    def reserve(self, like: Tensor, rows: int) -> None:
        """Have room for so many rows of the length that is needed now; grows by blocks."""
        columns = -(-self._columns.longest // _BLOCK) * _BLOCK
        held = (0, 0) if self.keys is None else (self.keys.shape[0], self.keys.shape[2])
        if rows <= held[0] and columns <= held[1]:
            return
        rows, columns = max(rows, held[0]), max(columns, held[1])
        for name in ("keys", "values"):
            old: Tensor | None = getattr(self, name)
            # Zeros: what lies behind a row's end is masked, but 0 * NaN would not be 0.
            new = like.new_zeros(rows, like.shape[1], columns, like.shape[3])
            if old is not None:
                new[: old.shape[0], :, : old.shape[2]] = old
            setattr(self, name, new)
        self.is_initialized = True

    def write(self, row: int, keys: Tensor, values: Tensor, length: int) -> None:
        """Fill a row with the last `length` columns of (heads, T, width)."""
        self.keys[row, :, :length] = keys[:, -length:]
        self.values[row, :, :length] = values[:, -length:]

    def move(self, source: int, row: int, length: int) -> None:
        """Let a row hold what another holds."""
        self.keys[row, :, :length] = self.keys[source, :, :length]
        self.values[row, :, :length] = self.values[source, :, :length]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Called by the network: take (B, heads, 1, width), give all that is there."""
        self.reserve(key_states, key_states.shape[0])
        rows, longest = self._columns.rows, self._columns.longest
        self.keys[rows, :, self._columns.newest] = key_states[:, :, 0]
        self.values[rows, :, self._columns.newest] = value_states[:, :, 0]
        return self.keys[: len(rows), :, :longest], self.values[: len(rows), :, :longest]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(length, offset) of what a mask must cover; part of the library's interface."""
        return self._columns.longest, 0

    def get_seq_length(self) -> int:
        """Tokens before the newest one; part of the library's interface."""
        return max(0, self._columns.longest - 1)

    def get_max_length(self) -> int:
        """No limit of its own; part of the library's interface."""
        return -1


class BatchMemory:
    """The library's own cache, for networks that are more than attention over all tokens."""

    joins = False

    def __init__(self, network: Network) -> None:
        self._network = network
        self._cache = DynamicCache(config=network.net.config)
        self._mask = torch.zeros(0, 0, dtype=torch.int64, device=network.device)  # (B, T)

    def add(self, texts: Sequence[Sequence[int]]) -> Tensor:
        self._cache = DynamicCache(config=self._network.net.config)
        scores, self._mask = self._network.read(texts, self._cache)
        return scores

    def advance(self, tokens: Tensor) -> Tensor:
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        positions = self._mask.sum(-1, keepdim=True) - 1
        return self._network.scores(tokens[:, None], positions, self._mask, self._cache)

    def keep(self, order: Sequence[int]) -> None:
        indices = torch.tensor(order, dtype=torch.int64, device=self._mask.device)
        self._mask = self._mask[indices]
        if order:
            self._cache.batch_select_indices(indices)
