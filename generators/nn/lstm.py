"""The network of the LSTM family: after Merity et al., "Regularizing and optimizing LSTM language
models" (2018), with tied embeddings and dropout masks that stay the same for a whole row. Torch.

It is small because the word table is narrow: the cells are wider, and a linear layer leads back to
the table's width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from generators.nn import folders

State = tuple[Tensor, Tensor]
"""(hidden, cell), each (L, B, H): all that an LSTM remembers of its rows."""


class LstmConfig(BaseModel):
    """What `config.json` holds: all that the network is made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_type: str = Field(default="atelier_lstm", pattern="^atelier_lstm$")
    vocab_size: int = Field(ge=2)
    width: int = Field(ge=1, description="of the word table, used at both ends")
    hidden: int = Field(ge=1, description="of the cells")
    layers: int = Field(ge=1, le=8)
    context: int = Field(default=96, ge=8, description="tokens of the rows it was trained on")


class LstmNet(nn.Module):
    """Tokens in, scores of the next token out."""

    def __init__(self, config: LstmConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config, self.dropout = config, dropout
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.cells = nn.ModuleList(
            nn.LSTM(config.width if layer == 0 else config.hidden, config.hidden, batch_first=True)
            for layer in range(config.layers)
        )
        self.narrow = nn.Linear(config.hidden, config.width)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)
        for cell in self.cells:
            # Remember at first (Jozefowicz et al., 2015): the second quarter is the forget gate.
            nn.init.ones_(cell.bias_hh_l0.data[config.hidden : 2 * config.hidden])

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Features (B, T, width), to be scored by `scores`, and the state after the last token.

        tokens (B, T) int64; without a state, rows begin.
        """
        features = self._locked_dropout(self.embedding(tokens))
        hidden: list[Tensor] = []
        memory: list[Tensor] = []
        for layer, cell in enumerate(self.cells):
            before = None if state is None else (state[0][layer, None], state[1][layer, None])
            output, (last, kept) = cell(features, before)
            features = self._locked_dropout(output if layer == 0 else features + output)
            hidden.append(last)
            memory.append(kept)
        return self.narrow(features), (torch.cat(hidden), torch.cat(memory))

    def scores(self, features: Tensor) -> Tensor:
        """Logits (..., V) of features (..., width): the word table once more."""
        return nn.functional.linear(features, self.embedding.weight, self.bias)

    def _locked_dropout(self, features: Tensor) -> Tensor:
        """One mask for all steps of a row (Gal & Ghahramani, 2016)."""
        if not self.training or not self.dropout:
            return features
        mask = torch.empty_like(features[:, :1]).bernoulli_(1 - self.dropout)
        return features * mask / (1 - self.dropout)


def save_net(net: LstmNet, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` (float16) into the folder."""
    folders.save(net, net.config.model_dump(), folder)


def load_net(folder: Path, dropout: float = 0.0) -> LstmNet:
    """The network of a folder, in float32. Raises WeightsError where the folder holds none."""
    net = LstmNet(LstmConfig.model_validate(folders.read_config(folder)), dropout)
    folders.fill(net, folder)
    return net
