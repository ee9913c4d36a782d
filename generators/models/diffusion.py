"""Text to image with any text-to-image pipeline of diffusers: a folder or a hub id, no code. Torch.

One path serves our starter weights, Stable Diffusion, SDXL, Flux and their kin, because it asks the
pipeline itself what it can do: which arguments it takes, how it prepares latents, how it decodes.
Noise comes from one CPU generator per item, in the order the pipeline draws it, so a picture does
not depend on its batch or its device's random numbers.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
import torch
from diffusers import DiffusionPipeline
from diffusers.utils.logging import disable_progress_bar
from PIL import Image
from torch import Tensor

from generators import media
from generators.contract import BadRequest, Generated, GenerateRequest, OnStep, Step
from generators.registry import ModelEntry
from generators.runtime import Every, Runtime, rng, tensors_bytes
from generators.sampling import clean_estimate, noise_levels, slerp
from generators.weights import WeightsError, weights_hash

log = structlog.get_logger(__name__)

PREVIEW_EVERY_S = 0.3
PREVIEW_LATENTS = 32  # a preview decodes at most so many latents a side
_BLOCKED = (
    "The safety checker of this model held the picture back; try other words.",
    "这个模型的安全检查拦下了这张图，请换一种说法。",
)


@dataclass(slots=True)
class _Item:
    """One picture to draw."""

    request: GenerateRequest
    params: Any  # DiffusionParams
    seed: int
    image: Image.Image | None = None
    blocked: bool = False


@dataclass(slots=True)
class _Settings:
    """What a batch shares, resolved: request, then the weights' defaults, then the pipeline's."""

    guidance_scale: float | None
    num_inference_steps: int | None
    height: int | None
    width: int | None

    def as_params(self, image: Image.Image) -> dict[str, Any]:
        """The params as they were used; a size left to the pipeline is read off the picture."""
        return {
            "guidance_scale": self.guidance_scale,
            "num_inference_steps": self.num_inference_steps,
            "height": image.height,
            "width": image.width,
        }


class Model:
    """A loaded pipeline."""

    libraries = ("torch", "diffusers", "transformers", "pillow")

    def __init__(self, pipeline: Any, entry: ModelEntry, provenance_hash: str) -> None:
        self.pipeline = pipeline
        self.entry = entry
        self.memory_bytes = tensors_bytes(pipeline.components.values())
        self._hash = provenance_hash
        self._accepted = inspect.signature(pipeline.__call__).parameters

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder or hub id: safetensors only, pinned, no code from there.

        Raises WeightsError where the folder is no pipeline of diffusers.
        """
        if entry.folder is not None:
            _check_index(entry)
        disable_progress_bar()
        pipeline = DiffusionPipeline.from_pretrained(
            entry.weights,
            revision=entry.revision,
            dtype=runtime.dtype_for(entry),
            use_safetensors=True,
            trust_remote_code=False,
        ).to(runtime.device)
        pipeline.set_progress_bar_config(disable=True)
        folder = entry.folder
        digest = weights_hash(folder) if folder is not None else (entry.revision or "")[:16]
        return cls(pipeline, entry, digest)

    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Draw all items of the batch together; see `contract.Model`.

        Items with and without a negative prompt go separately, since some pipelines treat "none"
        and "empty" differently and a picture must not change with its company.
        """
        settings = self._settings(requests[0])
        problem = self._problem(settings)
        if problem is not None:
            return [problem for _ in requests]
        items = [
            _Item(request, request.params, seed)
            for request in requests
            for seed in request.item_seeds()
        ]
        parts = [
            part
            for negative in (False, True)
            if (part := [i for i in items if bool(i.params.negative_prompt.strip()) == negative])
        ]
        for index, part in enumerate(parts):
            _Pass(self, part, settings, on_step, index, len(parts)).draw()
        return [
            self._answer(request, [i for i in items if i.request is request], settings)
            for request in requests
        ]

    def _settings(self, request: GenerateRequest) -> _Settings:
        values = {
            name: self._resolved(name, getattr(request.params, name))
            for name in ("guidance_scale", "num_inference_steps", "height", "width")
        }
        return _Settings(**values)

    def _resolved(self, name: str, asked: Any) -> Any:
        if asked is not None:
            return asked
        if name in self.entry.defaults:
            return self.entry.defaults[name]
        parameter = self._accepted.get(name)
        default = None if parameter is None else parameter.default
        return None if default is inspect.Parameter.empty else default

    def _problem(self, settings: _Settings) -> BadRequest | None:
        """Why these weights cannot draw this size, or None."""
        limits = self.entry.limits
        width = settings.width or limits.get("width")
        height = settings.height or limits.get("height")
        for name, asked in (("width", width), ("height", height)):
            if name in limits and asked != limits[name]:
                fixed = f"{limits.get('width', 'any')} x {limits.get('height', 'any')}"
                return BadRequest(
                    f"This model draws {fixed} pixels only; leave width and height out.",
                    f"这个模型只能画 {fixed} 像素，请不要指定宽和高。",
                )
        multiple = int(limits.get("multiple_of", self._multiple()))
        for name, asked in (("width", width), ("height", height)):
            if asked is not None and asked % multiple:
                return BadRequest(
                    f"The {name} must be a multiple of {multiple} pixels for this model.",
                    f"这个模型的 {name} 必须是 {multiple} 像素的倍数。",
                )
        most = limits.get("max_pixels")
        if most is not None and width and height and width * height > most:
            return BadRequest(
                f"This model draws at most {most} pixels in all; {width} x {height} is more.",
                f"这个模型总共最多画 {most} 像素；{width} × {height} 太大了。",
            )
        return None

    def _multiple(self) -> int:
        """The side lengths a pipeline accepts are multiples of this: of its VAE's scale, and twice
        that where it packs latents two by two."""
        scale = int(getattr(self.pipeline, "vae_scale_factor", 8))
        return scale * (2 if hasattr(self.pipeline, "_pack_latents") else 1)

    def _answer(
        self, request: GenerateRequest, items: Sequence[_Item], settings: _Settings
    ) -> Generated | BadRequest:
        if any(item.blocked or item.image is None for item in items):
            return BadRequest(*_BLOCKED)
        pictures = [
            media.png(item.image, media.Provenance("diffusion", self._hash, _base_seed(item)))
            for item in items
            if item.image is not None
        ]
        params = request.params.model_dump()
        assert items[0].image is not None  # noqa: S101 (narrowed above)
        return Generated(pictures, params | settings.as_params(items[0].image))


@dataclass
class _Pass:
    """One run of the pipeline over items that all have, or all lack, a negative prompt."""

    model: Model
    items: Sequence[_Item]
    settings: _Settings
    on_step: OnStep
    index: int = 0  # which of `passes` this is
    passes: int = 1
    _steps_done: int = 0
    _latents: Tensor | None = None
    _previews: Every = field(default_factory=lambda: Every(PREVIEW_EVERY_S))
    _preview_broken: bool = False

    def draw(self) -> None:
        """Fill in the items' pictures. Raises what `on_step` raises."""
        pipeline = self.model.pipeline
        prepare = pipeline.prepare_latents if hasattr(pipeline, "prepare_latents") else None
        if prepare is not None:
            pipeline.prepare_latents = self._mixing(prepare)
        try:
            with torch.inference_mode():
                output = pipeline(**self._arguments())
        finally:
            if prepare is not None:
                del pipeline.prepare_latents  # the class's own comes to light again
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(self.items)
        for item, image, blocked in zip(self.items, output.images, flags, strict=True):
            item.image, item.blocked = image, bool(blocked)
        if self._steps_done == 0:  # a pipeline that reports no steps
            self._tell(1, 1, {})

    def _arguments(self) -> dict[str, Any]:
        """What to call this pipeline with; only what it accepts."""
        accepted = self.model._accepted
        wanted: dict[str, Any] = {
            "prompt": [item.params.prompt for item in self.items],
            "generator": [rng(_base_seed(item)) for item in self.items],
            "num_inference_steps": self.settings.num_inference_steps,
            "guidance_scale": self.settings.guidance_scale,
            "height": self.settings.height,
            "width": self.settings.width,
            "output_type": "pil",
            "callback_on_step_end": self._after_step,
            "callback_on_step_end_tensor_inputs": ["latents"],
        }
        negatives = [item.params.negative_prompt for item in self.items]
        if negatives[0].strip():
            wanted["negative_prompt"] = negatives
            if "true_cfg_scale" in accepted:  # guidance-distilled: theirs is not a real guidance
                wanted["true_cfg_scale"] = self.model.entry.defaults.get("true_cfg_scale", 4.0)
        if "max_sequence_length" in accepted:
            wanted["max_sequence_length"] = self._max_sequence_length()
        return {
            name: value for name, value in wanted.items() if name in accepted and value is not None
        }

    def _max_sequence_length(self) -> int:
        """The pipeline's own, or less where its longest tokenizer reads less."""
        default = int(self.model._accepted["max_sequence_length"].default)
        names = ("tokenizer", "tokenizer_2", "tokenizer_3")
        tokenizers = [getattr(self.model.pipeline, name, None) for name in names]
        lengths = [t.model_max_length for t in tokenizers if t is not None]
        return min(default, max(lengths, default=default))

    def _mixing(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        """The pipeline's `prepare_latents`, but with the noise of variations mixed in.

        Packing and scaling, which differ between pipelines, commute with the spherical mix, so it
        works on whatever comes out. Drawn last, the mix leaves the seeds' generators where they
        would be without it.
        """
        signature = inspect.signature(prepare)

        def prepared(*args: Any, **kwargs: Any) -> Any:
            result = prepare(*args, **kwargs)
            relatives = [(row, item) for row, item in enumerate(self.items) if _is_relative(item)]
            latents = result[0] if isinstance(result, tuple) else result
            if relatives:
                bound = signature.bind(*args, **kwargs)
                bound.arguments["generator"] = [rng(_variation_seed(item)) for item in self.items]
                other = prepare(*bound.args, **bound.kwargs)
                other = other[0] if isinstance(other, tuple) else other
                latents = latents.clone()
                for row, item in relatives:
                    strength = item.params.variation_strength
                    latents[row] = slerp(latents[row], other[row], strength)
            self._latents = latents
            return (latents, *result[1:]) if isinstance(result, tuple) else latents

        return prepared

    def _after_step(
        self, pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """The pipeline's callback: report the step, with a preview now and then."""
        total = int(getattr(pipeline, "num_timesteps", 0) or len(pipeline.scheduler.timesteps))
        latents = tensors["latents"]
        previews = {}
        if not self._preview_broken and index + 1 < total and self._previews.due():
            previews = self._decode_previews(pipeline, latents, index)
        self._latents = latents
        self._tell(index + 1, total, previews)
        return tensors

    def _tell(self, step: int, total: int, previews: dict[str, Any]) -> None:
        self._steps_done = step
        self.on_step(Step(self.index * total + step, self.passes * total, previews=previews))

    def _decode_previews(self, pipeline: Any, latents: Tensor, index: int) -> dict[str, Any]:
        """By job, what its pictures look like so far. A pipeline that cannot do it goes without."""
        began = time.monotonic()
        try:
            clean = self._estimate(pipeline, latents, index)
            images = _decode(pipeline, clean, self.settings)
        except Exception:
            log.warning("previews are not possible with this pipeline", exc_info=True)
            self._preview_broken = True
            return {}
        self._previews.spent(time.monotonic() - began)
        by_job: dict[str, list[Image.Image]] = {}
        for item, image in zip(self.items, images, strict=True):
            by_job.setdefault(item.request.job_id, []).append(image)
        return {job_id: media.preview(pictures) for job_id, pictures in by_job.items()}

    def _estimate(self, pipeline: Any, latents: Tensor, index: int) -> Tensor:
        before = noise_levels(pipeline.scheduler, index)
        after = noise_levels(pipeline.scheduler, index + 1)
        if before is None or after is None or self._latents is None:
            return latents
        return clean_estimate(self._latents.float(), latents.float(), before, after)


def _decode(pipeline: Any, latents: Tensor, settings: _Settings) -> list[Image.Image]:
    """Latents as small pictures: (B, C, H, W), or packed (B, T, D) where the pipeline packs."""
    vae = pipeline.vae
    if latents.ndim == 3 and hasattr(pipeline, "_unpack_latents"):
        scale = pipeline.vae_scale_factor
        side = int(latents.shape[1] ** 0.5) * 2 * scale
        height, width = settings.height or side, settings.width or side
        latents = pipeline._unpack_latents(latents, height, width, scale)
    shrink = -(-max(latents.shape[-2:]) // PREVIEW_LATENTS)
    if shrink > 1:
        latents = torch.nn.functional.avg_pool2d(latents, shrink)
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    latents = latents / vae.config.scaling_factor + shift
    pixels = vae.decode(latents.to(vae.dtype), return_dict=False)[0]
    images: list[Image.Image] = pipeline.image_processor.postprocess(pixels, output_type="pil")
    return images


def _is_relative(item: _Item) -> bool:
    return item.params.variation_seed is not None and item.params.variation_strength > 0


def _base_seed(item: _Item) -> int:
    """Relatives share the noise of the request's own seed; all other items count on from it."""
    return item.request.seed if _is_relative(item) else item.seed


def _variation_seed(item: _Item) -> int:
    """The variation seed counts on with the items, as the seed itself does; an item without one
    stands still."""
    if item.params.variation_seed is None:
        return item.seed
    return (item.params.variation_seed + item.seed - item.request.seed) % 2**32


def _check_index(entry: ModelEntry) -> None:
    """A folder must say which of diffusers' own pipelines it is."""
    import diffusers

    path = entry.folder / "model_index.json" if entry.folder else None
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["_class_name"] if path else None
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{entry.weights} is no diffusers pipeline: it has no readable model_index.json"
        ) from error
    if not isinstance(name, str) or not hasattr(diffusers, name):
        raise WeightsError(f"{path} names {name!r}, which is no pipeline of diffusers itself")
