"""Sound as log-mel spectrograms, and the way back to a waveform. Torch; every precision.

A clip is (B, T) samples in [-1, 1]; its picture is (B, MELS, FRAMES) in about [-1, 1], mel bands
from low to high. The way back has no net: least squares from mel bands to the magnitudes of a
short-time Fourier transform, then phases by the fast Griffin-Lim algorithm (Griffin & Lim, 1984;
Perraudin, Balazs & Sondergaard, 2013). Used by the audio GAN, its trainer and its judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE_RATE = 16_000  # Hz
WINDOW = 1024  # samples of a frame, Hann
HOP = 256  # samples from frame to frame: 16 ms
MELS = 96
FRAMES = 128
LOWEST_HZ, HIGHEST_HZ = 30.0, 8000.0
FLOOR = 1e-3  # magnitude that counts as silence
CENTRE, SPREAD = -0.53, 6.4  # of the log magnitudes: FLOOR becomes -1, a loud partial about 1
NNLS_STEPS = 30
GRIFFIN_LIM_STEPS = 60
MOMENTUM = 0.99


def mel_of_hz(hz: Tensor) -> Tensor:
    """The mel scale of O'Shaughnessy: 2595 log10(1 + f / 700)."""
    return 2595 * torch.log10(1 + hz / 700)


def band_of_hz(hz: Tensor) -> Tensor:
    """Where frequencies lie on the picture's band axis: 0 is the centre of the lowest band."""
    low, high = (mel_of_hz(torch.tensor(edge)) for edge in (LOWEST_HZ, HIGHEST_HZ))
    return (mel_of_hz(hz) - low) / (high - low) * (MELS + 1) - 1


@cache
def filter_bank() -> Tensor:
    """Triangular mel filters over the STFT's bins: (MELS, WINDOW // 2 + 1) float64.

    A band narrower than a bin takes the nearest bin, so that no band is deaf.
    """
    hz = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    place = band_of_hz(hz)  # in bands
    bank = (1 - (place[None] - torch.arange(MELS)[:, None]).abs()).clamp_min(0)
    for band in (bank.sum(1) == 0).nonzero()[:, 0].tolist():
        bank[band, (place - band).abs().argmin()] = 1
    return bank


@cache
def _inverse_bank() -> Tensor:
    return torch.linalg.pinv(filter_bank())


def stft(samples: Tensor) -> Tensor:
    """(B, T) -> complex (B, WINDOW // 2 + 1, frames)."""
    window = torch.hann_window(WINDOW, dtype=samples.dtype, device=samples.device)
    return torch.stft(samples, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True)


def picture(samples: Tensor) -> Tensor:
    """Log-mel picture of clips (B, T), T at most FRAMES * HOP: (B, MELS, FRAMES)."""
    padded = F.pad(samples, (0, FRAMES * HOP - samples.shape[-1]))
    magnitudes = stft(padded)[..., :FRAMES].abs()
    bands = filter_bank().to(magnitudes) @ magnitudes
    return (bands.clamp_min(FLOOR).log() - CENTRE) / SPREAD


def magnitudes_of(pictures: Tensor) -> Tensor:
    """STFT magnitudes (B, WINDOW // 2 + 1, F) whose mel bands are those of pictures (B, MELS, F).

    Pseudo-inverse, then multiplicative updates that keep every value positive (Lee & Seung, 2001).
    """
    bands = (pictures * SPREAD + CENTRE).exp()
    bands = torch.where(bands < 2 * FLOOR, torch.zeros_like(bands), bands)
    bank = filter_bank().to(bands)
    found = (_inverse_bank().to(bands) @ bands).clamp_min(1e-6)
    for _ in range(NNLS_STEPS):
        found = found.clamp_min(1e-6) * (bank.T @ bands) / (bank.T @ (bank @ found) + 1e-8)
    return found


def waveform(
    pictures: Tensor,
    rngs: Sequence[torch.Generator],
    on_step: Callable[[int], None] = lambda step: None,
) -> Tensor:
    """Clips (B, F * HOP) from pictures (B, MELS, F) of any number of frames, peak as it comes.

    The first phases of row i are drawn from `rngs[i]` (CPU), so a row does not depend on its
    neighbours. `on_step(n)` is called after step n of GRIFFIN_LIM_STEPS.
    """
    magnitudes = magnitudes_of(pictures)
    turns = torch.stack(
        [torch.rand(magnitudes.shape[1:], generator=rng, dtype=torch.float64) for rng in rngs]
    ).to(magnitudes)
    phases = torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
    before = torch.zeros_like(phases)
    for step in range(1, GRIFFIN_LIM_STEPS + 1):
        now = stft(_inverse_stft(magnitudes * phases))[..., : pictures.shape[-1]]
        ahead = now - MOMENTUM / (1 + MOMENTUM) * before
        phases = ahead / (ahead.abs() + 1e-9)
        before = now
        on_step(step)
    return _inverse_stft(magnitudes * phases)


def _inverse_stft(spectrum: Tensor) -> Tensor:
    """Complex (B, bins, F) -> (B, F * HOP); a silent frame more gives the last samples a window."""
    window = torch.hann_window(WINDOW, dtype=spectrum.real.dtype, device=spectrum.device)
    length = spectrum.shape[-1] * HOP
    return torch.istft(F.pad(spectrum, (0, 1)), WINDOW, HOP, window=window, length=length)
