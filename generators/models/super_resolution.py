"""Enlarging pictures with the net of `generators.nn.super_resolution`, in tiles. Torch.

Pictures of any size and with transparency: cut into tiles that see as much of their surroundings
as the net looks at, so no seam can show; alpha is enlarged by the same net as if it were grey.
Scales that the net does not know are made by the next larger one and Lanczos.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from generators import media
from generators.contract import CANCELLED, BadRequest, Generated, GenerateRequest, OnStep, Step
from generators.nn import pixels
from generators.nn.super_resolution import Enlarger, enlarge, load
from generators.registry import ModelEntry
from generators.runtime import Runtime, tensors_bytes
from generators.weights import WeightsError, weights_hash

MAX_OUTPUT_PIXELS = 4096 * 4096
TILE_PX = 192  # without its surroundings
BATCH_PIXELS = 4 * TILE_PX**2  # of small pictures that go through the net together


@dataclass(slots=True)
class _Layer:
    """Three channels to enlarge, and the result as it grows."""

    request: int
    small: Tensor  # (3, H, W) in [-1, 1]
    large: Tensor  # (3, scale H, scale W)


@dataclass(frozen=True, slots=True)
class _Tile:
    """A part of a layer: the square of the small picture that it fills in the large one."""

    layer: _Layer
    top: int
    left: int
    height: int
    width: int

    def seen(self, reach: int) -> Tensor:
        """What the net needs: the part and `reach` pixels around it, the picture's border pixels
        repeated beyond its edges; (3, height + 2 reach, width + 2 reach)."""
        small = self.layer.small
        bottom, right = self.top + self.height, self.left + self.width
        rows = torch.arange(self.top - reach, bottom + reach).clamp(0, small.shape[1] - 1)
        columns = torch.arange(self.left - reach, right + reach).clamp(0, small.shape[2] - 1)
        return small[:, rows][:, :, columns]

    def fill(self, large: Tensor, reach: int, scale: int) -> None:
        """Copy the middle of what the net made of `seen` to its place."""
        height, width = self.height * scale, self.width * scale
        middle = large[:, reach * scale :, reach * scale :][:, :height, :width]
        top, left = self.top * scale, self.left * scale
        self.layer.large[:, top : top + height, left : left + width] = middle


class Model:
    """The loaded net."""

    libraries = ("torch", "pillow")

    def __init__(self, net: Enlarger, device: torch.device, provenance_hash: str) -> None:
        self.net = net
        self.device = device
        self.memory_bytes = tensors_bytes([net])
        self._hash = provenance_hash

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder. Raises WeightsError where it is none of ours."""
        if entry.folder is None:
            raise WeightsError(f"{entry.weights}: super-resolution weights are a folder of our own")
        net = load(entry.folder, runtime.device, runtime.dtype_for(entry))
        return cls(net, runtime.device, weights_hash(entry.folder))

    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """One enlarged picture per request; a step is a batch of tiles. See `contract.Model`."""
        wanted: int = requests[0].params.scale  # type: ignore[attr-defined]
        pictures = [_picture(request, wanted) for request in requests]
        unwanted: set[str] = set()
        enlarged = self._enlarged(pictures, 2 if wanted == 2 else 4, requests, unwanted, on_step)
        answers: list[Generated | BadRequest] = []
        for request, picture in zip(requests, enlarged, strict=True):
            if isinstance(picture, BadRequest):
                answers.append(picture)
            elif request.job_id in unwanted:
                answers.append(CANCELLED)
            else:
                provenance = media.Provenance("super_resolution", self._hash, request.seed)
                answers.append(Generated([media.png(picture, provenance)], {"scale": wanted}))
        return answers

    def _enlarged(
        self,
        pictures: Sequence[Image.Image | BadRequest],
        scale: int,
        requests: Sequence[GenerateRequest],
        unwanted: set[str],
        on_step: OnStep,
    ) -> list[Image.Image | BadRequest]:
        """The pictures at the size asked for; `unwanted` grows by those nobody waits for."""
        layers = [
            layer
            for index, picture in enumerate(pictures)
            if isinstance(picture, Image.Image)
            for layer in _layers(index, picture, scale)
        ]
        batches = list(_batches(layers))
        for number, batch in enumerate(batches, start=1):
            live = [tile for tile in batch if requests[tile.layer.request].job_id not in unwanted]
            self._run(live, scale)
            unwanted |= on_step(Step(number, len(batches)))
        if not batches:
            on_step(Step(1, 1))
        finished: list[Image.Image | BadRequest] = []
        for index, picture in enumerate(pictures):
            if isinstance(picture, Image.Image):
                own = [layer.large for layer in layers if layer.request == index]
                asked: int = requests[index].params.scale  # type: ignore[attr-defined]
                size = (picture.width * asked, picture.height * asked)
                finished.append(_resized(_as_picture(own), size))
            else:
                finished.append(picture)
        return finished

    def _run(self, tiles: Sequence[_Tile], scale: int) -> None:
        if not tiles:
            return
        reach = self.net.shape.reach
        small = torch.stack([tile.seen(reach) for tile in tiles]).to(self.device)
        large = enlarge(self.net, small, scale).cpu()
        for tile, made in zip(tiles, large, strict=True):
            tile.fill(made, reach, scale)


