"""Two adversaries in one loss, so that the one loop trains a GAN without knowing it. Torch.

A GAN's two nets want opposite things of the same score. Here each gets its own part of one sum:

    loss = generator_loss(frozen(critic, made)) + critic_loss(critic(real), critic(made.detach()))

In the first term the critic's parameters are constants, in the second what was made is one; so one
backward pass and one optimizer step serve both, each with the gradient of its own part (the
simultaneous updates of Mescheder et al., 2017, arXiv:1705.10461), and checkpoints, precision and
several devices work as for any loss. Used by the objectives with an adversary.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call


def frozen(module: nn.Module, *inputs: Any) -> Any:
    """`module(*inputs)` with its parameters as constants: gradients reach the inputs alone."""
    constants = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return functional_call(module, constants, inputs)


def hinge_critic_loss(real: Tensor, made: Tensor) -> Tensor:
    """The critic's hinge loss (Lim & Ye, 2017, arXiv:1705.02894) from its scores, (B,) each."""
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()


def hinge_generator_loss(made: Tensor) -> Tensor:
    """What the generator lowers: minus the critic's mean score of what it made."""
    return -made.mean()


def ramp(progress: float, start: float, end: float) -> float:
    """0 until `start`, 1 from `end`, a line between; `progress` in [0, 1] of the run."""
    return min(1.0, max(0.0, (progress - start) / max(end - start, 1e-9)))
