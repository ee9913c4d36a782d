"""What a run learns of its own steps: losses, whether somebody asked to leave, what is due. Torch.

Each look waits for the device and, with several processes, for all of them; so it is taken seldom,
and everything is asked in one exchange. Used by `trainer.loop` only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from trainer import checkpoints
from trainer.contract import Recipe, TrainingError
from trainer.journal import Journal, Reading
from trainer.optimizers import lr_at
from trainer.orders import Chore

READ_EVERY = 10  # optimizer steps between two looks at a GPU's losses: each one waits for it
MOST_OVERFLOWS = 50  # fp16 steps without a finite gradient, one after the other


class Readings:
    """The steps that were taken and not yet looked at; `train_s` is what all of them took."""

    def __init__(
        self,
        accelerator: Accelerator,
        recipe: Recipe,
        journal: Journal,
        checkpoints_folder: Path,
        train_s: float,
    ) -> None:
        self._accelerator, self._recipe, self._journal = accelerator, recipe, journal
        self._checkpoints = checkpoints_folder
        self.train_s = train_s
        self.unread: list[tuple[Tensor, Tensor]] = []  # (loss, gradient norm) of the last steps
        self._overflows = 0
        self._clock = 0.0

    def start_clock(self) -> None:
        """From here on it is training that takes the time."""
        self._clock = time.monotonic()

    def are_due(self, step: int) -> bool:
        """Whether to look now, `step` steps being done."""
        every = 1 if self._accelerator.device.type == "cpu" else READ_EVERY
        return step % every == 0 or step in (1, self._recipe.total_steps)

    def take(self, step: int, asked: bool, chores: Sequence[Chore]) -> tuple[bool, list[Chore]]:
        """Take in the steps since the last look: (somebody asked to leave, chores that are due).

        One exchange between all processes: their losses are averaged, they leave at the same step,
        and the main one's clock says what is due. Raises TrainingError where training diverged, so
        that no such weights are ever saved.
        """
        now, world = time.monotonic(), self._accelerator.num_processes
        main = self._accelerator.is_main_process
        flags = [asked, *(main and now >= chore.due_at for chore in chores)]
        losses = torch.stack([loss.float() for loss, _ in self.unread])
        answers = torch.tensor(flags, dtype=losses.dtype, device=losses.device)
        shared = self._accelerator.reduce(torch.cat([losses, answers]), "sum").tolist()
        norms = torch.stack([norm.float() for _, norm in self.unread]).tolist()
        count, self.unread = len(norms), []
        now = time.monotonic()  # the device has answered
        seconds = (now - self._clock) / count
        self.train_s, self._clock = self.train_s + now - self._clock, now
        for number, norm in enumerate(norms):
            self._take_one(step - count + number + 1, shared[number] / world, norm, seconds)
        told, *due = (answer > 0 for answer in shared[count:])
        return told, [chore for chore, now_due in zip(chores, due, strict=True) if now_due]

    def _take_one(self, step: int, loss: float, norm: float, seconds: float) -> None:
        recipe, scaled = self._recipe, self._accelerator.scaler is not None
        self._overflows = self._overflows + 1 if scaled and not math.isfinite(norm) else 0
        lost = not math.isfinite(norm) and (not scaled or self._overflows > MOST_OVERFLOWS)
        if lost or not math.isfinite(loss):
            raise TrainingError(self._diverged(step, loss))
        if not self._accelerator.is_main_process:
            return
        examples = recipe.batch_size * recipe.gradient_accumulation_steps
        rate = examples * self._accelerator.num_processes / max(seconds, 1e-9)
        lr = lr_at(step - 1, recipe.total_steps, recipe.optimizer)
        eta_s = (recipe.total_steps - step) * self.train_s / step
        self._journal.step(Reading(step, loss, lr, norm, rate, eta_s))

    def _diverged(self, step: int, loss: float) -> str:
        last = checkpoints.latest(self._checkpoints)
        kept = f"The last good checkpoint is {last}." if last else "No checkpoint was written yet."
        what = f"The loss became {loss}" if not math.isfinite(loss) else "The gradient overflowed"
        return (
            f"{what} at step {step}: lower the learning rate "
            f"(now {self._recipe.optimizer.lr:g}) or use precision fp32. {kept}"
        )
