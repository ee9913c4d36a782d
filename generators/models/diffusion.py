"""Pictures and loops with any text-to-image pipeline of diffusers: a folder or a hub id, no code.

Items become rows, one per picture or frame; rows that fit together are drawn together
(`nn.pipeline_pass`). Noise comes from one CPU generator per row, in the order the pipeline draws
it, so a picture does not depend on its batch or its device's random numbers. Torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
import torch
from PIL import Image

from generators import media, video
from generators.contract import (
    CANCELLED,
    BadRequest,
    Generated,
    GenerateRequest,
    Media,
    OnStep,
)
from generators.nn import pipelines, pixels, super_resolution
from generators.nn.adapters import AdapterSlots, PipelineHost
from generators.nn.noise import Noise, orbit
from generators.nn.pipeline_pass import DrawSettings, PipelinePass, Progress, Row
from generators.params import variations
from generators.registry import ModelEntry
from generators.runtime import (
    Runtime,
    content_hash,
    free_memory,
    is_out_of_memory,
    tensors_bytes,
)
from generators.sizing import Placement
from generators.weights import part, read_manifest

log = structlog.get_logger(__name__)

ROWS_AT_ONCE = 16  # pictures or frames that one call of the pipeline draws
MAX_OUTPUT_PIXELS = 4096 * 4096
_MOTION = 0.6  # of a loop, where neither request nor weights say
_ENLARGED_AT_ONCE = 2**18  # pixels before enlarging; more would not fit beside the model
_BLOCKED = (
    "The safety checker of this model held the picture back; try other words.",
    "这个模型的安全检查拦下了这张图，请换一种说法。",
)


@dataclass(slots=True, eq=False)
class _Item:
    """One picture or loop: its rows, in order."""

    request: GenerateRequest
    noise: Noise
    rows: list[Row]

    @property
    def pictures(self) -> list[Image.Image]:
        return [row.image for row in self.rows if row.image is not None]


class Model:
    """A loaded pipeline, with the nets that finish its pictures."""

    libraries = ("torch", "diffusers", "transformers", "peft", "pillow", "av")

    def __init__(
        self, pipeline: Any, placement: Placement, entry: ModelEntry, runtime: Runtime
    ) -> None:
        self.pipeline, self.entry = pipeline, entry
        self._placement, self._runtime = placement, runtime
        self.adapters = AdapterSlots(PipelineHost(pipeline))
        self._accepted = inspect.signature(pipeline.__call__).parameters
        self._image_pipeline: Any | None = None
        self._most_rows = ROWS_AT_ONCE  # fewer, once memory has shown to be short
        self._upscaler = _upscaler(entry, runtime)
        self._hash = content_hash(entry)

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder or hub id: safetensors only, pinned, no code from there.

        Raises WeightsError where the folder is no pipeline of diffusers, or no memory suffices.
        """
        return cls(*pipelines.load(entry, runtime), entry, runtime)

    @property
    def memory_bytes(self) -> int:
        """What the nets take, adapters included."""
        return tensors_bytes([*self.pipeline.components.values(), self._upscaler])

    @property
    def tolerance(self) -> str:
        """For receipts: what a faster number format or a compiled net may change. Empty for
        float32, where a pixel differs by 2 of 255 at most whatever the company."""
        dtype = self._runtime.dtype_for(self.entry)
        if dtype == torch.float32:
            return "compiled: pixels may differ by 1 of 255 from the net as it was" * (
                self.entry.compile
            )
        name = str(dtype).removeprefix("torch.")
        return (
            f"{name}: company in a batch may change pixels slightly; against float32 up to 10 of"
            " 255 (measured with the weights that ship)"
        )

    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Draw all items of the batch together; see `contract.Model`."""
        settings = self._settings(requests[0])
        scale = self._resolved("upscale", requests[0].params.upscale) or 1  # type: ignore[attr-defined]
        problem = self._problem(settings) or self._enlarging_problem(settings, scale)
        if problem is not None:
            return [problem for _ in requests]
        answers: dict[str, Generated | BadRequest] = {}
        items: list[_Item] = []
        for request in requests:
            try:
                items += self._items(request, settings)
            except BadRequest as error:
                answers[request.job_id] = error
        self._draw([row for item in items for row in item.rows], settings, on_step)
        for request in requests:
            if request.job_id not in answers:
                own = [item for item in items if item.request is request]
                answers[request.job_id] = self._answer(request, own, settings, scale)
        return [answers[request.job_id] for request in requests]

    # ---- what to draw

    def _settings(self, request: GenerateRequest) -> DrawSettings:
        values = {
            name: self._resolved(name, getattr(request.params, name))
            for name in ("guidance_scale", "num_inference_steps", "height", "width")
        }
        guidance = self.entry.limits.get("true_cfg_scale")
        extra = {} if guidance is None else {"true_cfg_scale": float(guidance)}
        return DrawSettings(**values, strength=request.params.strength, **extra)  # type: ignore[attr-defined]

    def _resolved(self, name: str, asked: Any) -> Any:
        """As asked, else as the weights have it, else as the pipeline does."""
        if asked is not None:
            return asked
        if name in self.entry.defaults:
            return self.entry.defaults[name]
        parameter = self._accepted.get(name)
        default = None if parameter is None else parameter.default
        return None if default is inspect.Parameter.empty else default

    def _size(self, settings: DrawSettings) -> tuple[int, int]:
        """Width and height in pixels, also where they are left to the pipeline."""
        side = pipelines.natural_side(self.pipeline)
        limits = self.entry.limits
        width = settings.width or limits.get("width") or settings.height or side or _LAST_RESORT
        height = settings.height or limits.get("height") or settings.width or side or _LAST_RESORT
        return int(width), int(height)

    def _problem(self, settings: DrawSettings) -> BadRequest | None:
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
        multiple = int(limits.get("multiple_of", pipelines.side_multiple(self.pipeline)))
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

    def _enlarging_problem(self, settings: DrawSettings, scale: int) -> BadRequest | None:
        if scale == 1:
            return None
        if self._upscaler is None:
            return BadRequest(
                "This model cannot enlarge its pictures itself; leave upscale out.",
                "这个模型不能自行放大图片，请不要指定 upscale。",
            )
        width, height = self._size(settings)
        if width * height * scale**2 > MAX_OUTPUT_PIXELS:
            return BadRequest(
                f"{width} x {height} pixels, {scale} times enlarged, are too many.",
                f"{width} × {height} 像素放大 {scale} 倍后太大了。",
            )
        return None

    def _items(self, request: GenerateRequest, settings: DrawSettings) -> list[_Item]:
        """A request's items with the rows to draw. Raises BadRequest for an unusable upload."""
        start = None
        if "image" in request.inputs:
            if self._from_picture() is None:
                raise BadRequest(
                    "This model cannot start from a picture; choose another one.",
                    "这个模型不能从图片开始，请换一个模型。",
                )
            upload = media.decode_image(request.inputs["image"], max_pixels=MAX_OUTPUT_PIXELS)
            start = pipelines.fitted(upload, *self._size(settings))
        items = []
        for seed in request.item_seeds():
            noise = _noise(request, seed)
            places = _places(request, noise, self._motion(request))
            rows = [_row(request, place, start) for place in places]
            items.append(_Item(request, noise, rows))
        return items

    def _motion(self, request: GenerateRequest) -> float:
        return float(self._resolved("motion", request.params.motion) or _MOTION)  # type: ignore[attr-defined]

    def _from_picture(self) -> Any | None:
        """The sibling pipeline that starts from a picture, made when it is first wanted."""
        if self._image_pipeline is None:
            self._image_pipeline = pipelines.image_to_image(
                self.pipeline, self._placement, self._runtime.device
            )
        return self._image_pipeline

    # ---- drawing

    def _draw(self, rows: Sequence[Row], settings: DrawSettings, on_step: OnStep) -> None:
        """Fill in the rows' pictures. Where so many at once do not fit into memory, half as many
        are drawn together from then on; what is drawn already stays."""
        while True:
            passes = list(_passes(rows, min(self._most_rows, ROWS_AT_ONCE)))
            widest = max((len(part_rows) for part_rows in passes), default=0)
            try:
                self._draw_passes(passes, settings, on_step)
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or widest < 2:
                    raise
                log.warning("so many rows do not fit into memory", rows=widest)
            self._most_rows = widest // 2
            rows = [row for row in rows if row.image is None]
            free_memory()  # outside of `except`, which would keep the failed rows' tensors alive

    def _draw_passes(
        self, passes: Sequence[Sequence[Row]], settings: DrawSettings, on_step: OnStep
    ) -> None:
        """Pass by pass; rows nobody wants any more are left out."""
        progress = Progress(max(1, len(passes)), on_step)
        if not passes:
            progress.tell(1, 1)
        for part_rows in passes:
            wanted = [row for row in part_rows if row.job_id not in progress.unwanted]
            if wanted:
                pipeline = self.pipeline if wanted[0].start is None else self._from_picture()
                PipelinePass(pipeline, wanted, settings, progress).draw()
            progress.next_pass()

    def _answer(
        self,
        request: GenerateRequest,
        items: Sequence[_Item],
        settings: DrawSettings,
        scale: int,
    ) -> Generated | BadRequest:
        rows = [row for item in items for row in item.rows]
        if any(row.blocked for row in rows):
            return BadRequest(*_BLOCKED)
        if any(row.image is None for row in rows):
            return CANCELLED
        drawn = items[0].pictures[0]
        params = request.params.model_dump() | {
            "guidance_scale": settings.guidance_scale,
            "num_inference_steps": settings.num_inference_steps,
            "height": drawn.height,
            "width": drawn.width,
            "upscale": scale,
            "motion": self._motion(request),
        }
        found = [media_of_item for item in items for media_of_item in self._media(item, scale)]
        return Generated(found, params)

    def _media(self, item: _Item, scale: int) -> list[Media]:
        pictures = self._enlarged(item.pictures, scale)
        digest = self._hash
        if self.adapters.active_hash is not None:
            digest += f"+{self.adapters.active_hash}"
        provenance = media.Provenance("diffusion", digest, item.noise.seed)
        params: Any = item.request.params
        if params.frames:
            return video.loop(pictures, params.fps, provenance)
        return [media.png(picture, provenance) for picture in pictures]

    def _enlarged(self, pictures: Sequence[Image.Image], scale: int) -> list[Image.Image]:
        """The pictures `scale` times larger by the weights' part `upscaler`, all of one size."""
        if scale == 1 or self._upscaler is None:
            return list(pictures)
        at_once = max(1, _ENLARGED_AT_ONCE // (pictures[0].width * pictures[0].height))
        large: list[Image.Image] = []
        for first in range(0, len(pictures), at_once):
            small = pixels.of_pictures([p.convert("RGB") for p in pictures[first:][:at_once]])
            small = small.to(self._runtime.device)
            large += pixels.to_pictures(super_resolution.enlarge(self._upscaler, small, scale))
        return large


_LAST_RESORT = 512  # pixels a side, for a pipeline that tells nothing


def _passes(rows: Sequence[Row], at_once: int) -> Iterator[Sequence[Row]]:
    """Rows that may share a call. Those with and without a negative prompt go separately, since
    some pipelines treat "none" and "empty" differently and a picture must not change with its
    company; those from a picture go through another pipeline."""
    for from_picture in (False, True):
        for negative in (False, True):
            fitting = [
                row
                for row in rows
                if (row.start is not None) == from_picture
                and bool(row.negative_prompt.strip()) == negative
            ]
            for first in range(0, len(fitting), at_once):
                yield fitting[first : first + at_once]


def _row(request: GenerateRequest, noise: Noise, start: Image.Image | None) -> Row:
    params: Any = request.params
    return Row(request.job_id, params.prompt, params.negative_prompt, noise, start)


def _noise(request: GenerateRequest, seed: int) -> Noise:
    """Relatives share the noise of the request's own seed, and their own part counts on with the
    items as the seed does; all other items count on from the seed."""
    steps = variations.steps(request.params, (seed - request.seed) % 2**32)
    return Noise(request.seed, steps) if steps else Noise(seed)


def _places(request: GenerateRequest, noise: Noise, motion: float) -> list[Noise]:
    """The noise of each of an item's rows: one of a picture, all around the circle of a loop."""
    params: Any = request.params
    if params.frames == 0:
        return [noise]
    return [
        replace(noise, orbit=orbit(frame, params.frames, motion)) for frame in range(params.frames)
    ]


def _upscaler(entry: ModelEntry, runtime: Runtime) -> Any | None:
    """The net of the weights' part `upscaler`, or None where they name none."""
    manifest = read_manifest(entry.folder) if entry.folder is not None else None
    if entry.folder is None or manifest is None or "upscaler" not in manifest.parts:
        return None
    folder = part(entry.folder, "upscaler")
    return super_resolution.load(folder, runtime.device, torch.float32)
