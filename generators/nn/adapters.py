"""Adapters over a model that stays in memory: attached once, then switched on and off.

A base and its styles share one set of weights; what changes is which thin matrices are added. The
model child makes an adapter active before it runs a batch (batches never mix adapters). Torch;
pictures through diffusers' LoRA loader, texts through transformers' peft integration.

Sources: Hu et al., "LoRA" (2021, arXiv:2106.09685); https://huggingface.co/docs/peft ;
https://huggingface.co/docs/diffusers/tutorials/using_peft_for_inference
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from peft import PeftConfig, PeftType
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

from generators.models_file import AdapterSource
from generators.weights import WeightsError, weights_hash

MAX_ATTACHED = 4  # adapters kept beside one base; the least recently used goes first
PEFT_CONFIG = "adapter_config.json"
PEFT_TENSORS = "adapter_model.safetensors"
_PEFT_PREFIX = "base_model.model."


class AdapterHost(Protocol):
    """A model that adapters can be attached to. Names are the slots', unique and without dots."""

    def attach(self, name: str, folder: Path, source: AdapterSource) -> None:
        """Add the adapter's tensors. Raises WeightsError where they do not fit the base."""
        ...

    def activate(self, name: str | None, scale: float) -> None:
        """Let this adapter alone take part, or none."""
        ...

    def detach(self, name: str) -> None:
        """Take the adapter's tensors out."""
        ...


class AdapterSlots:
    """The adapters attached to one base, and which is active."""

    def __init__(self, host: AdapterHost) -> None:
        self._host = host
        self._attached: OrderedDict[AdapterSource, str] = OrderedDict()
        self._hashes: dict[AdapterSource, str] = {}
        self._active: AdapterSource | None = None
        self._count = 0

    @property
    def active_hash(self) -> str | None:
        """What identifies the active adapter in receipts; None for the base itself."""
        return None if self._active is None else self._hashes[self._active]

    @property
    def attached(self) -> list[AdapterSource]:
        """What is in memory, the most recently used last."""
        return list(self._attached)

    def use(self, source: AdapterSource | None) -> None:
        """Make this adapter the active one (None: the base alone), attaching it if need be.

        Raises WeightsError with a sentence where it cannot be had or does not fit; then the base
        alone is active.
        """
        if source == self._active:
            return
        self._active = None
        if source is None:
            self._host.activate(None, 1.0)
            return
        if source not in self._attached:
            self._attach(source)
        self._attached.move_to_end(source)
        self._host.activate(self._attached[source], source.scale)
        self._active = source

    def _attach(self, source: AdapterSource) -> None:
        while len(self._attached) >= MAX_ATTACHED:
            _, oldest = self._attached.popitem(last=False)
            self._host.detach(oldest)
        folder = fetched(source)
        name = f"adapter_{self._count}"
        self._count += 1
        try:
            self._host.attach(name, folder, source)
        except Exception as error:  # diffusers and peft raise whatever they stumble over
            with suppress(Exception):  # whatever part of it got in
                self._host.detach(name)
            self._host.activate(None, 1.0)
            if isinstance(error, WeightsError):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsError(f"the adapter {source.weights} does not fit: {reason}") from error
        self._attached[source] = name
        self._hashes[source] = (
            (source.revision or "")[:16] if source.revision else weights_hash(folder)
        )


