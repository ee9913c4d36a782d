"""Which note a clip plays, by autocorrelation: a second opinion that no net has a part in.

The method of YIN (de Cheveigne & Kawahara, 2002) in its plainest form: the squared difference of a
clip and itself one period later, normalised by its running mean; the first deep dip is the period.
"""

from __future__ import annotations

import math

import numpy as np

from generators.nn.mel import SAMPLE_RATE

LOWEST_HZ, HIGHEST_HZ = 50.0, 1500.0
START_S, LENGTH_S = 0.06, 0.15  # past the attack
DEEP = 0.15


def pitch_of(samples: np.ndarray) -> float:
    """MIDI number (with a fraction) of a clip (T,) at SAMPLE_RATE; 0 where no period is found."""
    start = round(START_S * SAMPLE_RATE)
    window = round(LENGTH_S * SAMPLE_RATE)
    longest = math.ceil(SAMPLE_RATE / LOWEST_HZ)
    part = samples[start : start + window + longest].astype(np.float64)
    if len(part) < window + longest or np.abs(part).max() < 1e-4:
        return 0.0
    size = 1 << (2 * len(part)).bit_length()
    spectrum = np.fft.rfft(part, size)
    head = np.fft.rfft(part[:window], size)
    product = np.fft.irfft(head.conj() * spectrum, size)[: longest + 1]
    energy = np.concatenate([[0.0], np.cumsum(part**2)])
    lags = np.arange(longest + 1)
    difference = energy[window] + energy[lags + window] - energy[lags] - 2 * product
    running = np.cumsum(difference[1:]) / lags[1:]
    relative = np.concatenate([[1.0], difference[1:] / np.maximum(running, 1e-12)])
    first = max(2, math.floor(SAMPLE_RATE / HIGHEST_HZ))
    below = np.flatnonzero(relative[first:-1] < DEEP)
    lag = first + (int(below[0]) if len(below) else int(relative[first:-1].argmin()))
    while lag + 1 < longest and relative[lag + 1] < relative[lag]:
        lag += 1
    left, here, right = relative[lag - 1 : lag + 2]
    bend = left - 2 * here + right
    exact = lag + (0.5 * (left - right) / bend if abs(bend) > 1e-12 else 0.0)
    return 69 + 12 * math.log2(SAMPLE_RATE / exact / 440)


def cents_apart(heard: float, asked: float) -> float:
    """How far a heard pitch is from the one asked for, both MIDI numbers; far where none was."""
    return 100 * (heard - asked) if heard else math.inf
