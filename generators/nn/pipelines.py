"""Diffusers pipelines: loading them from a folder or hub id, and what one can find out about them.

Torch; used by `models.diffusion`. Only safetensors are read, nothing that comes with the weights is
executed, and a hub id is pinned to its commit. Sources: diffusers' `DiffusionPipeline`,
`AutoPipelineForImage2Image` and memory guide, https://huggingface.co/docs/diffusers
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import structlog
import torch
from diffusers import AutoPipelineForImage2Image, DiffusionPipeline
from diffusers.utils.logging import disable_progress_bar
from PIL import Image, ImageOps

from generators import sizing
from generators.registry import ModelEntry
from generators.runtime import Runtime
from generators.weights import WeightsError

log = structlog.get_logger(__name__)

_LARGE_PX = 512  # from this side on, decoding many pictures at once takes the most memory of all


def load(entry: ModelEntry, runtime: Runtime) -> tuple[Any, sizing.Placement]:
    """The entry's pipeline in its number format, and how it was put on its device.

    Raises WeightsError where the folder is no pipeline of diffusers itself or no memory suffices.
    """
    disable_progress_bar()
    folder = entry.folder or _fetched(entry)
    check_index(folder)
    dtype = runtime.dtype_for(entry)
    sizes = sizing.component_bytes(folder, float_bytes=dtype.itemsize)
    placement = runtime.placement(entry, sizes)
    pipeline = DiffusionPipeline.from_pretrained(
        str(folder), dtype=dtype, use_safetensors=True, trust_remote_code=False
    )
    pipeline.set_progress_bar_config(disable=True)
    placed(pipeline, placement, runtime.device)
    if natural_side(pipeline) >= _LARGE_PX and hasattr(pipeline.vae, "enable_slicing"):
        pipeline.vae.enable_slicing()  # one picture is decoded after the other
        pipeline.vae.enable_tiling()  # and what is larger than the model's own size in tiles
    if runtime.device.type == "cpu":
        for name in ("unet", "vae"):
            net = getattr(pipeline, name, None)
            if net is not None:
                net.to(memory_format=torch.channels_last)
    if entry.compile:
        compiled(pipeline)
    return pipeline, placement


def compiled(pipeline: Any) -> None:
    """Have the net that takes the steps compiled when it is first called, for any batch size.

    On a CPU an 11 M U-Net in bfloat16 then takes two thirds of the time, after a minute of
    compiling. What cannot be compiled (no C++ compiler, an operation unknown) runs as it was:
    https://docs.pytorch.org/docs/stable/generated/torch.compile.html
    """
    net = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    if net is not None:
        torch._dynamo.config.suppress_errors = True
        net.compile(dynamic=True)


def placed(pipeline: Any, placement: sizing.Placement, device: torch.device) -> None:
    """Put the pipeline where there is room: all of it on the device, or in turns."""
    if placement == "whole":
        pipeline.to(device)
    elif placement == "components":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)
    if placement != "whole":
        log.info("a model is larger than the device and computes in turns", placement=placement)


def image_to_image(pipeline: Any, placement: sizing.Placement, device: torch.device) -> Any | None:
    """The pipeline's sibling that starts from a picture, made of the same components; None where
    diffusers has none for this family."""
    try:
        sibling = AutoPipelineForImage2Image.from_pipe(pipeline)
    except ValueError:
        return None
    sibling.set_progress_bar_config(disable=True)
    if placement != "whole":
        placed(sibling, placement, device)
    return sibling


def natural_side(pipeline: Any) -> int:
    """The side in pixels this pipeline draws where none is asked for; 0 where it does not tell."""
    scale = int(getattr(pipeline, "vae_scale_factor", 8))
    latents = getattr(pipeline, "default_sample_size", None)
    if latents is None:
        net = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
        latents = getattr(getattr(net, "config", None), "sample_size", None)
    return int(latents) * scale if isinstance(latents, int | float) else 0


def side_multiple(pipeline: Any) -> int:
    """The side lengths a pipeline accepts are multiples of this: of its VAE's scale, and twice that
    where it packs latents two by two."""
    scale = int(getattr(pipeline, "vae_scale_factor", 8))
    return scale * (2 if hasattr(pipeline, "_pack_latents") else 1)


def fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """An upload as the model wants it: RGB on white, cut around its middle, resized."""
    flat = image
    if image.mode == "RGBA":
        flat = Image.new("RGB", image.size, (255, 255, 255))
        flat.paste(image, mask=image.getchannel("A"))
    return ImageOps.fit(flat.convert("RGB"), (width, height), Image.Resampling.LANCZOS)


def check_index(folder: Path) -> None:
    """A folder must say which of diffusers' own pipelines it is. Raises WeightsError."""
    path = folder / "model_index.json"
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{folder} is no diffusers pipeline: it has no readable model_index.json"
        ) from error
    if not isinstance(name, str) or not hasattr(diffusers, name):
        raise WeightsError(f"{path} names {name!r}, which is no pipeline of diffusers itself")


def _fetched(entry: ModelEntry) -> Path:
    """The hub model's files, at its commit, in the hub's own cache."""
    return Path(
        DiffusionPipeline.download(
            entry.weights, revision=entry.revision, use_safetensors=True, trust_remote_code=False
        )
    )
