"""Next-token prediction with a small GPT-2 (Radford et al., 2019) and a tokenizer of its own.

transformers' own classes, so that `AutoModelForCausalLM` and `AutoTokenizer` load the exported
folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
)

from trainer.data import text
from trainer.export import save_half
from trainer.initial import refuse_other_shape
from trainer.language import (
    SAMPLING,
    TextObjective,
    TextSettings,
    mean_cross_entropy,
    train_tokenizer,
)
from trainer.objective import Batch, Card, Setting

CARD = Card(
    title="A small GPT-2",
    usage="""from transformers import pipeline

write = pipeline("text-generation", "path/to/this/folder")
print(write("space pirate (", return_full_text=True)[0]["generated_text"])""",
    limits="It has the form of its texts, not their knowledge: what it says about the world is "
    "invented. It knows texts of a few dozen words, in the languages of its data.",
)


class Settings(TextSettings):
    """The `[settings]` of a recipe with `objective = "language_model"`."""

    layers: int = Field(default=6, ge=1, le=48)
    width: int = Field(default=256, ge=16)
    heads: int = Field(default=4, ge=1)

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
        features = self.model.base_model(
            inputs, attention_mask=torch.ones_like(inputs), use_cache=False
        ).last_hidden_state  # (R, T, D)
        return mean_cross_entropy(
            features.flatten(0, 1), self.model.get_output_embeddings(), batch["targets"].flatten()
        )


class Objective(TextObjective):
    """See `trainer.objective.Objective`."""

    card = CARD
    init_from = frozenset({"gpt2"})

    def __init__(self, setting: Setting) -> None:
        self.settings = Settings.model_validate(setting.recipe.settings)
        super().__init__(setting, self.settings)

    def adaptable(self) -> dict[str, nn.Module]:
        """What a LoRA may change; see `trainer.adapters`."""
        return {"model": self.module.model}

    def _tokenizer(self, lines: list[text.Line]) -> Any:
        if self.setting.init is not None:
            return AutoTokenizer.from_pretrained(self.setting.init)
        return train_tokenizer(lines, self.settings.vocab_size, self.settings.context)

    def _module(self) -> NextToken:
        init = self.setting.init
        if init is not None:
            model = AutoModelForCausalLM.from_pretrained(
                init, dtype=torch.float32, attn_implementation="eager"
            )
            found = {
                "layers": model.config.num_hidden_layers,
                "width": model.config.hidden_size,
                "heads": model.config.num_attention_heads,
            }
            refuse_other_shape(self.settings, found, init)
        else:
            model = make_model(self.settings, len(self.tokenizer))
        self.context = min(self.context, int(model.config.max_position_embeddings))
        return NextToken(model)

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """The matrices of the blocks; not the word table (also the head) and the positions."""
        return ".h." in name

    def _continued(self, ids: list[int]) -> list[int]:
        given = torch.tensor([ids], device=self.device)
        answer = self.module.model.generate(
            given,
            attention_mask=torch.ones_like(given),
            generation_config=self._generation(max_length=self.context),
        )
        written: list[int] = answer[0].tolist()
        return written

    def _generation(self, **limits: int) -> GenerationConfig:
        return GenerationConfig(
            **limits,
            do_sample=True,
            **SAMPLING,
            bos_token_id=self.end,
            eos_token_id=self.end,
            pad_token_id=self.end,
        )

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """A transformers folder in float16: model, tokenizer, generation config, `atelier.json`."""
        model = self.module.model
        model.generation_config = self._generation()
        save_half(model, folder)
        self._save_tokenizer(folder)
        self._write_manifest(folder, "gpt2", figures)


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
