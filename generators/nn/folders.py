"""A network of our own as a folder: `config.json` and `model.safetensors`, nothing executable.

The families whose classes no library has (super-resolution, GAN, VAE) are stored like this; who has
the class makes it from the config and fills it with the tensors.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from generators.weights import WeightsError

CONFIG_NAME = "config.json"
TENSORS_NAME = "model.safetensors"

Net = TypeVar("Net", bound=nn.Module)


def save(net: nn.Module, config: dict[str, Any], folder: Path) -> None:
    """Write the config, and the parameters and buffers in float16, into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
    tensors = {
        name: value.detach().cpu().contiguous().to(_stored_as(value))
        for name, value in net.state_dict().items()
    }
    save_file(tensors, folder / TENSORS_NAME)


def load(
    folder: Path,
    make: Callable[[dict[str, Any]], Net],
    kind: str,
    device: torch.device,
    dtype: torch.dtype,
) -> Net:
    """The net that `make(config)` gives, filled and ready for use.

    Raises WeightsError, with `kind` for what it should be, where the folder holds none.
    """
    try:
        net = make(read_config(folder))
    except TypeError as error:
        raise WeightsError(f"{folder} is no {kind}: {error}") from error
    fill(net, folder)
    return net.to(device=device, dtype=dtype).requires_grad_(False).eval()


def read_config(folder: Path) -> dict[str, Any]:
    """What the network is made from. Raises WeightsError where there is no readable config."""
    try:
        config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} holds no readable {CONFIG_NAME}") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{folder / CONFIG_NAME} is not an object")
    return config


def fill(net: nn.Module, folder: Path) -> None:
    """Copy the stored tensors into the network, in its own number format.

    Raises WeightsError where they are missing or made for another shape.
    """
    try:
        net.load_state_dict(load_file(folder / TENSORS_NAME))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsError(f"{folder / TENSORS_NAME} does not fit its config: {error}") from error


def _stored_as(value: torch.Tensor) -> torch.dtype:
    return torch.float16 if value.is_floating_point() else value.dtype
