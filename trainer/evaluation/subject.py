"""The model under evaluation, asked as the studio would ask it: through its generator. Torch.

So hub models are measured like starters, and what is measured is what members get: their defaults,
their sampler, their number format.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from generators import catalog
from generators.contract import BadRequest, Generated, GenerateRequest, GeneratorSpec, Media, Step
from generators.registry import ModelEntry
from generators.runtime import make_runtime
from generators.settings import GeneratorSettings
from trainer.evaluation.results import Tick


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to make: the params by name, its seed, what is attached."""

    params: Mapping[str, Any]
    seed: int = 0
    inputs: Mapping[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A loaded model with its spec."""

    entry: ModelEntry
    spec: GeneratorSpec
    model: Any

    @classmethod
    def load(cls, entry: ModelEntry, settings: GeneratorSettings) -> Subject:
        """Load as the model child does. Raises whatever loading raises."""
        model = catalog.load(entry.generator).load(entry, make_runtime(settings))
        return cls(entry, catalog.spec(entry.generator), model)

    def can(self, capability: str) -> bool:
        """Whether the generator says so."""
        return capability in self.spec.capabilities

    def make(self, asked: Sequence[Asked], tick: Tick) -> list[Media | None]:
        """The first item of each, in order; None where the model declines the request."""
        made: list[Media | None] = []
        for start in range(0, len(asked), self.spec.max_batch):
            chunk = asked[start : start + self.spec.max_batch]
            requests = [
                GenerateRequest(
                    str(number),
                    self.spec.params.model_validate(dict(one.params)),
                    one.seed,
                    inputs=one.inputs or {},
                )
                for number, one in enumerate(chunk)
            ]
            answers = self.model.generate(requests, _go_on)
            made += [_first_item(answer) for answer in answers]
            tick(len(chunk))
        return made

    def draw(self, prompts: Sequence[str], seeds: Sequence[int], size: int, tick: Tick) -> Tensor:
        """A picture of each prompt from the seed beside it: (N, 3, size, size) in [-1, 1]; white
        where the model declines, which no judge takes for the thing. Not enlarged: the judges look
        at few pixels anyway."""
        plain = {"upscale": 1} if "upscale" in self.spec.params.model_fields else {}
        pairs = zip(prompts, seeds, strict=True)
        made = self.make([Asked({"prompt": p, **plain}, seed) for p, seed in pairs], tick)
        blank = torch.ones(3, size, size)
        drawn = [blank if media is None else as_tensor(as_image(media), size) for media in made]
        return torch.stack(drawn) if drawn else torch.empty(0, 3, size, size)


def _go_on(step: Step) -> frozenset[str]:
    return frozenset()


def _first_item(answer: Generated | BadRequest) -> Media | None:
    if isinstance(answer, BadRequest):
        return None
    return next(item for item in answer.items if item.role == "item")


def as_image(media: Media) -> Image.Image:
    """The picture, on white where it is transparent."""
    with Image.open(io.BytesIO(media.data)) as picture:
        rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def as_tensor(picture: Image.Image, size: int) -> Tensor:
    """(3, size, size) in [-1, 1]; resampled where the picture has another size."""
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div(127.5).sub(1)


def as_picture(pixels: Tensor) -> Image.Image:
    """Back to a picture from (3, H, W) in [-1, 1]."""
    values = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
    return Image.fromarray(values.cpu().numpy())
