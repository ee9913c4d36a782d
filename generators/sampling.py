"""Noise and choices as pure functions of tensors: what text and pictures are drawn with. Torch.

No model and no pipeline in here, so each function can be tested against its definition.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def slerp(start: Tensor, end: Tensor, strength: float) -> Tensor:
    """Spherical mix of two noises of equal shape: 0 gives `start`, 1 gives `end`.

    A straight mix of two independent normal noises has too small a variance in between, and
    pictures wash out; on the sphere it stays. Shoemake, "Animating rotation with quaternion
    curves", SIGGRAPH 1985. Nearly parallel noises are mixed straight.
    """
    a, b = start.double().flatten(), end.double().flatten()
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp_min(1e-12)
    angle = torch.acos(cosine.clamp(-1.0, 1.0))
    if torch.sin(angle) < 1e-4:
        mixed = (1 - strength) * a + strength * b
    else:
        mixed = torch.sin((1 - strength) * angle) * a + torch.sin(strength * angle) * b
        mixed = mixed / torch.sin(angle)
    return mixed.reshape(start.shape).to(start)


def noise_levels(scheduler: Any, step: int) -> tuple[float, float] | None:
    """(signal, noise) factors of the latents after `step` steps of a diffusers scheduler, so that
    latents = signal * picture + noise * unit noise; None where the scheduler does not tell.

    Flow matching: (1 - s, s). Variance exploding (Euler and kin): (1, s). Variance preserving
    (DDIM and kin): (sqrt(a), sqrt(1 - a)). DPM-Solver can be any of them, and says which.
    """
    name = type(scheduler).__name__
    sigmas = getattr(scheduler, "sigmas", None)
    if name.startswith("DPMSolver") and sigmas is not None and step < len(sigmas):
        signal, noise = scheduler._sigma_to_alpha_sigma_t(sigmas[step])
        return float(signal), float(noise)
    if name.startswith("FlowMatch") and sigmas is not None and step < len(sigmas):
        sigma = float(sigmas[step])
        return 1.0 - sigma, sigma
    if name.startswith("Euler") and sigmas is not None and step < len(sigmas):
        return 1.0, float(sigmas[step])
    cumulative = getattr(scheduler, "alphas_cumprod", None)
    if name.startswith(("DDIM", "PNDM", "LCM")) and cumulative is not None:
        timesteps = scheduler.timesteps
        alpha = float(cumulative[int(timesteps[step])]) if step < len(timesteps) else 1.0
        return alpha**0.5, (1 - alpha) ** 0.5
    return None


def clean_estimate(
    before: Tensor,
    after: Tensor,
    levels_before: tuple[float, float],
    levels_after: tuple[float, float],
) -> Tensor:
    """The picture that two successive latents of a deterministic sampler agree on.

    With x = signal * picture + noise * n and the same n in both, the picture solves two equations:
    (noise' * x - noise * x') / (signal * noise' - signal' * noise). Exact for Euler and DDIM steps
    of a perfect model; a fair preview for others.
    """
    (signal, noise), (signal_after, noise_after) = levels_before, levels_after
    denominator = signal * noise_after - signal_after * noise
    if abs(denominator) < 1e-6:
        return after
    return (noise_after * before - noise * after) / denominator


def penalize_repetition(logits: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """Make tokens already written rarer. logits (B, V), seen (B, S) their ids (repeated ones do no
    harm), penalty (B,) >= 1.

    Positive logits are divided, negative ones multiplied by the penalty: Keskar et al., "CTRL"
    (2019), section 4.1, as in transformers.
    """
    factor = penalty[:, None].to(logits)
    values = logits.gather(-1, seen)
    return logits.scatter(-1, seen, torch.where(values > 0, values / factor, values * factor))


def narrow(logits: Tensor, top_k: Tensor) -> tuple[Tensor | None, Tensor]:
    """The tokens within each row's top_k (and those equal to its last), in the order of their ids:
    (ids (B, W), logits (B, W)), short rows filled with -inf; (None, logits) where a row wants all.

    logits (B, V), top_k (B,) with 0 for all. What follows need not look at a vocabulary of
    250,000 again.
    """
    vocabulary = logits.shape[-1]
    most = int(top_k.max())
    if most >= vocabulary or bool((top_k == 0).any()):
        return None, logits
    ordered, _ = torch.topk(logits, most, dim=-1)
    rows, ids = (logits >= ordered.gather(-1, (top_k - 1)[:, None])).nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(logits))
    place = torch.arange(len(rows), device=logits.device) - (counts.cumsum(0) - counts)[rows]
    found = torch.zeros(len(logits), int(counts.max()), dtype=torch.int64, device=logits.device)
    kept = logits.new_full(found.shape, -torch.inf)
    found[rows, place] = ids
    kept[rows, place] = logits[rows, ids]
    return found, kept


def keep_likeliest(logits: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Set all but the likeliest tokens of each row to -inf. logits (B, V), top_k (B,) with 0 for
    all, top_p (B,) in (0, 1].

    top_k keeps the k likeliest (and those equal to the last of them); top_p the smallest set whose
    probability reaches p (Holtzman et al., "The curious case of neural text degeneration", 2020).
    A row that asks for neither is returned as it was, whatever its neighbours ask for.
    """
    vocabulary = logits.shape[-1]
    k = torch.where(top_k > 0, top_k, vocabulary).clamp(max=vocabulary)
    narrowed = (k < vocabulary) | (top_p < 1)
    if not bool(narrowed.any()):
        return logits
    # Where every row has a top_k, only so many need sorting: vocabularies go to 250,000.
    widest = int(k.max()) if bool((k[narrowed] < vocabulary).all()) else vocabulary
    widest = min(widest, vocabulary) if bool(narrowed.all()) else vocabulary
    ordered, _ = torch.topk(logits, widest, dim=-1)  # (B, widest), falling
    floor_k = ordered.gather(-1, (k - 1).clamp(max=widest - 1)[:, None])  # (B, 1)
    within_k = torch.where(ordered >= floor_k, ordered, -torch.inf)
    ahead = within_k.softmax(-1).cumsum(-1) - within_k.softmax(-1)  # probability of those before
    last = ((ahead < top_p[:, None]) & (ordered >= floor_k)).sum(-1, keepdim=True) - 1
    floor_p = ordered.gather(-1, last.clamp(min=0))
    floor = torch.where((top_p < 1)[:, None], torch.maximum(floor_k, floor_p), floor_k)
    kept = logits.masked_fill(logits < floor, -torch.inf)
    return torch.where(narrowed[:, None], kept, logits)


def temper(logits: Tensor, temperature: Tensor) -> Tensor:
    """Sharpen (below 1) or flatten (above 1) each row's distribution; 0 leaves it, since the
    likeliest token stays the likeliest. logits (B, V), temperature (B,)."""
    divisor = torch.where(temperature > 0, temperature, torch.ones_like(temperature))
    return logits / divisor[:, None].to(logits)


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """One token per row by the inverse of its cumulative distribution; returns (B,) int64.

    logits (B, V); uniform (B,) in [0, 1), drawn by each row's own generator. A row's choice depends
    on nothing but its own two values.
    """
    precise = torch.float32 if logits.device.type == "mps" else torch.float64
    cumulative = logits.to(precise).softmax(-1).cumsum(-1)  # (B, V)
    target = uniform.to(precise)[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    return drawn.clamp(max=logits.shape[-1] - 1)
