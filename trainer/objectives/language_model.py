"""Next-token prediction with a small GPT-2 (Radford et al., 2019) and a tokenizer of its own.

transformers' own classes, so that `AutoModelForCausalLM` and `AutoTokenizer` load the exported
folder. One special token, `<|end|>`, starts a text, ends it and pads.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from generators.weights import WeightsManifest, write_manifest
from trainer.data import text
from trainer.evaluation import ngram
from trainer.export import save_half
from trainer.objective import Batch, Card, Setting

END = "<|end|>"
SAMPLING = {"temperature": 0.75, "top_k": 40, "top_p": 0.95, "repetition_penalty": 1.1}
EVALUATION_TEXTS = 64  # at once
CARD = Card(
    title="A small GPT-2",
    usage="""from transformers import pipeline

write = pipeline("text-generation", "path/to/this/folder")
print(write("space pirate (", return_full_text=True)[0]["generated_text"])""",
    limits="It has the form of its texts, not their knowledge: what it says about the world is "
    "invented. It knows texts of a few dozen words, in the languages of its data.",
)


class Settings(BaseModel):
    """The `[settings]` of a recipe with `objective = "language_model"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: int = Field(default=6, ge=1, le=48)
    width: int = Field(default=256, ge=16)
    heads: int = Field(default=4, ge=1)
    context: int = Field(default=96, ge=8, le=4096, description="tokens")
    vocab_size: int = Field(default=6144, ge=300)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    baselines: bool = Field(default=False, description="also evaluate n-gram models, for scale")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError("heads must divide width")
        return self


class NextToken(nn.Module):
    """The language model with its loss."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Mean cross-entropy, in nats a token, of `targets` (R, T) given `inputs` (R, T)."""
        inputs = batch["inputs"]
        logits = self.model(inputs, attention_mask=torch.ones_like(inputs)).logits  # (R, T, V)
        return F.cross_entropy(
            logits.flatten(0, 1).float(), batch["targets"].flatten(), ignore_index=text.IGNORED
        )


class Objective:
    """See `trainer.objective.Objective`."""

    card = CARD

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.settings = Settings.model_validate(setting.recipe.settings)
        self.device = setting.device
        lines = text.read_lines(setting.dataset, "train")
        held_out = text.read_lines(setting.dataset, "held_out")
        if setting.init is not None:
            self.tokenizer = AutoTokenizer.from_pretrained(setting.init)
            model = AutoModelForCausalLM.from_pretrained(
                setting.init, dtype=torch.float32, attn_implementation="eager"
            )
        else:
            self.tokenizer = train_tokenizer(lines, self.settings)
            model = make_model(self.settings, len(self.tokenizer))
        self.end = int(self.tokenizer.eos_token_id)
        self.context = min(self.settings.context, int(model.config.n_positions))
        self.train, self.held_out = self._tokens(lines), self._tokens(held_out)
        self.dataset_size = len(self.train)
        self.module = NextToken(model).to(self.device)

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

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """The matrices of the blocks; not the word table (also the head) and the positions."""
        return ".h." in name

    def batch(self, indices: list[int], seed: int) -> Batch:
        rng = random.Random(seed)
        drawn = self.train.draw(indices, rng)
        inputs, targets = text.pack(drawn, self.context, self.end, rng)
        return {"inputs": inputs, "targets": targets}

    @torch.no_grad()
    def sample(self, folder: Path, name: str) -> Path:
        """A text file with one continuation of each of the recipe's prompts."""
        torch.manual_seed(0)
        model, written = self.module.model, []
        for prompt in self.setting.recipe.prompts or [""]:
            asked = self.tokenizer(prompt, add_special_tokens=False).input_ids
            ids = torch.tensor([[self.end, *asked]], device=self.device)
            answer = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=self._generation(max_length=self.context),
            )
            written.append(self.tokenizer.decode(answer[0], skip_special_tokens=True))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.txt"
        path.write_text("\n".join(written) + "\n", encoding="utf-8")
        return path

    def _generation(self, **limits: int) -> GenerationConfig:
        return GenerationConfig(
            **limits,
            do_sample=True,
            **SAMPLING,
            bos_token_id=self.end,
            eos_token_id=self.end,
            pad_token_id=self.end,
        )

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
        if self.settings.baselines:
            train = [ids for alternatives in self.train.entries for ids in alternatives]
            figures |= ngram.perplexities(train, first, self.end, len(self.tokenizer))
        return figures

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """A transformers folder in float16: model, tokenizer, generation config, `atelier.json`."""
        model = self.module.model
        model.generation_config = self._generation()
        save_half(model, folder)
        self.tokenizer.save_pretrained(folder)
        manifest = WeightsManifest(
            generator="gpt2",
            summary=self.setting.recipe.about
            or {
                "en": f"Writes in the manner of {self.setting.manifest.name}.",
                "zh": f"以 {self.setting.manifest.name} 的方式写作。",
            },
            licence=self.setting.manifest.licence,
            defaults={**SAMPLING, "max_new_tokens": 64, **self.setting.recipe.defaults},
            limits=self.setting.recipe.limits,
            figures={name: round(value, 3) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)


def make_model(settings: Settings, vocab_size: int) -> GPT2LMHeadModel:
    """A fresh GPT-2 of the recipe's shape.

    Plain attention, not the fused kernel: at these lengths it trains faster on a CPU.
    """
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=settings.context,
        n_embd=settings.width,
        n_layer=settings.layers,
        n_head=settings.heads,
        resid_pdrop=settings.dropout,
        embd_pdrop=settings.dropout,
        attn_pdrop=settings.dropout,
        activation_function="gelu_pytorch_tanh",
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        attn_implementation="eager",
    )
    return GPT2LMHeadModel(config)


def train_tokenizer(lines: list[text.Line], settings: Settings) -> PreTrainedTokenizerFast:
    """Byte-level BPE learned on at most two alternatives of each text; token 0 is the end."""
    learner = Tokenizer(BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    learner.train_from_iterator(
        (alternative for line in lines for alternative in line.texts[:2]),
        BpeTrainer(
            vocab_size=settings.vocab_size,
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
    return PreTrainedTokenizerFast(
        tokenizer_object=learner,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=settings.context,
        clean_up_tokenization_spaces=False,
        padding_side="left",  # so that a batch of prompts goes on at its right end
    )
