"""How much memory weights take, and where they fit. No torch: safetensors begin with their shapes.

Asked before anything is loaded, so that a model too large is a sentence and not a killed process.
Format: https://huggingface.co/docs/safetensors (eight bytes of length, then a JSON header).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from generators.weights import WeightsError

Placement = Literal["whole", "components", "layers"]
"""All on the device; one component at a time (diffusers' model offload); one layer at a time."""

GIB = 2**30
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
_OTHERS = {"I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_MAX_HEADER_BYTES = 100 * 2**20
_ACTIVATIONS = 0.15  # what computing takes beside the weights, at least


def tensor_bytes(path: Path, float_bytes: int | None = None) -> int:
    """Memory of one safetensors file's tensors; floats as `float_bytes` each where that is given.

    Raises WeightsError where the file is cut short or is none.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MAX_HEADER_BYTES:
                raise ValueError("an impossible header")
            header = json.loads(file.read(length))
        total = 0
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            kind = tensor["dtype"]
            size = (float_bytes or _FLOATS[kind]) if kind in _FLOATS else _OTHERS.get(kind, 8)
            total += size * math.prod(tensor["shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is no whole safetensors file") from error
    return total


def component_bytes(folder: Path, float_bytes: int | None = None) -> dict[str, int]:
    """Memory of each part of a weights folder: of its subfolders for a pipeline, else of itself
    (under the name ``""``). Variants of the same tensors (`*.fp16.safetensors`) count once."""
    if not (folder / "model_index.json").is_file():
        return {"": _folder_bytes(folder.glob("*.safetensors"), float_bytes)}
    return {
        sub.name: size
        for sub in sorted(path for path in folder.iterdir() if path.is_dir())
        if (size := _folder_bytes(sub.glob("*.safetensors"), float_bytes))
    }


def place(
    name: str,
    sizes: Mapping[str, int],
    *,
    device_bytes: int | None,
    host_bytes: int,
    asked: str = "auto",
) -> Placement:
    """Where a model of these component sizes goes. `device_bytes` is None for a CPU.

    Raises WeightsError with a sentence where the machine cannot hold it at all.
    """
    total, largest = sum(sizes.values()), max(sizes.values(), default=0)
    if total > host_bytes:
        raise WeightsError(
            f"{name} needs {total / GIB:.1f} GiB of memory for its weights, but"
            f" {host_bytes / GIB:.1f} GiB are free; a smaller dtype (bfloat16) halves that"
        )
    if device_bytes is None:
        return "whole"
    if asked != "auto":
        return {"none": "whole", "model": "components", "sequential": "layers"}[asked]  # type: ignore[return-value]
    if total * (1 + _ACTIVATIONS) <= device_bytes:
        return "whole"
    return "components" if largest * (1 + _ACTIVATIONS) <= device_bytes else "layers"


def host_free_bytes() -> int:
    """Memory the machine could still give, caches included."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _folder_bytes(paths: Iterable[Path], float_bytes: int | None) -> int:
    files = sorted(paths)
    plain = [path for path in files if not _is_variant(path)]
    return sum(tensor_bytes(path, float_bytes) for path in plain or files)


def _is_variant(path: Path) -> bool:
    """`model.fp16.safetensors`, `model.fp16-00001-of-00002.safetensors`."""
    return any(
        part.split("-")[0] in {"fp16", "bf16", "fp32", "non_ema", "ema"}
        for part in path.name.split(".")[1:-1]
    )
