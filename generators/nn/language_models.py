"""Causal language models of transformers: loading one from a folder or hub id, as it fits. Torch.

Used by `models.gpt2`. Safetensors only, pinned to a commit, no code from the weights. What is
larger than the GPU is spread over GPU and machine memory by accelerate's device map:
https://huggingface.co/docs/accelerate/usage_guides/big_modeling
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from generators import sizing
from generators.registry import ModelEntry
from generators.runtime import Runtime

log = structlog.get_logger(__name__)

_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_GPU_SHARE = 0.85  # of the free memory; the rest is for caches and computing


def load(entry: ModelEntry, runtime: Runtime) -> tuple[Any, Any]:
    """(network, tokenizer) of the entry, ready for use.

    Raises WeightsError with a sentence where no memory suffices.
    """
    disable_progress_bar()
    folder = str(entry.folder or _fetched(entry))
    dtype = runtime.dtype_for(entry)
    sizes = sizing.component_bytes(Path(folder), float_bytes=dtype.itemsize)
    placement = runtime.placement(entry, sizes)
    options: dict[str, Any] = {}
    if placement != "whole":
        options = {"device_map": "auto", "max_memory": _shares(runtime.device)}
        log.info("a model is larger than the device and is spread", placement=placement)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    net = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, **options
    ).eval()
    return net if options else net.to(runtime.device), tokenizer


def _shares(device: torch.device) -> dict[int | str, int]:
    free = torch.cuda.mem_get_info(device)[0]
    return {device.index or 0: int(_GPU_SHARE * free), "cpu": sizing.host_free_bytes()}


def _fetched(entry: ModelEntry) -> Path:
    """The hub model's files, at its commit, in the hub's own cache."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            entry.weights,
            revision=entry.revision,
            allow_patterns=_FILES,
            ignore_patterns=["*/*"],  # other formats lie in folders of their own
        )
    )
