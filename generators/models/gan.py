"""Words to a picture in one step: the generator net of a GAN, then the shared autoencoder. Torch.

The nets are in `generators.nn.painter`, how they were trained in `trainer.objectives.gan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from generators.contract import CANCELLED, BadRequest, Generated, GenerateRequest, OnStep, Step
from generators.nn import painter
from generators.nn.darkroom import Darkroom, chance, folder_of
from generators.nn.painter import WordPainter
from generators.registry import ModelEntry
from generators.runtime import Runtime, tensors_bytes

STEPS = 2  # painted, developed


class Model:
    """A loaded generator net with its darkroom."""

    libraries = Darkroom.libraries

    def __init__(self, net: WordPainter, darkroom: Darkroom) -> None:
        self.net = net
        self.darkroom = darkroom
        self.memory_bytes = tensors_bytes([net]) + darkroom.memory_bytes

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder. Raises WeightsError where it is none of ours."""
        net = painter.load(folder_of(entry), runtime.device, runtime.dtype_for(entry))
        return cls(net, Darkroom.load(entry, runtime))

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Draw all items of the batch together; see `contract.Model`."""
        params: list[Any] = [request.params for request in requests]
        scale = self.darkroom.scale(params[0].upscale)
        problem = self.darkroom.scale_problem(scale)
        if problem is not None:
            return [problem for _ in requests]
        strays = [self.darkroom.stray(p.truncation) for p in params]
        width, device = self.net.shape.chance, self.darkroom.device
        z = torch.cat([s * chance(r, width) for s, r in zip(strays, requests, strict=True)])
        prompts = [r.params.prompt for r in requests for _ in range(r.count)]  # type: ignore[attr-defined]
        latents = self.net(z.to(device), self.net.reading.ids(prompts).to(device)).float()
        unwanted = on_step(Step(1, STEPS))
        parts = latents.split([r.count for r in requests])
        wanted = [index for index, r in enumerate(requests) if r.job_id not in unwanted]
        pictures = iter(self.darkroom.develop(torch.cat([parts[i] for i in wanted]), scale))
        answers: list[Generated | BadRequest] = [CANCELLED for _ in requests]
        for index in wanted:
            request = requests[index]
            items = self.darkroom.printed(request, [next(pictures) for _ in range(request.count)])
            used = {"truncation": strays[index], "upscale": scale}
            answers[index] = Generated(items, request.params.model_dump() | used)
        on_step(Step(STEPS, STEPS))
        return answers
