"""Drawing, blending and cleaning with one variational autoencoder over shared latents. Torch.

The net is in `generators.nn.word_vae`, how it was trained in `trainer.objectives.latent_vae`.
Blending goes along the sphere in z (White, 2016, arXiv:1609.04468); what z cannot hold of the two
pictures is faded out and in beside it, so that the ends of the way are the pictures themselves.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from generators import media
from generators.contract import (
    CANCELLED,
    BadRequest,
    Generated,
    GenerateRequest,
    Media,
    OnStep,
    Step,
)
from generators.nn import word_vae
from generators.nn.darkroom import Darkroom, chance, folder_of
from generators.nn.word_vae import WordVae
from generators.registry import ModelEntry
from generators.runtime import Runtime, tensors_bytes
from generators.sampling import slerp

STEPS = 2  # latents found, pictures developed
MAX_INPUT_PIXELS = 4096 * 4096
FRAMES = 12  # of a blend's animation, one way
FRAME_MS = 80


class Model:
    """A loaded VAE with its darkroom."""

    libraries = Darkroom.libraries

    def __init__(self, net: WordVae, darkroom: Darkroom) -> None:
        self.net = net
        self.darkroom = darkroom
        self.memory_bytes = tensors_bytes([net]) + darkroom.memory_bytes

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder. Raises WeightsError where it is none of ours."""
        net = word_vae.load(folder_of(entry), runtime.device, runtime.dtype_for(entry))
        return cls(net, Darkroom.load(entry, runtime))

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Draw, blend or clean, request by request as their inputs say; see `contract.Model`."""
        params: list[Any] = [request.params for request in requests]
        scale = self.darkroom.scale(params[0].upscale)
        problem = self.darkroom.scale_problem(scale)
        if problem is not None:
            return [problem for _ in requests]
        found = [self._latents(request) for request in requests]
        unwanted = on_step(Step(1, STEPS))
        answers: list[Generated | BadRequest] = []
        for request, latents in zip(requests, found, strict=True):
            if isinstance(latents, BadRequest):
                answers.append(latents)
            elif request.job_id in unwanted:
                answers.append(CANCELLED)
            else:
                answers.append(self._answer(request, latents, scale))
        on_step(Step(STEPS, STEPS))
        return answers

    def _latents(self, request: GenerateRequest) -> Tensor | BadRequest:
        """The latents of a request's items, (count, C, h, w); of a blend, its frames after them."""
        if not request.inputs:
            return self._imagined(request)
        try:
            first = self._read(request, "image")
            if "image_b" in request.inputs:
                return self._blended(request, first, self._read(request, "image_b"))
        except BadRequest as error:
            return error
        return self._cleaned(request, first)

    def _imagined(self, request: GenerateRequest) -> Tensor:
        params: Any = request.params
        noise = self.darkroom.stray(params.truncation) * chance(request, self.net.shape.chance)
        ids = self._ids(params.prompt).expand(request.count, -1, -1)
        return self.net.imagine(noise.to(self.darkroom.device), ids).float()

    def _read(self, request: GenerateRequest, name: str) -> Tensor:
        """A picture among the inputs as latents (1, C, h, w). Raises BadRequest."""
        if name not in request.inputs:
            raise BadRequest("The first picture is missing.", "缺少第一张图片。")
        picture = media.decode_image(request.inputs[name], max_pixels=MAX_INPUT_PIXELS)
        return self.darkroom.read(picture)

    def _blended(self, request: GenerateRequest, first: Tensor, second: Tensor) -> Tensor:
        """Items at their places on the way, then the frames of the way there."""
        params: Any = request.params
        start, end = request.first_item, request.first_item + request.count
        places = [params.blend]
        if end > 1:
            places = [(index + 1) / (end + 1) for index in range(start, end)]
        places += [index / (FRAMES - 1) for index in range(FRAMES)]
        nothing = self._ids("")
        z = [self.net.encode(latents)[0] for latents in (first, second)]
        rest = [a - self.net.paint(b, nothing) for a, b in zip((first, second), z, strict=True)]
        way = torch.cat([slerp(z[0], z[1], place) for place in places])
        painted = self.net.paint(way, nothing.expand(len(places), -1, -1)).float()
        at = torch.tensor(places, device=painted.device).view(-1, 1, 1, 1)
        return painted + _faded(1 - at) * rest[0] + _faded(at) * rest[1]

    def _cleaned(self, request: GenerateRequest, damaged: Tensor) -> Tensor:
        params: Any = request.params
        clean = self.net.restore(damaged).float()
        return torch.lerp(damaged, clean, params.denoise).expand(request.count, -1, -1, -1)

    def _ids(self, text: str) -> Tensor:
        return self.net.reading.ids([text]).to(self.darkroom.device)

    def _answer(self, request: GenerateRequest, latents: Tensor, scale: int) -> Generated:
        params: Any = request.params
        pictures = self.darkroom.develop(latents, scale)
        items = self.darkroom.printed(request, pictures[: request.count])
        frames = pictures[request.count :]
        if frames and request.first_item == 0:
            items.insert(1, _there_and_back(frames))  # a rendition of the first
        used = {"truncation": self.darkroom.stray(params.truncation), "upscale": scale}
        return Generated(items, request.params.model_dump() | used)


def _faded(share: Tensor) -> Tensor:
    """1 at 1, and soon nothing: two pictures' details at once would show as ghosts."""
    return share.square()


def _there_and_back(frames: Sequence[Image.Image]) -> Media:
    """The way from the first picture to the second and back, as a GIF that loops for ever."""
    buffer = io.BytesIO()
    way = [*frames, *frames[-2:0:-1]]
    way[0].save(
        buffer, "GIF", save_all=True, append_images=way[1:], duration=FRAME_MS, loop=0,
        comment=b"Atelier: generated by a model",
    )  # fmt: skip
    facts = {
        "width": way[0].width,
        "height": way[0].height,
        "frames": len(way),
        "duration_s": len(way) * FRAME_MS / 1000,
    }
    return Media(buffer.getvalue(), "image/gif", facts, role="rendition")
