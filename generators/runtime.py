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
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch

from generators import catalog
from generators.models_file import AdapterSource
from generators.registry import ModelEntry
from generators.settings import GeneratorSettings
from generators.sizing import Placement, component_bytes, host_free_bytes, place
from generators.weights import WeightsError, weights_hash

_LARGE_BYTES = {"text": 64 * 2**20, "image": 32 * 2**20}
"""Weights from which on number formats matter more than calls."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """Where and how this process computes."""

    device: torch.device
    dtype_setting: str = "auto"
    model_memory_bytes: int = 0

    def dtype_for(self, entry: ModelEntry) -> torch.dtype:
        """The format of a model's weights: as its entry or the settings say, else float32 where
        sameness is promised (what ships, and most on a CPU), half precision for others on a GPU
        and for large models on a CPU that multiplies it in tiles."""
        if entry.dtype != "auto":
            return _DTYPES[entry.dtype]
        if self.dtype_setting != "auto":
            return _DTYPES[self.dtype_setting]
        if entry.starter:
            return torch.float32
        if self.device.type == "cpu":
            return torch.bfloat16 if _gains_from_tiles(entry) else torch.float32
        if self.device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.bfloat16
        return torch.float16

    def placement(self, entry: ModelEntry, sizes: Mapping[str, int]) -> Placement:
        """Where a model goes whose components take so many bytes, with the memory free now.

        Raises WeightsError with a sentence where it cannot be held at all."""
        device_bytes = None
        if self.device.type == "cuda":
            device_bytes = torch.cuda.mem_get_info(self.device)[0]
        return place(
            entry.name,
            sizes,
            device_bytes=device_bytes,
            host_bytes=host_free_bytes(),
            asked=entry.offload,
        )

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


_SELDOM = 25  # previews of a full batch must not cost what batching has won


class Every:
    """True at most once in `seconds`: for what is worth doing now and then. A dear action is made
    rarer by telling its `cost_s`: it then takes at most a twenty-fifth of the time."""

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
        self._next = time.monotonic() + max(self._seconds, _SELDOM * cost_s)


@dataclass(frozen=True)
class Loaded:
    """A model in memory, with what its receipts say of it."""

    entry: ModelEntry
    model: Any
    weights_hash: str
    dtype: str
    memory_bytes: int
    adapter_hash: str | None = None


class ModelCache:
    """Loaded models, the least recently used dropped first, within the memory allowed.

    A model that alone exceeds the allowance is loaded all the same, alone. Entries that differ in
    their adapter only share what is loaded; `get` makes the entry's adapter the active one, so who
    gets a model runs it before the next `get`.
    """

    def __init__(
        self,
        runtime: Runtime,
        load: Callable[[ModelEntry, Runtime], Any] | None = None,
    ) -> None:
        self._runtime = runtime
        self._load = load or (lambda entry, rt: catalog.load(entry.generator).load(entry, rt))
        self._loaded: OrderedDict[tuple[str, ...], Loaded] = OrderedDict()
        self._adapted: dict[tuple[str, ...], dict[str, AdapterSource]] = {}  # by base: names used

    @property
    def names(self) -> list[str]:
        """The models in memory, the most recently used last, each with its adapters."""
        names = []
        for key, loaded in self._loaded.items():
            slots = getattr(loaded.model, "adapters", None)
            attached = slots.attached if slots is not None else []
            known = self._adapted.get(key, {})
            names += [name for name, source in known.items() if source in attached]
            names.append(loaded.entry.name)
        return names

    @property
    def memory_bytes(self) -> int:
        """What the models in memory take together."""
        return sum(loaded.memory_bytes for loaded in self._loaded.values())

    def get(self, entry: ModelEntry) -> Loaded:
        """The model, loaded if need be, with the entry's adapter active (and no other).

        Whatever loading raises gets through.
        """
        base = self._base(entry.base)
        slots = getattr(base.model, "adapters", None)
        if slots is None:
            if entry.adapter is not None:
                raise WeightsError(f"{entry.generator} models take no adapters")
            return base
        slots.use(entry.adapter)
        if entry.adapter is None:
            return base
        self._adapted.setdefault(_key(entry.base), {})[entry.name] = entry.adapter
        return replace(base, entry=entry, adapter_hash=slots.active_hash)

    def _base(self, entry: ModelEntry) -> Loaded:
        key = _key(entry)
        if key in self._loaded:
            self._loaded.move_to_end(key)
            known = self._loaded[key]
            if _settings(known.entry) == _settings(entry):
                return known
            self._drop(key)  # the host changed defaults or limits
        self._make_room(_size_in_memory(entry, self._runtime))
        loaded = self._measured(entry)
        self._make_room(loaded.memory_bytes)
        self._loaded[key] = loaded
        return loaded

    def _drop(self, key: tuple[str, ...]) -> None:
        del self._loaded[key]
        self._adapted.pop(key, None)

    def clear(self) -> None:
        """Drop every model."""
        self._loaded.clear()
        self._adapted.clear()
        free_memory()

    def _measured(self, entry: ModelEntry) -> Loaded:
        device, dtype = self._runtime.device, self._runtime.dtype_for(entry)
        before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        try:
            model = self._load(entry, self._runtime)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not self._loaded:
                raise
            self.clear()
            model = self._load(entry, self._runtime)
        grown = torch.cuda.memory_allocated(device) - before if device.type == "cuda" else 0
        return Loaded(
            entry=entry,
            model=model,
            weights_hash=content_hash(entry),
            dtype=str(dtype).removeprefix("torch."),
            memory_bytes=max(grown, getattr(model, "memory_bytes", 0)),
        )

    def _make_room(self, need_bytes: int) -> None:
        dropped = False
        while self._loaded and self.memory_bytes + need_bytes > self._runtime.memory_limit_bytes:
            self._drop(next(iter(self._loaded)))
            dropped = True
        if dropped:
            free_memory()


def content_hash(entry: ModelEntry) -> str:
    """What identifies the weights in a receipt: their content, or the commit they are pinned to."""
    if entry.folder is not None:
        return weights_hash(entry.folder)
    return (entry.revision or "")[:16]


def _key(entry: ModelEntry) -> tuple[str, ...]:
    return (entry.name, entry.generator, entry.weights, entry.revision or "", entry.dtype)


def _settings(entry: ModelEntry) -> dict[str, Any]:
    """What a loaded model was made with; a new default or summary needs no loading."""
    return entry.model_dump(exclude={"default", "summary", "licence", "adapter"})


def _gains_from_tiles(entry: ModelEntry) -> bool:
    """Whether bfloat16 is faster on this CPU: with AMX, GPT-2 of 124 M parameters writes sixteen
    texts at twice float32's speed, and a latent U-Net of 11 M draws sixteen pictures at twice it;
    small language models gain nothing."""
    enough = _LARGE_BYTES.get(entry.modality)
    if enough is None or not torch.cpu.get_capabilities().get("amx_bf16", False):
        return False
    if entry.folder is None:  # what people fetch from a hub is large
        return True
    return sum(path.stat().st_size for path in entry.folder.rglob("*.safetensors")) >= enough


def _size_in_memory(entry: ModelEntry, runtime: Runtime) -> int:
    """Of weights on this machine, from their headers; 0 where that cannot be known yet."""
    folder = entry.folder or _fetched_before(entry)
    if folder is None:
        return 0
    try:
        sizes = component_bytes(folder, runtime.dtype_for(entry).itemsize)
    except WeightsError:  # said in better words by the loader
        return 0
    return sum(sizes.values())


def _fetched_before(entry: ModelEntry) -> Path | None:
    """Where the hub's client keeps a model's files, if it has any of them."""
    if entry.revision is None:
        return None
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=entry.weights, repo_type="model")
    folder = Path(constants.HF_HUB_CACHE) / name / "snapshots" / entry.revision
    return folder if folder.is_dir() else None
