"""How pictures dissolve into noise under the pipeline that is trained, read off its own scheduler.

Our own models follow a straight path (`trainer.objectives.diffusion.flow_loss`). The Stable
Diffusion family follows a variance-preserving one (Ho et al., 2020, arXiv:2006.11239) and predicts
the noise or the velocity (Salimans & Ho, 2022, arXiv:2202.00512); a LoRA over such a base must be
trained the same way, or it would pull it elsewhere. Used by the diffusion objective.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor

from trainer.contract import TrainingError

Predict = Callable[[Tensor, Tensor], Tensor]  # (noisy latents, timesteps (B,)) -> prediction


class VariancePreserving:
    """The noising and the target of a pipeline of the Stable Diffusion family."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._schedule = DDPMScheduler.from_config(config)
        self._target = config.get("prediction_type", "epsilon")
        self.timesteps = int(self._schedule.config.num_train_timesteps)

    def loss(self, predict: Predict, x0: Tensor, noise: Tensor, s: Tensor) -> Tensor:
        """Mean squared error at times `s` (B,) in [0, 1), 1 being noise; a scalar."""
        timesteps = (s * self.timesteps).long()
        noisy = self._schedule.add_noise(x0, noise, timesteps)
        if self._target == "v_prediction":
            target = self._schedule.get_velocity(x0, noise, timesteps)
        else:
            target = noise if self._target == "epsilon" else x0
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        return F.mse_loss(predict(noisy, timesteps).float(), target)


def process_of(pipeline: Path) -> VariancePreserving | None:
    """The process of a pipeline's folder; None for the straight path of our own models.

    Raises TrainingError for pipelines of other kinds, which this objective has no parts for.
    """
    kind = json.loads((pipeline / "model_index.json").read_text(encoding="utf-8"))["_class_name"]
    if kind != "StableDiffusionPipeline":
        raise TrainingError(
            f"{pipeline} is a {kind}: only pipelines with one CLIP text encoder and a U-Net "
            "(StableDiffusionPipeline) can be trained on."
        )
    path = pipeline / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("prediction_type") == "flow_prediction":
        return None
    return VariancePreserving(config)