class PipelineHost:
    """A diffusers pipeline: LoRA files as diffusers or peft write them."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def attach(self, name: str, folder: Path, source: AdapterSource) -> None:
        """See `AdapterHost`. A peft folder fits the denoising net; others say what they fit."""
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise WeightsError(f"{type(self._pipeline).__name__} takes no adapters")
        if (folder / PEFT_CONFIG).is_file():
            config = _peft_config(folder)
            if config.peft_type != PeftType.LORA:
                raise WeightsError(
                    f"{source.weights} is a {config.peft_type} adapter; pictures take LoRA"
                )
            net = getattr(self._pipeline, "unet", None) or self._pipeline.transformer
            tensors = {
                key.removeprefix(_PEFT_PREFIX): value
                for key, value in load_file(_tensors_file(folder, source)).items()
            }
            net.load_lora_adapter(
                tensors, prefix=None, adapter_name=name, metadata=config.to_dict()
            )
        else:
            self._pipeline.load_lora_weights(
                str(folder),
                weight_name=_tensors_file(folder, source).name,
                adapter_name=name,
                use_safetensors=True,
                local_files_only=True,
            )
        if not any(name in names for names in self._pipeline.get_list_adapters().values()):
            raise WeightsError(f"{source.weights} holds no LoRA that this model could use")

    def activate(self, name: str | None, scale: float) -> None:
        """See `AdapterHost`."""
        if name is None:
            if self._pipeline_has_adapters():
                self._pipeline.disable_lora()
            return
        self._pipeline.enable_lora()
        self._pipeline.set_adapters([name], [scale])

    def detach(self, name: str) -> None:
        """See `AdapterHost`."""
        self._pipeline.delete_adapters(name)

    def _pipeline_has_adapters(self) -> bool:
        return hasattr(self._pipeline, "get_list_adapters") and any(
            self._pipeline.get_list_adapters().values()
        )


class LanguageModelHost:
    """A transformers model: whatever peft injects into layers (LoRA, LoHa, IA3 and kin)."""

    def __init__(self, net: Any) -> None:
        self._net = net

    def attach(self, name: str, folder: Path, source: AdapterSource) -> None:
        """See `AdapterHost`."""
        config = _peft_config(folder)
        if config.is_prompt_learning:
            raise WeightsError(
                f"{source.weights} is a {config.peft_type} adapter; those that add layers"
                " (LoRA and kin) are taken"
            )
        tensors = load_file(_tensors_file(folder, source))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several on purpose
            self._net.load_adapter(
                peft_config=config,
                adapter_state_dict=tensors,
                adapter_name=name,
                is_trainable=False,
            )

    def activate(self, name: str | None, scale: float) -> None:
        """See `AdapterHost`."""
        if name is None:
            if getattr(self._net, "_hf_peft_config_loaded", False):
                self._net.disable_adapters()
            return
        self._net.enable_adapters()
        self._net.set_adapter(name)
        for module in self._net.modules():
            if isinstance(module, LoraLayer) and name in module.scaling:
                module.set_scale(name, scale)

    def detach(self, name: str) -> None:
        """See `AdapterHost`."""
        self._net.delete_adapter(name)


def fetched(source: AdapterSource) -> Path:
    """The adapter's folder: as given, or from the hub at its commit (configs and safetensors)."""
    if source.folder is not None:
        return source.folder
    from huggingface_hub import snapshot_download

    wanted = [PEFT_CONFIG, source.file or "*.safetensors"]
    return Path(snapshot_download(source.weights, revision=source.revision, allow_patterns=wanted))


def _tensors_file(folder: Path, source: AdapterSource) -> Path:
    """The one file of tensors. Raises WeightsError where there is none or the choice is open."""
    if source.file:
        chosen = folder / source.file
        if not chosen.is_file():
            raise WeightsError(f"{source.weights} has no file {source.file}")
        return chosen
    known = [folder / name for name in (PEFT_TENSORS, "pytorch_lora_weights.safetensors")]
    files = [path for path in known if path.is_file()] or sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"the adapter {source.weights} holds no safetensors file")
    if len(files) > 1 and files[0] not in known:
        names = ", ".join(path.name for path in files)
        raise WeightsError(f"the adapter {source.weights} holds several files ({names}): name one")
    return files[0]


def _peft_config(folder: Path) -> PeftConfig:
    """Raises WeightsError where the folder has none that peft knows."""
    if not (folder / PEFT_CONFIG).is_file():
        raise WeightsError(f"{folder} is no peft adapter: it has no {PEFT_CONFIG}")
    try:
        return PeftConfig.from_pretrained(str(folder), inference_mode=True)
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / PEFT_CONFIG} cannot be read: {error}") from error
