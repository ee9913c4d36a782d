"""Text from text with any causal language model of transformers: a folder or a hub id. Torch.

GPT-2, Llama, Qwen and their kin are written with by `generators.writing`: requests share the
network step by step, each joining and leaving when it likes. Networks with sliding windows,
recurrent states or other odd caches are served too, but a request that comes while others are
being written waits for them (`writing.memories.BatchMemory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from generators.contract import BadRequest, Generated, GenerateRequest, OnStep
from generators.nn import language_models
from generators.nn.adapters import AdapterSlots, LanguageModelHost
from generators.registry import ModelEntry
from generators.runtime import Runtime, tensors_bytes
from generators.writing.memories import Network, tolerance
from generators.writing.rows import Reader
from generators.writing.session import TextSession, write_together

MAX_CONTEXT = 8192  # a cache for more would not fit beside other models


class Model:
    """A loaded language model and its tokenizer.

    Manifest `limits` it understands: `context` (tokens), and those of `writing.rows.Reader`.
    """

    libraries = ("torch", "transformers", "tokenizers")

    def __init__(self, net: Any, tokenizer: Any, entry: ModelEntry) -> None:
        self.net, self.tokenizer = net, tokenizer
        self.adapters = AdapterSlots(LanguageModelHost(net))
        longest = getattr(net.config, "max_position_embeddings", None) or MAX_CONTEXT
        context = min(int(entry.limits.get("context", longest)), longest, MAX_CONTEXT)
        self._reader = Reader(tokenizer, entry, context, _end_tokens(net, tokenizer))
        self._network = Network(net)

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder or hub id: safetensors only, pinned, no code from there."""
        return cls(*language_models.load(entry, runtime), entry)

    @property
    def memory_bytes(self) -> int:
        """What the network takes, adapters included."""
        return tensors_bytes([self.net])

    @property
    def tolerance(self) -> str:
        """How far company may change a text, for receipts."""
        return tolerance(self.net.dtype)

    def open(self, max_items: int) -> TextSession:
        """See `contract.ContinuousModel`."""
        return TextSession(self._reader, self._network.memory(), max_items)

    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Write all texts together; see `contract.Model`."""
        return write_together(self.open, requests, on_step)


def _end_tokens(net: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text, as the weights' generation settings or the tokenizer say."""
    configured = getattr(net.generation_config, "eos_token_id", None)
    configured = configured if isinstance(configured, list) else [configured]
    return frozenset(t for t in (*configured, tokenizer.eos_token_id) if t is not None)
