"""What models run on: device, number format, seeded noise, and a cache of loaded ones. Torch.

Only the model child (`generators.runner`, `python -m generators`) and the trainer use this.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.metadata
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch

from generators import catalog
from generators.registry import ModelEntry
from generators.settings import GeneratorSettings
from generators.weights import weights_hash

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """Where and how this process computes."""

    device: torch.device
    dtype_setting: str = "auto"
    model_memory_bytes: int = 0

    def dtype_for(self, entry: ModelEntry) -> torch.dtype:
        """The format of a model's weights: float32 where sameness is promised (what ships, and on
        a CPU, where it is also the fastest), half precision for large models on a GPU."""
        if self.dtype_setting != "auto":
            return _DTYPES[self.dtype_setting]
        if entry.starter or self.device.type == "cpu":
            return torch.float32
        if self.device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.bfloat16
        return torch.float16

    @cached_property
    def name(self) -> str:
        """The device in words, for receipts."""
        if self.device.type == "cuda":
            return f"{self.device} ({torch.cuda.get_device_name(self.device)})"
        return str(self.device)

    @cached_property
    def memory_limit_bytes(self) -> int:
        """How much loaded models may take together: as set, else most of the GPU, half the RAM."""
        if self.model_memory_bytes:
            return self.model_memory_bytes
        if self.device.type == "cuda":
            return int(0.8 * torch.cuda.get_device_properties(self.device).total_memory)
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def make_runtime(settings: GeneratorSettings) -> Runtime:
    """Choose the device and prepare torch for results that can be had again."""
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if name.startswith("cuda"):
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return Runtime(torch.device(name), settings.dtype, settings.model_memory_bytes)


def rng(seed: int) -> torch.Generator:
    """A seeded generator of one item's noise. On the CPU for every device, so that a seed means the
    same noise wherever it is drawn."""
    return torch.Generator("cpu").manual_seed(seed)


def tensors_bytes(modules: Iterable[Any]) -> int:
    """Memory of all parameters and buffers, each counted once."""
    sizes = {}
    for module in modules:
        if isinstance(module, torch.nn.Module):
            for tensor in (*module.parameters(), *module.buffers()):
                sizes[id(tensor)] = tensor.numel() * tensor.element_size()
    return sum(sizes.values())


@cache
def versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """The installed versions of ours and these libraries, for receipts."""
    found = {}
    for name in ("atelier", *libraries):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch might succeed where this one failed."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free_memory() -> None:
    """Give back what dropped models held, to the device and to the operating system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with suppress(AttributeError):  # musl has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)


class Every:
    """True at most once in `seconds`: for what is worth doing now and then. A dear action is made
    rarer by telling its `cost_s`: it then takes at most a tenth of the time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def due(self) -> bool:
        """Whether it is time (and if so, the time is over)."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._seconds
        return True

    def spent(self, cost_s: float) -> None:
        """The action took so long."""
        self._next = time.monotonic() + max(self._seconds, 10 * cost_s)


@dataclass(frozen=True)
class Loaded:
    """A model in memory, with what its receipts say of it."""

    entry: ModelEntry
    model: Any
    weights_hash: str
    dtype: str
    memory_bytes: int


class ModelCache:
    """Loaded models, the least recently used dropped first, within the memory allowed.

    A model that alone exceeds the allowance is loaded all the same, alone.
    """

    def __init__(
        self,
        runtime: Runtime,
        load: Callable[[ModelEntry, Runtime], Any] | None = None,
    ) -> None:
        self._runtime = runtime
        self._load = load or (lambda entry, rt: catalog.load(entry.generator).load(entry, rt))
        self._loaded: OrderedDict[tuple[str, ...], Loaded] = OrderedDict()

    @property
    def names(self) -> list[str]:
        """The models in memory, the most recently used last."""
        return [loaded.entry.name for loaded in self._loaded.values()]

    @property
    def memory_bytes(self) -> int:
        """What the models in memory take together."""
        return sum(loaded.memory_bytes for loaded in self._loaded.values())

    def get(self, entry: ModelEntry) -> Loaded:
        """The model, loaded if need be. Whatever loading raises gets through."""
        key = (entry.name, entry.generator, entry.weights, entry.revision or "")
        if key in self._loaded:
            self._loaded.move_to_end(key)
            if self._loaded[key].entry != entry:  # the host changed defaults or limits
                del self._loaded[key]
            else:
                return self._loaded[key]
        self._make_room(_size_on_disk(entry))
        loaded = self._measured(entry)
        self._make_room(loaded.memory_bytes)
        self._loaded[key] = loaded
        return loaded

    def clear(self) -> None:
        """Drop every model."""
        self._loaded.clear()
        free_memory()

    def _measured(self, entry: ModelEntry) -> Loaded:
        device, dtype = self._runtime.device, self._runtime.dtype_for(entry)
        before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        try:
            model = self._load(entry, self._runtime)
        except Exception as error:
            if not is_out_of_memory(error) or not self._loaded:
                raise
            self.clear()
            model = self._load(entry, self._runtime)
        grown = torch.cuda.memory_allocated(device) - before if device.type == "cuda" else 0
        return Loaded(
            entry=entry,
            model=model,
            weights_hash=_hash(entry),
            dtype=str(dtype).removeprefix("torch."),
            memory_bytes=max(grown, getattr(model, "memory_bytes", 0)),
        )

    def _make_room(self, need_bytes: int) -> None:
        dropped = False
        while self._loaded and self.memory_bytes + need_bytes > self._runtime.memory_limit_bytes:
            self._loaded.popitem(last=False)
            dropped = True
        if dropped:
            free_memory()


def _size_on_disk(entry: ModelEntry) -> int:
    if entry.folder is None:
        return 0
    return sum(path.stat().st_size for path in entry.folder.rglob("*.safetensors"))


def _hash(entry: ModelEntry) -> str:
    """What identifies the weights in a receipt: their content, or the commit they are pinned to."""
    if entry.folder is not None:
        return weights_hash(entry.folder)
    return (entry.revision or "")[:16]