def _picture(request: GenerateRequest, scale: int) -> Image.Image | BadRequest:
    if "image" not in request.inputs:
        return BadRequest(
            "There is no picture to enlarge; attach one.", "没有要放大的图片，请附上一张。"
        )
    try:
        # Beyond four times, what the net makes is the most that lies in memory twice.
        most = MAX_OUTPUT_PIXELS // max(4, scale) ** 2 if scale > 2 else MAX_OUTPUT_PIXELS // 4
        return media.decode_image(request.inputs["image"], max_pixels=most)
    except BadRequest as error:
        return error


def _layers(request: int, picture: Image.Image, scale: int) -> Iterator[_Layer]:
    """The colours and, where there is one, alpha as a grey picture."""
    [channels] = pixels.of_pictures([picture])  # (3 or 4, H, W)
    parts = [channels]
    if len(channels) == 4:
        alpha = channels[3:].expand(3, -1, -1).contiguous()
        parts = [_under_transparency(channels[:3], (channels[3:] + 1) / 2), alpha]
    for part in parts:
        height, width = part.shape[1:]
        yield _Layer(request, part, torch.empty(3, height * scale, width * scale))


def _under_transparency(colours: Tensor, alpha: Tensor) -> Tensor:
    """Give transparent pixels the colour of their visible neighbours, in two widening rings.

    Their own, often black, would otherwise bleed into the edge. colours (3, H, W), alpha (1, H, W)
    in [0, 1].
    """
    filled, known = colours * alpha, alpha
    for reach in (2, 8):
        kernel = 2 * reach + 1
        near = F.avg_pool2d(filled, kernel, stride=1, padding=reach)
        weight = F.avg_pool2d(known, kernel, stride=1, padding=reach)
        mean = near / weight.clamp(min=1e-6)
        fresh = (known < 0.5) & (weight > 1e-3)
        colours = torch.where(fresh, mean, colours)
        known = torch.where(fresh, torch.ones_like(known), known)
        filled = colours * known
    return colours


def _batches(layers: Sequence[_Layer]) -> Iterator[list[_Tile]]:
    """Tiles of equal size together, no more than fit `BATCH_PIXELS`."""
    by_size: dict[tuple[int, int], list[_Tile]] = {}
    for layer in layers:
        height, width = layer.small.shape[1:]
        for top in range(0, height, TILE_PX):
            for left in range(0, width, TILE_PX):
                size = (min(TILE_PX, height - top), min(TILE_PX, width - left))
                by_size.setdefault(size, []).append(_Tile(layer, top, left, *size))
    for (height, width), tiles in by_size.items():
        most = max(1, BATCH_PIXELS // (height * width))
        for start in range(0, len(tiles), most):
            yield tiles[start : start + most]


def _as_picture(layers: Sequence[Tensor]) -> Image.Image:
    arrays = [((layer + 1) * 127.5).round().byte().permute(1, 2, 0).numpy() for layer in layers]
    if len(arrays) == 1:
        return Image.fromarray(arrays[0])
    return Image.fromarray(np.concatenate([arrays[0], arrays[1][..., 1:2]], axis=2))


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.LANCZOS)
