"""Other views of the same picture: moved, bent, softened, in other light and other colours.

What a judge of drawings is trained on. A drawing of a cat is still one when it is off centre, a
little out of shape, blurred by a decoder or blue; a classifier that saw only the clean pictures
would call it anything. All on tensors, a whole batch at once, every draw from torch's generator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.data.recolour import COLOUR_WORDS, SIDED

MAX_TURN = 20.0  # degrees
SCALES = (0.76, 1.18)  # of the side
MAX_SHIFT = 0.1  # of the side
MAX_SHEAR = 0.12
BEND = 0.07  # of the side: deviation of a smooth distortion
BEND_KNOTS = 4  # a side
SOFTEST = 20  # pixels a side that the softest view keeps
CHUNKS = 8  # of a batch, each with its own softness
RECOLOURED = 0.3  # share of views in another colour
ERASED = 0.25  # share of views with a rectangle missing
MAX_NOISE = 0.12  # deviation, pixels in [-1, 1]
MIDDLE = 0.6  # the luminance that takes the full tint


def traits(captions: Sequence[Mapping[str, Sequence[str]]]) -> tuple[Tensor, Tensor]:
    """(may be mirrored, may be recoloured) of each picture, (N,) bool twice, by its English words.

    An arrow in a mirror is another arrow; a blue heart and a flag are what they are by colour.
    """
    words = [_words(phrases.get("en", ())) for phrases in captions]
    names = [_words(list(phrases.get("en", ()))[:1]) for phrases in captions]
    mirrored = [not found & SIDED for found in words]
    coloured = [
        not (name & COLOUR_WORDS or "flag" in found)
        for name, found in zip(names, words, strict=True)
    ]
    return torch.tensor(mirrored), torch.tensor(coloured)


def _words(phrases: Sequence[str]) -> set[str]:
    text = " ".join(phrases).casefold()
    return set(text.replace("-", " ").replace(":", " ").split())


def draw_views(pixels: Tensor, mirrored: Tensor, recoloured: Tensor) -> Tensor:
    """One random view of each picture: (B, 3, H, W) in [-1, 1], of the same shape.

    `mirrored` and `recoloured` (B,) bool say what is allowed (`traits`).
    """
    x = _recolour(pixels, recoloured & (torch.rand(len(pixels)) < RECOLOURED))
    x = _light(_move(x, mirrored))
    x = _erase(_soften(x))
    noise = torch.rand(len(x), 1, 1, 1) * MAX_NOISE
    return (x + noise * torch.randn_like(x)).clamp(-1, 1)


def _uniform(count: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(count)


def _move(x: Tensor, mirrored: Tensor) -> Tensor:
    """Turned, scaled, sheared, shifted, bent; what comes in from outside is white."""
    count = len(x)
    turn = _uniform(count, -1, 1) * math.radians(MAX_TURN) * mirrored
    scale = _uniform(count, math.log(SCALES[0]), math.log(SCALES[1])).exp()
    flip = torch.where(mirrored & (torch.rand(count) < 0.5), -1.0, 1.0)
    shear = _uniform(count, -MAX_SHEAR, MAX_SHEAR)
    cos, sin = turn.cos() / scale, turn.sin() / scale
    shift = _uniform(2 * count, -2 * MAX_SHIFT, 2 * MAX_SHIFT).view(2, count)
    matrix = torch.stack(
        [
            torch.stack([flip * cos, -sin + shear, shift[0]], dim=1),
            torch.stack([flip * sin, cos, shift[1]], dim=1),
        ],
        dim=1,
    )  # (B, 2, 3)
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    knots = torch.randn(count, 2, BEND_KNOTS, BEND_KNOTS) * BEND
    bend = F.interpolate(knots, size=x.shape[2:], mode="bicubic", align_corners=True)
    grid = grid + bend.permute(0, 2, 3, 1)
    # Outside counts as zero: sample the ink (white = 0), not the pixels.
    return 1 - F.grid_sample(1 - x, grid, mode="bilinear", align_corners=False)


def _recolour(x: Tensor, chosen: Tensor) -> Tensor:
    """The chosen pictures with their hues turned, or tinted whole; white stays white."""
    count = len(x)
    light = (x + 1) / 2
    turned = torch.einsum("bij,bjhw->bihw", _hue_turns(_uniform(count, 0, 2 * math.pi)), light)
    weights = torch.tensor([0.3, 0.59, 0.11]).view(1, 3, 1, 1)
    grey = (light * weights).sum(1, keepdim=True)
    tint = _tints(count)
    below, above = tint * (grey / MIDDLE), tint + (1 - tint) * (grey - MIDDLE) / (1 - MIDDLE)
    tinted = torch.where(grey < MIDDLE, below, above)
    new = torch.where((torch.rand(count) < 0.5).view(-1, 1, 1, 1), turned, tinted)
    return torch.where(chosen.view(-1, 1, 1, 1), 2 * new.clamp(0, 1) - 1, x)


def _hue_turns(angles: Tensor) -> Tensor:
    """Rotations about the grey axis (Rodrigues' formula): (B, 3, 3)."""
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    cos, sin = angles.cos().view(-1, 1, 1), angles.sin().view(-1, 1, 1)
    return cos * torch.eye(3) + (1 - cos) / 3 + sin * across


def _tints(count: int) -> Tensor:
    """Strong colours of every hue: (B, 3, 1, 1) in [0, 1]."""
    hue = torch.rand(count, 1) * 2 * math.pi + torch.tensor([0.0, -2.094, 2.094])
    pure = (0.5 + hue.cos()).clamp(0, 1)
    pale = _uniform(count, 0, 0.35).view(-1, 1)
    return ((pale + (1 - pale) * pure) * _uniform(count, 0.6, 1).view(-1, 1)).view(-1, 3, 1, 1)


def _light(x: Tensor) -> Tensor:
    """Ink stronger or weaker, more or less saturated; white stays white."""
    ink = 1 - x
    grey = ink.mean(1, keepdim=True)
    saturation = _uniform(len(x), 0.6, 1.4).view(-1, 1, 1, 1)
    strength = _uniform(len(x), 0.7, 1.25).view(-1, 1, 1, 1)
    return (1 - (grey + saturation * (ink - grey)) * strength).clamp(-1, 1)


def _soften(x: Tensor) -> Tensor:
    """Detail lost, as a decoder loses it: down to fewer pixels and back, differently by chunk."""
    side, soft = x.shape[-1], []
    for chunk in x.chunk(CHUNKS):
        kept = int(torch.randint(min(SOFTEST, side), side + 1, ()))
        small = F.interpolate(chunk, size=(kept, kept), mode="area")
        back = F.interpolate(small, size=x.shape[2:], mode="bicubic", align_corners=False)
        soft.append(back if kept < side and torch.rand(()) < 0.7 else chunk)
    return torch.cat(soft)


def _erase(x: Tensor) -> Tensor:
    """A rectangle of up to a third of the side replaced by one shade, in some of the pictures."""
    count, side = len(x), x.shape[-1]
    half = _uniform(2 * count, 0.05, 0.17).view(2, count, 1) * side
    middle = _uniform(2 * count, 0.15, 0.85).view(2, count, 1) * side
    inside = (torch.arange(side) - middle).abs() < half  # (2, B, side)
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    hole &= (torch.rand(count) < ERASED).view(-1, 1, 1)
    shade = torch.where(
        torch.rand(count, 1) < 0.5, torch.ones(count, 3), _uniform(count * 3, -1, 1).view(count, 3)
    )
    return torch.where(hole[:, None], shade.view(-1, 3, 1, 1), x)
