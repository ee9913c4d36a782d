"""The one training loop, for every objective: precision, devices, optimizers, averages, saving.

Built on accelerate, so that the same code runs on a CPU, a GPU, or several by
`accelerate launch -m trainer train ...`. Started by `trainer.__main__` only.
"""

from __future__ import annotations

import importlib
import json
import math
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from trainer import checkpoints
from trainer.catalog import load_objective
from trainer.contract import DatasetManifest, Recipe, TrainingError, TrainingReport
from trainer.data.manifests import read_manifest
from trainer.data.order import examples_of_step, step_seed
from trainer.export import write_weights
from trainer.objective import Objective, Setting
from trainer.optimizers import Average, build_optimizers, lr_at
from trainer.plots import Metrics
from trainer.progress import Reporter

METRICS_EVERY = 10  # optimizer steps between two rows of metrics.csv


@dataclass(frozen=True, slots=True)
class Order:
    """What to train, on what, and where to put it."""

    recipe: Recipe
    recipe_name: str
    dataset: Path
    out: Path
    resume: bool = False
    init: Path | None = None
    tensorboard: bool = False


@dataclass(slots=True)
class StopRequest:
    """Set by SIGTERM or SIGINT; the loop looks at it between two steps."""

    signal_number: int = 0

    def listen(self) -> None:
        """Take the two signals from here on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number


@dataclass
class Run:
    """One execution of a recipe, with all of its state."""

    order: Order
    report: Reporter
    stop: StopRequest = field(default_factory=StopRequest)

    def __post_init__(self) -> None:
        recipe = self.order.recipe
        self.accelerator = Accelerator(
            mixed_precision="bf16" if recipe.precision == "bf16" else "no",
            gradient_accumulation_steps=recipe.gradient_accumulation_steps,
            log_with="tensorboard" if self.order.tensorboard else None,
            project_dir=str(self.order.out) if self.order.tensorboard else None,
        )
        self.checkpoints = self.order.out / "checkpoints"
        start = self._starting_checkpoint()
        set_seed(recipe.seed)
        self.objective = self._objective()
        self.plain = self.objective.module  # without the wrapper of data parallelism
        optimizers = build_optimizers(self.plain, recipe.optimizer, self.objective.is_hidden)
        self.module, *self.optimizers = self.accelerator.prepare(self.plain, *optimizers)
        self.plain_optimizers = optimizers
        self.average = Average(self.plain, recipe.ema_decay) if recipe.ema_decay else None
        self.step, self.train_s = 0, 0.0
        if start is not None:
            progress = checkpoints.restore(start, self.plain, self.average, optimizers)
            self.step, self.train_s = progress.optimizer_step, progress.train_s
        self.metrics = Metrics(self.order.out / "metrics.csv")
        if self.accelerator.is_main_process:
            self.metrics.begin(resumed_at=self.step)
        if self.order.tensorboard:
            self.accelerator.init_trackers("tensorboard")

    def _starting_checkpoint(self) -> Path | None:
        """Where to go on, or None for a new run; makes the run's folder and its recipe file."""
        self.order.out.mkdir(parents=True, exist_ok=True)
        found = checkpoints.latest(self.checkpoints)
        if found is not None and not self.order.resume:
            raise TrainingError(
                f"{self.order.out} already holds a run: add --resume to go on with it, "
                "or choose another folder."
            )
        if found is not None:
            _refuse_other_recipe(checkpoints.read_recipe(found), self.order.recipe)
        if self.accelerator.is_main_process:
            text = json.dumps(self.order.recipe.model_dump(), indent=1, ensure_ascii=False)
            (self.order.out / "recipe.json").write_text(text + "\n", encoding="utf-8")
        return found

    def _objective(self) -> Objective:
        manifest = read_manifest(self.order.dataset)
        setting = Setting(
            recipe=self.order.recipe,
            dataset=self.order.dataset,
            manifest=manifest,
            device=self.accelerator.device,
            init=self.order.init,
        )
        make = load_objective(self.order.recipe.objective)
        quieten_libraries()
        with self.accelerator.main_process_first():
            objective: Objective = make(setting)
        return objective

    def train(self) -> Path | None:
        """Run to the end and return the weights' folder, or None where a signal asked to leave."""
        recipe = self.order.recipe
        last_save = last_sample = time.monotonic()
        self.module.train()
        while self.step < recipe.total_steps and not self._stopping():
            begun = time.monotonic()
            loss, norm = self._optimizer_step()
            self.step += 1
            now = time.monotonic()
            self.train_s += now - begun
            self._tell(loss, norm, now - begun)
            if now - last_save > recipe.checkpoint_every_s:
                self._save()
                last_save = time.monotonic()
            if now - last_sample > recipe.sample_every_s:
                self._sample()
                last_sample = time.monotonic()
        self._save()
        return self._finish() if self.step >= recipe.total_steps else None

    def _stopping(self) -> bool:
        """Whether any of the processes was asked to leave: they must all leave at the same step."""
        asked = torch.tensor(float(self.stop.signal_number), device=self.accelerator.device)
        return bool(self.accelerator.reduce(asked, "sum") > 0)

    def _optimizer_step(self) -> tuple[float, float]:
        """One step of all optimizers over all micro-steps; returns (mean loss, gradient norm)."""
        recipe, world = self.order.recipe, self.accelerator.num_processes
        lr = lr_at(self.step, recipe.total_steps, recipe.optimizer)
        for optimizer in self.plain_optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
        total = torch.zeros((), device=self.accelerator.device)
        norm = total
        for micro in range(recipe.gradient_accumulation_steps):
            # Each device draws its own stretch of the epoch and its own noise.
            number = (self.step * recipe.gradient_accumulation_steps + micro) * world
            number += self.accelerator.process_index
            seed = step_seed(recipe.seed, "step", number)
            indices = examples_of_step(
                number, recipe.batch_size, self.objective.dataset_size, recipe.seed
            )
            batch = self.objective.batch(indices, seed)
            torch.manual_seed(seed)
            with self.accelerator.accumulate(self.module):
                loss = self.module({k: v.to(self.accelerator.device) for k, v in batch.items()})
                self.accelerator.backward(loss)
                total = total + loss.detach()
                if self.accelerator.sync_gradients:
                    parameters = self.module.parameters()
                    norm = self.accelerator.clip_grad_norm_(parameters, recipe.optimizer.clip_norm)
                for optimizer in self.optimizers:
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
        mean = float(self.accelerator.reduce(total, "mean")) / recipe.gradient_accumulation_steps
        if not (math.isfinite(mean) and math.isfinite(float(norm))):
            raise TrainingError(self._diverged(mean))
        if self.average is not None:
            self.average.update(self.step)
        return mean, float(norm)

    def _diverged(self, loss: float) -> str:
        last = checkpoints.latest(self.checkpoints)
        kept = f"The last good checkpoint is {last}." if last else "No checkpoint was written yet."
        return (
            f"The loss became {loss} at step {self.step + 1}: lower the learning rate "
            f"(now {self.order.recipe.optimizer.lr:g}) or use precision fp32. {kept}"
        )

    def _tell(self, loss: float, norm: float, seconds: float) -> None:
        if not self.accelerator.is_main_process:
            return
        recipe = self.order.recipe
        per_step = recipe.batch_size * recipe.gradient_accumulation_steps
        rate = per_step * self.accelerator.num_processes / max(seconds, 1e-9)
        lr = lr_at(self.step - 1, recipe.total_steps, recipe.optimizer)
        left = (recipe.total_steps - self.step) * self.train_s / self.step
        self.report(
            "progress",
            optimizer_step=self.step,
            total_steps=recipe.total_steps,
            loss=round(loss, 5),
            lr=lr,
            examples_per_s=round(rate, 2),
            eta_s=round(left),
        )
        if self.step % METRICS_EVERY == 0 or self.step in (1, recipe.total_steps):
            row = {"loss": loss, "lr": lr, "gradient_norm": norm, "examples_per_s": rate}
            self.metrics.add(optimizer_step=self.step, **row)
            if self.order.tensorboard:
                self.accelerator.log(row, step=self.step)

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            path = checkpoints.save(
                self.checkpoints,
                checkpoints.Progress(self.step, self.train_s),
                self.plain,
                self.average,
                self.plain_optimizers,
                self.order.recipe.model_dump(mode="json"),
            )
            self.report("checkpoint", path=str(path))
        self.accelerator.wait_for_everyone()

    def _sample(self) -> None:
        if self.accelerator.is_main_process:
            with self._inference_weights():
                folder = self.order.out / "samples"
                path = self.objective.sample(folder, f"step-{self.step:08d}")
            self.metrics.plot(self.order.out / "loss.png")
            self.report("sample", path=str(path))
        self.accelerator.wait_for_everyone()

    def _inference_weights(self) -> InferenceWeights:
        return InferenceWeights(self.plain, self.average)

    def _finish(self) -> Path:
        """Last samples, held-out figures, exported weights and the report."""
        self._sample()
        recipe, manifest = self.order.recipe, read_manifest(self.order.dataset)
        weights = self.order.out / "weights"
        if self.accelerator.is_main_process:
            with self._inference_weights():
                figures = self.objective.evaluate()
                write_weights(
                    self.objective, weights, recipe, self.order.recipe_name, manifest, figures
                )
            report = self._training_report(manifest, figures)
            text = report.model_dump_json(indent=2)
            (self.order.out / "report.json").write_text(text + "\n", encoding="utf-8")
            self.report("done", weights=str(weights), figures=figures)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return weights

    def _training_report(
        self, manifest: DatasetManifest, figures: dict[str, float]
    ) -> TrainingReport:
        recipe = self.order.recipe
        seen = self.step * recipe.batch_size * recipe.gradient_accumulation_steps
        return TrainingReport(
            recipe=self.order.recipe_name,
            dataset=manifest.name,
            licence=manifest.licence,
            optimizer_steps=self.step,
            examples_seen=seen * self.accelerator.num_processes,
            train_s=round(self.train_s, 1),
            parameters=sum(parameter.numel() for parameter in self.plain.parameters()),
            figures=figures,
            versions=library_versions(),
        )


