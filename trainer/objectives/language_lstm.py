"""Next-token prediction with a small LSTM, after Merity et al. (2018).

No library has a class for it: the folder holds `config.json`, `model.safetensors` and a tokenizer
of the transformers library, and `generators.nn.lstm.load_net` reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import AutoTokenizer

from generators import sampling
from generators.nn.lstm import LstmConfig, LstmNet, load_net, save_net
from generators.weights import STARTER
from trainer.contract import TrainingError
from trainer.data import text
from trainer.language import (
    SAMPLING,
    TextObjective,
    TextSettings,
    mean_cross_entropy,
    train_tokenizer,
)
from trainer.objective import Batch, Card, Setting

CARD = Card(
    title="A small LSTM language model",
    usage="""from pathlib import Path
from transformers import AutoTokenizer
from generators.nn.lstm import load_net

folder = "path/to/this/folder"
net, tokenizer = load_net(Path(folder)).eval(), AutoTokenizer.from_pretrained(folder)
tokens = tokenizer("space pirate (", return_tensors="pt").input_ids
features, state = net(tokens)
print(tokenizer.decode(net.scores(features[0, -1]).topk(5).indices))  # what may come next""",
    limits="It has the form of its texts, not their knowledge: what it says about the world is "
    "invented. It forgets within a few dozen words what a transformer would still see.",
)


class Settings(TextSettings):
    """The `[settings]` of a recipe with `objective = "language_lstm"`."""

    width: int = Field(default=96, ge=8, description="of the word table")
    hidden: int = Field(default=184, ge=8, description="of the cells")
    layers: int = Field(default=2, ge=1, le=8)
    tokenizer: str = Field(
        default="",
        pattern="^[a-z0-9_]*$",
        description="starter weights whose tokenizer is taken; empty: one is learned",
    )


class NextToken(nn.Module):
    """The network with its loss."""

    def __init__(self, net: LstmNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> Tensor:
        """Mean cross-entropy, in nats a token, of `targets` (R, T) given `inputs` (R, T)."""
        features, _ = self.net(batch["inputs"])
        return mean_cross_entropy(
            features.flatten(0, 1), self.net.scores, batch["targets"].flatten()
        )


class Objective(TextObjective):
    """See `trainer.objective.Objective`."""

    card = CARD
    init_from = frozenset({"lstm"})

    def __init__(self, setting: Setting) -> None:
        self.settings = Settings.model_validate(setting.recipe.settings)
        super().__init__(setting, self.settings)

    def _tokenizer(self, lines: list[text.Line]) -> Any:
        if self.setting.init is not None:
            return AutoTokenizer.from_pretrained(self.setting.init)
        if not self.settings.tokenizer:
            return train_tokenizer(lines, self.settings.vocab_size, self.settings.context)
        folder = STARTER / self.settings.tokenizer
        if not (folder / "tokenizer.json").is_file():
            raise TrainingError(f"The starter {self.settings.tokenizer!r} has no tokenizer.")
        return AutoTokenizer.from_pretrained(folder)

    def _module(self) -> NextToken:
        if self.setting.init is not None:
            return NextToken(load_net(self.setting.init, self.settings.dropout))
        config = LstmConfig(
            vocab_size=len(self.tokenizer),
            width=self.settings.width,
            hidden=self.settings.hidden,
            layers=self.settings.layers,
            context=self.settings.context,
        )
        return NextToken(LstmNet(config, self.settings.dropout))

    def is_hidden(self, name: str, parameter: nn.Parameter) -> bool:
        """The matrices of the cells; not the word table (also the head) and what leads to it."""
        return ".cells." in name

    def _continued(self, ids: list[int]) -> list[int]:
        limits = {name: torch.tensor([value]) for name, value in SAMPLING.items()}
        state, unread, written = None, ids, list(ids)
        while len(written) < self.context:
            features, state = self.module.net(torch.tensor([unread], device=self.device), state)
            logits = self.module.net.scores(features[:, -1]).float().cpu()
            logits = sampling.keep_likeliest(
                sampling.temper(logits, limits["temperature"]), limits["top_k"], limits["top_p"]
            )
            token = int(sampling.draw(logits, torch.rand(1)))
            if token == self.end:
                break
            written.append(token)
            unread = [token]
        return written

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """Network and tokenizer, and `atelier.json`."""
        save_net(self.module.net, folder)
        self._save_tokenizer(folder)
        self._write_manifest(folder, "lstm", figures)
