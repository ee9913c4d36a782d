"""One call of a diffusers pipeline over a batch of rows: arguments, noise, steps, previews. Torch.

One path serves Stable Diffusion, SDXL, Flux and their kin, from noise or from a picture, because it
asks the pipeline itself what it can do: which arguments it takes, how it prepares latents, how it
decodes. Used by `models.diffusion` and the trainer's samples.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
import torch
from PIL import Image
from torch import Tensor

from generators import media
from generators.contract import Media, OnStep, Step
from generators.nn.noise import Noise
from generators.runtime import Every, rng
from generators.sampling import clean_estimate, noise_levels

log = structlog.get_logger(__name__)

PREVIEW_EVERY_S = 0.3
PREVIEW_LATENTS = 32  # a preview decodes at most so many latents a side
PREVIEW_PICTURES = 4  # of one job, at most: a loop shows its first frames
_TRUE_GUIDANCE = 4.0  # of guidance-distilled pipelines, where a negative prompt needs a real one


@dataclass(slots=True, eq=False)
class Row:
    """One picture to draw, and then the picture. `start` has the size that is to be drawn."""

    job_id: str
    prompt: str
    negative_prompt: str
    noise: Noise
    start: Image.Image | None = None
    image: Image.Image | None = None
    blocked: bool = False  # held back by the safety checker


@dataclass(frozen=True, slots=True)
class DrawSettings:
    """What all rows share; None is the pipeline's own."""

    guidance_scale: float | None
    num_inference_steps: int | None
    height: int | None
    width: int | None
    strength: float = 1.0
    true_cfg_scale: float = _TRUE_GUIDANCE

    @property
    def steps_for_strength(self) -> int | None:
        """Steps such that at least one is taken: a pipeline leaves out the first 1 - strength."""
        if self.num_inference_steps is None:
            return None
        return max(self.num_inference_steps, math.ceil(1 / self.strength))


class Progress:
    """The steps of several passes as those of one run: monotonic, with one total from the start."""

    def __init__(self, passes: int, on_step: OnStep) -> None:
        self._passes, self._on_step = passes, on_step
        self._per_pass = 0
        self._index = 0
        self.unwanted: frozenset[str] = frozenset()

    def tell(self, step: int, total: int, previews: Mapping[str, Media] | None = None) -> None:
        """Step `step` of `total` of this pass is done. Raises what `on_step` raises."""
        self._per_pass = self._per_pass or total  # passes from a picture have fewer steps
        done = self._index * self._per_pass + math.ceil(step / total * self._per_pass)
        everything = self._passes * self._per_pass
        self.unwanted = self._on_step(Step(done, everything, previews=previews or {}))

    def next_pass(self) -> None:
        """The pass is over."""
        self._index += 1


