"""What the objectives that learn texts share: tokens, batches, sheets, held-out perplexity. Torch.

A subclass (`objectives/language_model.py`, `objectives/language_lstm.py`) makes its network and its
tokenizer, says what a continuation is and writes its folder. One special token, `<|end|>`, starts a
text, ends it and pads.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from generators.weights import WeightsManifest, write_manifest
from trainer.data import text
from trainer.evaluation import ngram
from trainer.objective import Batch, Card, Setting

END = "<|end|>"
SAMPLING = {"temperature": 0.75, "top_k": 40, "top_p": 0.95, "repetition_penalty": 1.1}
EVALUATION_TEXTS = 64  # at once
CHUNK = 512  # places whose scores lie in memory together: they stay in the cache


class TextSettings(BaseModel):
    """The `[settings]` that every objective for texts has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context: int = Field(default=96, ge=8, le=4096, description="tokens of a row")
    vocab_size: int = Field(default=6144, ge=300)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    baselines: bool = Field(default=False, description="also evaluate n-gram models, for scale")


class TextObjective(ABC):
    """The common half of `trainer.objective.Objective` for texts."""

    card: Card
    module: nn.Module
    """Its `forward({"inputs": (R, T), "targets": (R, T)})` is the mean of nats a token."""

    def __init__(self, setting: Setting, settings: TextSettings) -> None:
        self.setting, self.device, self._shared = setting, setting.device, settings
        lines = text.read_lines(setting.dataset, "train")
        held_out = text.read_lines(setting.dataset, "held_out")
        self.tokenizer = self._tokenizer(lines)
        self.end = int(self.tokenizer.eos_token_id)
        self.context = settings.context
        self.module = self._module().to(self.device)
        self.train, self.held_out = self._tokens(lines), self._tokens(held_out)
        self.dataset_size = len(self.train)
        self._baselines: dict[str, float] = {}

    @abstractmethod
    def _tokenizer(self, lines: list[text.Line]) -> Any:
        """The tokenizer, learned or given. Called first."""

    @abstractmethod
    def _module(self) -> nn.Module:
        """The network with its loss; may lower `context`. `tokenizer` and `end` are there."""

    @abstractmethod
    def _continued(self, ids: list[int]) -> list[int]:
        """The tokens with a sampled continuation, `context` at most; torch's generator is
        seeded."""

    def _tokens(self, lines: list[text.Line]) -> text.Tokens:
        flat = [alternative for line in lines for alternative in line.texts]
        encoded = (
            self.tokenizer.backend_tokenizer.encode_batch(flat, add_special_tokens=False)
            if flat
            else []
        )
        ids = iter([item.ids for item in encoded])
        entries = [[next(ids) for _ in line.texts] for line in lines]
        return text.Tokens(entries, [line.weight for line in lines])

    def batch(self, indices: list[int], seed: int) -> Batch:
        """Texts packed into rows: see `text.pack`."""
        rng = random.Random(seed)
        drawn = self.train.draw(indices, rng)
        inputs, targets = text.pack(drawn, self.context, self.end, rng)
        return {"inputs": inputs, "targets": targets}

    @torch.no_grad()
    def sample(self, folder: Path, name: str) -> Path:
        """A text file with one continuation of each of the recipe's prompts."""
        torch.manual_seed(0)
        written = []
        for prompt in self.setting.recipe.prompts or [""]:
            asked = self.tokenizer(prompt, add_special_tokens=False).input_ids
            ids = self._continued([self.end, *asked])
            written.append(self.tokenizer.decode(ids, skip_special_tokens=True))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.txt"
        path.write_text("\n".join(written) + "\n", encoding="utf-8")
        return path

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """`perplexity` of held-out texts (first alternative, end token included) and baselines."""
        first = [alternatives[0][: self.context - 1] for alternatives in self.held_out.entries]
        if not first:
            return {}
        ordered = sorted(first, key=len)
        nats, count = 0.0, 0
        for start in range(0, len(ordered), EVALUATION_TEXTS):
            chunk = ordered[start : start + EVALUATION_TEXTS]
            longest = len(chunk[-1]) + 1
            rows = [text.pack([ids], longest, self.end, random.Random(0)) for ids in chunk]
            inputs, targets = (torch.cat(part).to(self.device) for part in zip(*rows, strict=True))
            tokens = int((targets != text.IGNORED).sum())
            nats += float(self.module({"inputs": inputs, "targets": targets})) * tokens
            count += tokens
        figures = {"perplexity": math.exp(nats / count), "held_out_tokens": float(count)}
        if self._shared.baselines and not self._baselines:  # the same at every look
            train = [ids for alternatives in self.train.entries for ids in alternatives]
            self._baselines = ngram.perplexities(train, first, self.end, len(self.tokenizer))
        return figures | self._baselines

    def _save_tokenizer(self, folder: Path) -> None:
        """Beside the weights, without the library's notes on where it was loaded from."""
        for note in ("is_local", "local_files_only", "name_or_path"):
            self.tokenizer.init_kwargs.pop(note, None)
        self.tokenizer.save_pretrained(folder)

    def _write_manifest(self, folder: Path, generator: str, figures: dict[str, float]) -> None:
        """`atelier.json`, from the recipe and the dataset."""
        recipe, dataset = self.setting.recipe, self.setting.manifest
        manifest = WeightsManifest(
            generator=generator,
            summary=recipe.about
            or {
                "en": f"Writes in the manner of {dataset.name}.",
                "zh": f"以 {dataset.name} 的方式写作。",
            },
            licence=dataset.licence,
            defaults={**SAMPLING, "max_new_tokens": 64, **recipe.defaults},
            limits=recipe.limits,
            figures={name: round(value, 3) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)


def mean_cross_entropy(
    features: Tensor, head: Callable[[Tensor], Tensor], targets: Tensor
) -> Tensor:
    """Mean nats of `targets` (N,) under `head(features)`; features (N, D), scores (N, V).

    Places without a target are dropped first, and the scores are made `CHUNK` places at a time: on
    a CPU twice as fast as in one piece, since a chunk does not leave the cache.
    """
    places = (targets != text.IGNORED).nonzero().squeeze(1)
    features, targets = features[places], targets[places]
    total = torch.zeros((), device=features.device)
    for some, wanted in zip(torch.split(features, CHUNK), torch.split(targets, CHUNK), strict=True):
        total = total + F.cross_entropy(head(some).float(), wanted, reduction="sum")
    return total / max(1, len(places))


def train_tokenizer(
    lines: list[text.Line], vocab_size: int, context: int
) -> PreTrainedTokenizerFast:
    """Byte-level BPE learned on at most two alternatives of each text; token 0 is the end."""
    learner = Tokenizer(BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    learner.train_from_iterator(
        (alternative for line in lines for alternative in line.texts[:2]),
        BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=[END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    # Every text the model saw began with the end token: whoever tokenizes a prompt gets it too.
    end = (END, learner.token_to_id(END))
    learner.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", pair=f"{END} $A $B", special_tokens=[end]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=learner,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        padding_side="left",  # so that a batch of prompts goes on at its right end
    )
