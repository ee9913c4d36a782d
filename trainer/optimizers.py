"""Optimizers, learning-rate schedules and the weight average of the one training loop.

Muon (Jordan et al., https://kellerjordan.github.io/posts/muon/) moves the hidden matrices, fused
AdamW everything else: embeddings, output layers, convolutions, norms and biases. With
`match_rms_adamw` (Liu et al., 2025, arXiv:2502.16982) both take the same learning rate. On the
starter recipes that halves the steps to a given loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from trainer.contract import OptimizerSettings

NEWTON_SCHULZ_STEPS = 4  # one less than the default: 20 % cheaper, no difference in the loss seen

IsHidden = Callable[[str, nn.Parameter], bool]


def split_parameters(
    module: nn.Module, is_hidden: IsHidden
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(hidden matrices, all other trainable parameters), each exactly once, in a stable order."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            (hidden if parameter.ndim == 2 and is_hidden(name, parameter) else rest).append(
                parameter
            )
    return hidden, rest


def build_optimizers(
    module: nn.Module, settings: OptimizerSettings, is_hidden: IsHidden
) -> list[torch.optim.Optimizer]:
    """Muon (where the module has hidden matrices and the recipe wants it), then AdamW."""
    hidden, rest = split_parameters(module, is_hidden)
    if not settings.muon:
        hidden, rest = [], hidden + rest
    optimizers: list[torch.optim.Optimizer] = []
    if hidden:
        optimizers.append(
            torch.optim.Muon(
                hidden,
                lr=settings.lr,
                weight_decay=settings.muon_weight_decay,
                ns_steps=NEWTON_SCHULZ_STEPS,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    if rest:
        # Decay pulls matrices to zero, never gains and biases.
        groups = [
            {
                "params": [parameter for parameter in rest if parameter.ndim > 1],
                "weight_decay": settings.adamw_weight_decay,
            },
            {"params": [parameter for parameter in rest if parameter.ndim <= 1], "weight_decay": 0},
        ]
        optimizers.append(
            torch.optim.AdamW(
                [group for group in groups if group["params"]],
                lr=settings.lr,
                betas=(0.9, settings.adamw_beta2),
                fused=True,
            )
        )
    return optimizers


def apply_gradients(
    optimizers: list[torch.optim.Optimizer],
    parameters: list[nn.Parameter],
    clip_norm: float,
    scaler: torch.amp.GradScaler | None = None,
) -> Tensor:
    """Clip the gradients to a global norm, step all optimizers, clear; returns the norm before, ().

    `scaler` holds the loss scale of fp16: gradients are unscaled before they are clipped, and where
    they overflowed no optimizer steps and the scale is lowered. It is updated once for all of them
    (accelerate's own wrapper does so after each, and would unscale the second's gradients twice).
    """
    if scaler is not None:
        for optimizer in optimizers:
            scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(parameters, clip_norm, foreach=True)
    for optimizer in optimizers:
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
        optimizer.zero_grad(set_to_none=True)
    if scaler is not None:
        scaler.update()
    return norm


def lr_at(step: int, total_steps: int, settings: OptimizerSettings) -> float:
    """The learning rate of optimizer step `step` in [0, total_steps): warm-up, then the schedule.

    Ends at `lr * final_lr_ratio`. A pure function of the step: nothing to store, and a resumed run
    may be given more or fewer steps.
    """
    warmup = min(settings.warmup_steps, total_steps // 2)
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, total_steps - 1 - warmup)
    done = min(1.0, done)
    if settings.lr_schedule == "constant":
        return settings.lr
    left = 1 - done if settings.lr_schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return settings.lr * (settings.final_lr_ratio + (1 - settings.final_lr_ratio) * left)


class Average:
    """Exponential moving average of what is trained (Polyak averaging), kept in float32.

    The decay starts low and rises to its value, min(decay, (1 + step) / (10 + step)), so that the
    first random weights are forgotten quickly.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = {
            name: value for name, value in module.named_parameters() if value.requires_grad
        }
        self.shadow = {name: value.detach().float().clone() for name, value in self.live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the parameters after optimizer step `step` (from 0) into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        live = [value.detach().float() for value in self.live.values()]
        torch._foreach_lerp_(list(self.shadow.values()), live, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module holds the averaged weights inside the block, its own again after it."""
        kept = {name: value.detach().clone() for name, value in self.live.items()}
        self._copy_into_module(self.shadow)
        try:
            yield
        finally:
            self._copy_into_module(kept)

    @torch.no_grad()
    def _copy_into_module(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.live.items():
            parameter.copy_(values[name])


class InferenceWeights:
    """`with InferenceWeights(...)`: evaluation mode and averaged weights, then back to training.

    Random numbers drawn inside do not change those drawn after it.
    """

    def __init__(self, module: nn.Module, average: Average | None) -> None:
        self._module = module
        self._stack = ExitStack()
        self._average = average

    def __enter__(self) -> None:
        self._stack.enter_context(torch.random.fork_rng(devices=[]))
        self._module.eval()
        self._stack.callback(self._module.train)
        if self._average is not None:
            self._stack.enter_context(self._average.applied())

    def __exit__(self, *error: object) -> None:
        self._stack.close()
