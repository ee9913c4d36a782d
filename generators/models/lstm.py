"""Text from text with a small LSTM language model: the family of before the transformer. Torch.

A step costs the same however long the text has become, and a request's memory is one column of
numbers; what it has read a few dozen words ago it has forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from generators.contract import BadRequest, Generated, GenerateRequest, OnStep
from generators.nn.lstm import LstmNet, State, load_net
from generators.registry import ModelEntry
from generators.runtime import Runtime, tensors_bytes
from generators.weights import WeightsError
from generators.writing.memories import tolerance
from generators.writing.rows import Reader
from generators.writing.session import TextSession, write_together


class StateMemory:
    """A `writing.memories.Memory`: what an LSTM remembers is one column of numbers for each row."""

    joins = True

    def __init__(self, net: LstmNet) -> None:
        self._net = net
        self._device = net.embedding.weight.device
        shape = (net.config.layers, 0, net.config.hidden)
        empty = torch.zeros(shape, device=self._device, dtype=net.embedding.weight.dtype)
        self._state: State = (empty, empty)

    def add(self, texts: Sequence[Sequence[int]]) -> Tensor:
        read = [self._read(torch.tensor([list(text)]), None) for text in texts]
        hidden, memory = zip(self._state, *(state for _, state in read), strict=True)
        self._state = (torch.cat(hidden, dim=1), torch.cat(memory, dim=1))
        return torch.cat([scores for scores, _ in read])

    def advance(self, tokens: Tensor) -> Tensor:
        scores, self._state = self._read(tokens[:, None], self._state)
        return scores

    def keep(self, order: Sequence[int]) -> None:
        kept = torch.tensor(order, dtype=torch.int64, device=self._device)
        self._state = (self._state[0][:, kept], self._state[1][:, kept])

    def _read(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        features, after = self._net(tokens.to(self._device), state)
        return self._net.scores(features[:, -1]).float(), after


class Model:
    """A loaded LSTM and its tokenizer; manifest `limits` are those of `writing.rows.Reader`.

    It reads the last `context` tokens of a prompt, as many as its rows had in training, and writes
    on from there without looking back.
    """

    libraries = ("torch", "transformers", "tokenizers")

    def __init__(self, net: LstmNet, tokenizer: Any, entry: ModelEntry) -> None:
        self.net, self.tokenizer = net, tokenizer
        self.memory_bytes = tensors_bytes([net])
        ends = frozenset(t for t in (tokenizer.eos_token_id,) if t is not None)
        self._reader = Reader(tokenizer, entry, net.config.context, ends, endless=True)

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder. Raises WeightsError for a hub id or another family's."""
        if entry.folder is None:
            raise WeightsError("lstm weights are a folder that the trainer has written")
        tokenizer = AutoTokenizer.from_pretrained(entry.folder)
        net = load_net(entry.folder).to(runtime.device, runtime.dtype_for(entry))
        return cls(net.eval(), tokenizer, entry)

    @property
    def tolerance(self) -> str:
        """How far company may change a text, for receipts."""
        return tolerance(self.net.embedding.weight.dtype)

    def open(self, max_items: int) -> TextSession:
        """See `contract.ContinuousModel`."""
        return TextSession(self._reader, StateMemory(self.net), max_items)

    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Write all texts together; see `contract.Model`."""
        return write_together(self.open, requests, on_step)