@dataclass
class PipelinePass:
    """Rows that fit one call: all with, or all without, a negative prompt; the same for a start."""

    pipeline: Any
    rows: Sequence[Row]
    settings: DrawSettings
    progress: Progress
    _told: bool = False
    _latents: Tensor | None = None
    _previews: Every = field(default_factory=lambda: Every(PREVIEW_EVERY_S))
    _preview_broken: bool = False

    def draw(self) -> None:
        """Fill in the rows' pictures. Raises what `on_step` raises."""
        with ExitStack() as hooks:
            hooks.enter_context(self._mixed_noise())
            hooks.enter_context(torch.inference_mode())
            output = self.pipeline(**self.arguments())
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(self.rows)
        for row, image, blocked in zip(self.rows, output.images, flags, strict=True):
            row.image, row.blocked = image, bool(blocked)
        if not self._told:  # a pipeline that reports no steps
            self.progress.tell(1, 1)

    def arguments(self) -> dict[str, Any]:
        """What to call this pipeline with; only what it accepts."""
        accepted = inspect.signature(self.pipeline.__call__).parameters
        from_picture = self.rows[0].start is not None
        wanted: dict[str, Any] = {
            "prompt": [row.prompt for row in self.rows],
            "generator": [rng(row.noise.seed) for row in self.rows],
            "num_inference_steps": self.settings.num_inference_steps,
            "guidance_scale": self.settings.guidance_scale,
            "height": self.settings.height,
            "width": self.settings.width,
            "output_type": "pil",
            "callback_on_step_end": self._after_step,
            "callback_on_step_end_tensor_inputs": ["latents"],
        }
        if from_picture:
            wanted["image"] = [row.start for row in self.rows]
            wanted["strength"] = self.settings.strength
            wanted["num_inference_steps"] = self.settings.steps_for_strength
        if self.rows[0].negative_prompt.strip():
            wanted["negative_prompt"] = [row.negative_prompt for row in self.rows]
            wanted["true_cfg_scale"] = self.settings.true_cfg_scale
        if "max_sequence_length" in accepted:
            wanted["max_sequence_length"] = self._max_sequence_length(accepted)
        return {
            name: value for name, value in wanted.items() if name in accepted and value is not None
        }

    def _max_sequence_length(self, accepted: Mapping[str, inspect.Parameter]) -> int:
        """The pipeline's own, or less where its longest tokenizer reads less."""
        default = int(accepted["max_sequence_length"].default)
        names = ("tokenizer", "tokenizer_2", "tokenizer_3")
        tokenizers = [getattr(self.pipeline, name, None) for name in names]
        lengths = [t.model_max_length for t in tokenizers if t is not None]
        return min(default, max(lengths, default=default))

    @contextmanager
    def _mixed_noise(self) -> Iterator[None]:
        """Have the pipeline begin with our noise where a row's is more than its seed's own.

        From noise alone, packing and scaling commute with mixing, so whole latents are mixed. From
        a picture they do not (the picture would be mixed too): there the scheduler is handed other
        noise to add.
        """
        if self.rows[0].start is not None:
            owner = self.pipeline.scheduler
            name = "scale_noise" if hasattr(owner, "scale_noise") else "add_noise"
            wrap = self._mixing_added
        else:
            owner, name, wrap = self.pipeline, "prepare_latents", self._mixing_latents
        original = getattr(owner, name, None)
        if original is None:
            yield
            return
        setattr(owner, name, wrap(original))
        try:
            yield
        finally:
            delattr(owner, name)  # the class's own comes to light again

    def _mixing_latents(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        """The pipeline's `prepare_latents`, called once more for each companion. Those are drawn
        last, so the seeds' own generators stay where they would be without them."""
        signature = inspect.signature(prepare)

        def prepared(*args: Any, **kwargs: Any) -> Any:
            result = prepare(*args, **kwargs)
            latents = result[0] if isinstance(result, tuple) else result
            most = max(len(row.noise.companions) for row in self.rows)
            others = []
            for index in range(most):
                bound = signature.bind(*args, **kwargs)
                bound.arguments["generator"] = [
                    rng((*row.noise.companions, *([row.noise.seed] * most))[index])
                    for row in self.rows
                ]
                drawn = prepare(*bound.args, **bound.kwargs)
                others.append(drawn[0] if isinstance(drawn, tuple) else drawn)
            if most:
                latents = torch.stack(
                    [
                        row.noise.mixed(latents[i], [other[i] for other in others])
                        for i, row in enumerate(self.rows)
                    ]
                )
            self._latents = latents
            return (latents, *result[1:]) if isinstance(result, tuple) else latents

        return prepared

    def _mixing_added(self, add: Callable[..., Any]) -> Callable[..., Any]:
        """The scheduler's `add_noise` or `scale_noise`, with the rows' noise mixed first."""
        signature = inspect.signature(add)

        def added(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            noise = bound.arguments["noise"]  # (B, C, H, W)
            bound.arguments["noise"] = torch.stack(
                [
                    row.noise.mixed(own, row.noise.drawn(own.shape, own))
                    for row, own in zip(self.rows, noise, strict=True)
                ]
            )
            return add(*bound.args, **bound.kwargs)

        return added

    def _after_step(
        self, pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """The pipeline's callback: report the step, with a preview now and then."""
        total = int(getattr(pipeline, "num_timesteps", 0) or len(pipeline.scheduler.timesteps))
        latents = tensors["latents"]
        previews = {}
        if not self._preview_broken and index + 1 < total and self._previews.due():
            left_out = len(pipeline.scheduler.timesteps) - total  # starts from a picture begin late
            previews = self._decode_previews(pipeline, latents, max(0, left_out) + index)
        self._latents = latents
        self._told = True
        self.progress.tell(index + 1, total, previews)
        return tensors

    def _decode_previews(self, pipeline: Any, latents: Tensor, index: int) -> dict[str, Media]:
        """By job, what its pictures look like so far. A pipeline that cannot do it goes without."""
        began = time.monotonic()
        shown: dict[str, list[int]] = {}
        for position, row in enumerate(self.rows):
            shown.setdefault(row.job_id, []).append(position)
        chosen = {job_id: rows[:PREVIEW_PICTURES] for job_id, rows in shown.items()}
        order = [position for rows in chosen.values() for position in rows]
        try:
            clean = self._estimate(pipeline, latents, index)[order]
            images = iter(_small_pictures(pipeline, clean, self.settings))
            return {
                job_id: media.preview([next(images) for _ in rows])
                for job_id, rows in chosen.items()
            }
        except Exception:  # any pipeline of the hub, decoded half-way: it owes us no preview
            log.warning("previews are not possible with this pipeline", exc_info=True)
            self._preview_broken = True
            return {}
        finally:
            self._previews.spent(time.monotonic() - began)

    def _estimate(self, pipeline: Any, latents: Tensor, index: int) -> Tensor:
        before = noise_levels(pipeline.scheduler, index)
        after = noise_levels(pipeline.scheduler, index + 1)
        if before is None or after is None or self._latents is None:
            return latents
        return clean_estimate(self._latents.float(), latents.float(), before, after)


def _small_pictures(pipeline: Any, latents: Tensor, settings: DrawSettings) -> list[Image.Image]:
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