class InferenceWeights:
    """`with InferenceWeights(...)`: evaluation mode and averaged weights, then back to training."""

    def __init__(self, module: torch.nn.Module, average: Average | None) -> None:
        self._module = module
        self._applied = average.applied() if average is not None else None
        self._state: torch.Tensor | None = None

    def __enter__(self) -> None:
        self._state = torch.get_rng_state()
        self._module.eval()
        if self._applied is not None:
            self._applied.__enter__()

    def __exit__(self, *error: object) -> None:
        if self._applied is not None:
            self._applied.__exit__(None, None, None)
        self._module.train()
        assert self._state is not None  # noqa: S101 - entered before left
        torch.set_rng_state(self._state)


def quieten_libraries() -> None:
    """No bars and hints of the model libraries between our own lines, where they are loaded."""
    for name in ("diffusers", "transformers"):
        if name in sys.modules:
            logging = importlib.import_module(f"{name}.utils.logging")
            logging.set_verbosity_error()
            logging.disable_progress_bar()


def library_versions() -> dict[str, str]:
    """The versions that decide what comes out of a training run."""
    from importlib.metadata import version

    names = ("torch", "accelerate", "diffusers", "transformers", "tokenizers")
    return {name: version(name) for name in names}


FREE_TO_CHANGE = {
    "total_steps",
    "checkpoint_every_s",
    "sample_every_s",
    "summary",
    "prompts",
    "about",
    "limits",
    "defaults",
}


def _refuse_other_recipe(stored: dict[str, object], recipe: Recipe) -> None:
    """A resumed run keeps its recipe, but for its length and how often it reports."""
    now = recipe.model_dump(mode="json")
    changed = [name for name in now if name not in FREE_TO_CHANGE and now[name] != stored.get(name)]
    if changed:
        raise TrainingError(
            f"The run was started with another recipe: {', '.join(changed)} differ. "
            "Start a new run with --init to build on its weights."
        )
