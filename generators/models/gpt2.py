"""Text from text with any causal language model of transformers: a folder or a hub id. Torch.

One decode loop serves our lexicon, GPT-2, Llama, Qwen and their kin. Rows of different requests
share a key-value cache: they are padded on the left, each has its own sampling settings and random
numbers, and they leave as soon as they end. A row's numbers depend on nothing but its own text.

Rule for long texts: a model sees the last `context` tokens at most. A prompt longer than the
context less the tokens to be written loses its beginning; a text that grows beyond the context goes
on with its second half in view.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.cache_utils import DynamicCache
from transformers.utils.logging import disable_progress_bar

from generators import media, sampling
from generators.contract import BadRequest, Generated, GenerateRequest, OnStep, Step
from generators.registry import ModelEntry
from generators.runtime import Every, Runtime, rng, tensors_bytes

TEXT_EVERY_S = 0.1
MAX_CONTEXT = 8192  # a cache for more would not fit beside other models
DEFAULTS = {
    "max_new_tokens": 128,
    "temperature": 0.9,
    "top_k": 50,
    "top_p": 0.95,
    "repetition_penalty": 1.0,
}
_WORD = r"[^\W\d_](?:[^\W\d_]|['’.\-](?=.*[^\W\d_]))*"
_HEADWORD = re.compile(rf"{_WORD}(?: {_WORD}){{0,2}}")  # one to three words, no sentence
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_NOTHING_TO_READ = (
    "There is nothing in this prompt that the model can read.",
    "提示词中没有模型能读懂的内容。",
)


@dataclass(slots=True, eq=False)
class _Row:
    """One text being written."""

    request: GenerateRequest
    settings: dict[str, Any]
    random: torch.Generator
    prompt: str
    prompt_decoded: str  # the prompt as its tokens spell it
    ids: list[int]  # prompt and what was written
    prompt_tokens: int
    window: int = 0  # the model sees ids[window:]
    done: bool = False

    @property
    def written(self) -> int:
        return len(self.ids) - self.prompt_tokens


class Model:
    """A loaded language model and its tokenizer.

    Manifest `limits` it understands: `context` (tokens), `headword_format` (a format with `{word}`
    that turns a bare word into the beginning of a dictionary entry), `reads` ("latin": prompts
    without a Latin letter are declined).
    """

    libraries = ("torch", "transformers", "tokenizers")

    def __init__(self, net: Any, tokenizer: Any, entry: ModelEntry) -> None:
        self.net, self.tokenizer, self.entry = net, tokenizer, entry
        self.memory_bytes = tensors_bytes([net])
        longest = getattr(net.config, "max_position_embeddings", None) or MAX_CONTEXT
        self.context = min(int(entry.limits.get("context", longest)), longest, MAX_CONTEXT)
        self._accepted = inspect.signature(net.forward).parameters
        self._ends = _end_tokens(net, tokenizer)

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder or hub id: safetensors only, pinned, no code from there."""
        disable_progress_bar()
        source = {"revision": entry.revision, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(entry.weights, **source)
        net = AutoModelForCausalLM.from_pretrained(
            entry.weights, dtype=runtime.dtype_for(entry), use_safetensors=True, **source
        )
        return cls(net.eval().to(runtime.device), tokenizer, entry)

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Write all texts together; see `contract.Model`."""
        problems: dict[str, BadRequest] = {}
        rows: list[_Row] = []
        for request in requests:
            try:
                rows += self._rows(request)
            except BadRequest as error:
                problems[request.job_id] = error
        if rows:
            _Decoding(self, rows, on_step).run()
        else:
            on_step(Step(1, 1))
        return [problems.get(request.job_id) or self._answer(request, rows) for request in requests]

    def _rows(self, request: GenerateRequest) -> list[_Row]:
        """A request's texts, ready to be gone on with. Raises BadRequest."""
        settings = self._settings(request.params)
        prompt = self._prompt(request.params.prompt)  # type: ignore[attr-defined]
        ids = self.tokenizer(prompt, add_special_tokens=True)["input_ids"]
        ids = ids or [token for token in (self.tokenizer.bos_token_id,) if token is not None]
        if not ids:
            raise BadRequest(*_NOTHING_TO_READ)
        room = self.context - min(settings["max_new_tokens"], self.context // 2)
        ids = ids[-room:]
        decoded = self._decoded(ids)
        return [
            _Row(request, settings, rng(seed), prompt, decoded, list(ids), len(ids))
            for seed in request.item_seeds()
        ]

    def _settings(self, params: Any) -> dict[str, Any]:
        asked = {name: getattr(params, name) for name in DEFAULTS}
        return {
            name: self.entry.defaults.get(name, DEFAULTS[name]) if value is None else value
            for name, value in asked.items()
        }

    def _prompt(self, text: str) -> str:
        """What the model is given to go on with. Raises BadRequest for what it cannot read."""
        cleaned = "".join(map(_visible, text))
        if self.entry.limits.get("reads") == "latin" and not _LATIN.search(cleaned):
            raise BadRequest(
                "This model reads English only; write a word or a beginning in it.",
                "这个模型只懂英文，请用英文写一个词或开头。",
            )
        if not cleaned.strip():
            raise BadRequest(*_NOTHING_TO_READ)
        word = cleaned.strip()
        form = self.entry.limits.get("headword_format")
        if form is not None and _HEADWORD.fullmatch(word):
            return str(form).replace("{word}", word)
        return cleaned.rstrip(" ")  # a trailing space would be a token of its own, seldom seen

    def _answer(self, request: GenerateRequest, rows: Sequence[_Row]) -> Generated:
        own = [row for row in rows if row.request is request]
        texts = [media.text(self.text(row, final=True)) for row in own]
        return Generated(texts, {**request.params.model_dump(), **own[0].settings})

    def text(self, row: _Row, *, final: bool = False) -> str:
        """Prompt and what was written so far. A letter whose bytes are not complete is left out."""
        # Decoded together: some tokenizers drop the space before the first token they are given.
        added = self._decoded(row.ids).removeprefix(row.prompt_decoded)
        addition = "".join(map(_visible, added)).rstrip("\ufffd")
        return (row.prompt + addition).rstrip() if final else row.prompt + addition

    def _decoded(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def ends(self, token: int) -> bool:
        """Whether this token ends a text."""
        return token in self._ends


@dataclass
class _Decoding:
    """The loop over one batch of rows: cache, step, choose, leave."""

    model: Model
    rows: list[_Row]
    on_step: OnStep
    _all: list[_Row] = field(init=False)
    _cache: Any = None
    _mask: Tensor | None = None  # (B, T) 1 where a token is, 0 where padding is
    _seen: Tensor | None = None  # (B, V), only where repetition is penalized
    _said: Every = field(default_factory=lambda: Every(TEXT_EVERY_S))

    def __post_init__(self) -> None:
        self._all = list(self.rows)
        self._device = self.model.net.device

    def run(self) -> None:
        """Write until every row has ended. Raises what `on_step` raises."""
        total = max(row.settings["max_new_tokens"] for row in self.rows)
        for step in range(1, total + 1):
            logits = self._next_logits()
            for row, token in zip(self.rows, self._choose(logits).tolist(), strict=True):
                row.ids.append(token)
                if self.model.ends(token):
                    row.ids.pop()
                    row.done = True
                elif row.written >= row.settings["max_new_tokens"]:
                    row.done = True
            left = [row for row in self.rows if not row.done]
            last = not left
            unwanted = self.on_step(
                Step(
                    total if last else step,
                    total,
                    texts=self._texts() if last or self._said.due() else {},
                    finished={} if last else self._finished(),
                )
            )
            if last:
                return
            self._keep([row for row in left if row.request.job_id not in unwanted])
            if not self.rows:
                self.on_step(Step(total, total))
                return

    def _next_logits(self) -> Tensor:
        """The model's scores for each row's next token: (B, V), float32."""
        full = any(len(row.ids) - row.window > self.model.context for row in self.rows)
        if self._cache is None or full:
            return self._begin()
        assert self._mask is not None  # noqa: S101 (set with the cache)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], dim=1)
        tokens = torch.tensor([[row.ids[-1]] for row in self.rows], device=self._device)
        positions = self._mask.sum(-1, keepdim=True) - 1
        return self._forward(tokens, positions)

    def _begin(self) -> Tensor:
        """Read every row from the start of its window. A row that has outgrown the context moves
        its window, by a rule that knows nothing of its neighbours."""
        for row in self.rows:
            if len(row.ids) - row.window > self.model.context:
                row.window = len(row.ids) - self.model.context // 2
        views = [row.ids[row.window :] for row in self.rows]
        longest = max(len(view) for view in views)
        tokens = torch.tensor([[0] * (longest - len(view)) + view for view in views])
        mask = torch.tensor([[0] * (longest - len(v)) + [1] * len(v) for v in views])
        self._mask = mask.to(self._device)
        self._cache = DynamicCache(config=self.model.net.config)
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
        return self._forward(tokens.to(self._device), positions)

    def _forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        arguments: dict[str, Any] = {
            "input_ids": tokens,  # (B, T)
            "attention_mask": self._mask,
            "position_ids": positions,
            "past_key_values": self._cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        accepted = self.model._accepted
        output = self.model.net(**{k: v for k, v in arguments.items() if k in accepted})
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _choose(self, logits: Tensor) -> Tensor:
        """One token per row: (B,)."""
        settings = [row.settings for row in self.rows]

        def column(name: str, dtype: torch.dtype) -> Tensor:
            values = [setting[name] for setting in settings]
            return torch.tensor(values, dtype=dtype, device=self._device)

        if any(setting["repetition_penalty"] != 1.0 for setting in settings):
            penalty = column("repetition_penalty", torch.float32)
            logits = sampling.penalize_repetition(logits, self._seen_tokens(logits), penalty)
        temperature = column("temperature", torch.float32)
        logits = sampling.keep_likeliest(
            sampling.temper(logits, temperature),
            column("top_k", torch.long),
            column("top_p", torch.float32),
        )
        uniform = torch.stack([torch.rand((), generator=row.random) for row in self.rows])
        drawn = sampling.draw(logits, uniform.to(self._device))
        return torch.where(temperature > 0, drawn, logits.argmax(-1))

    def _seen_tokens(self, logits: Tensor) -> Tensor:
        """Which tokens each row's text holds already: (B, V) bool."""
        if self._seen is None:
            self._seen = torch.zeros_like(logits, dtype=torch.bool)
            for index, row in enumerate(self.rows):
                self._seen[index, torch.tensor(row.ids, device=self._device)] = True
        latest = torch.tensor([[row.ids[-1]] for row in self.rows], device=self._device)
        return self._seen.scatter_(1, latest, True)

    def _keep(self, rows: list[_Row]) -> None:
        """Let the others leave: their part of the cache is dropped."""
        if len(rows) == len(self.rows) or not rows:
            self.rows = rows
            return
        kept = [index for index, row in enumerate(self.rows) if row in rows]
        indices = torch.tensor(kept, device=self._device)
        self._cache.batch_select_indices(indices)
        assert self._mask is not None  # noqa: S101 (set with the cache)
        self._mask = self._mask[indices]
        if self._seen is not None:
            self._seen = self._seen[indices]
        self.rows = rows

    def _texts(self) -> dict[str, str]:
        """By job, all its texts as they stand."""
        texts: dict[str, list[str]] = {}
        for row in self._all:
            texts.setdefault(row.request.job_id, []).append(self.model.text(row))
        return {job_id: "\n\n".join(parts) for job_id, parts in texts.items()}

    def _finished(self) -> dict[str, Generated]:
        """Results of jobs whose last row has just ended, while others go on."""
        ended = {row.request.job_id: row.request for row in self.rows if row.done}
        busy = {row.request.job_id for row in self.rows if not row.done}
        return {
            job_id: self.model._answer(request, self._all)
            for job_id, request in ended.items()
            if job_id not in busy
        }


def _visible(character: str) -> str:
    """The character, or nothing for one that has no place in a text (NUL, escape codes)."""
    return character if character.isprintable() or character in "\n\t" else ""


def _end_tokens(net: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text, as the weights' generation settings or the tokenizer say."""
    configured = getattr(net.generation_config, "eos_token_id", None)
    configured = configured if isinstance(configured, list) else [configured]
    return frozenset(t for t in (*configured, tokenizer.eos_token_id) if t is not None)
