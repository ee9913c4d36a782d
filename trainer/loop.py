"""The one training loop, for every objective: precision, devices, optimizers, averages, saving.

Built on accelerate, so that the same code runs on a CPU, a GPU, or several by `--devices N` (or
`accelerate launch -m trainer train ...`). Started by `trainer.__main__` only. It touches the host
as seldom as it can: the next batch is made by a thread, and a GPU's losses are read together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, set_seed
from torch import Tensor

from trainer import beginning, checkpoints
from trainer.contract import DatasetManifest, TrainingReport
from trainer.data.manifests import read_manifest
from trainer.data.order import examples_of_step, step_seed
from trainer.export import write_weights
from trainer.feeding import Feeder, Made
from trainer.journal import Journal
from trainer.optimizers import Average, InferenceWeights, apply_gradients, build_optimizers, lr_at
from trainer.orders import Chore, Order, StopRequest
from trainer.progress import Reporter
from trainer.readings import Readings
from trainer.versions import library_versions

EVALUATION_SHARE = 0.1  # of the time, at most, goes into looks at held-out examples
PATIENCE = timedelta(hours=3)  # of the processes that wait while the main one evaluates or exports


@dataclass
class Run:
    """One execution of a recipe, with all of its state."""

    order: Order
    report: Reporter
    stop: StopRequest = field(default_factory=StopRequest)

    def __post_init__(self) -> None:
        recipe = self.order.recipe
        beginning.refuse_impossible(recipe)
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # else accelerate would not see its siblings
            mixed_precision="no" if recipe.precision == "fp32" else recipe.precision,
            gradient_accumulation_steps=recipe.gradient_accumulation_steps,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        self.checkpoints = self.order.out / "checkpoints"
        main = self.accelerator.is_main_process
        start = beginning.starting_checkpoint(self.order, self.checkpoints, main=main)
        self.init = beginning.initial_weights(self.order, start)
        set_seed(recipe.seed)
        self.objective = beginning.make_objective(self.order, self.init, self.accelerator)
        self.adapter = beginning.make_adapter(self.order, self.init, self.objective)
        self.plain = self.objective.module  # without the wrapper of data parallelism
        hidden = self.objective.is_hidden if self.adapter is None else no_hidden_matrices
        self.optimizers = build_optimizers(self.plain, recipe.optimizer, hidden)
        self.trained = [value for value in self.plain.parameters() if value.requires_grad]
        self.module = self.accelerator.prepare(self.plain)
        self.average = Average(self.plain, recipe.ema_decay) if recipe.ema_decay else None
        progress = self._restored(start) if start is not None else checkpoints.Progress(0, 0.0)
        self.step = progress.optimizer_step
        self.saved_at = self.step if start is not None else -1
        self.figures: dict[str, float] = {}
        self.journal = Journal(
            self.order.out,
            self.order.recipe_name,
            recipe.total_steps,
            self.report,
            boards=self.order.tensorboard,
        )
        self.readings = Readings(
            self.accelerator, recipe, self.journal, self.checkpoints, progress.train_s
        )

    def _restored(self, start: Path) -> checkpoints.Progress:
        progress = checkpoints.restore(start, self.plain, self.average, self.optimizers)
        if self.accelerator.scaler is not None and progress.loss_scale:
            self.accelerator.scaler.load_state_dict(progress.loss_scale)
        return progress

    # --- The loop -----------------------------------------------------------------------------

    def train(self) -> Path | None:
        """Run to the end and return the weights' folder, or None where a signal asked to leave."""
        main = self.accelerator.is_main_process
        if main:
            self.journal.begin(resumed_at=self.step)
        try:
            weights = self._train()
        except BaseException as error:
            if main:
                self.journal.end("failed", str(error) or type(error).__name__)
            raise
        if main:
            self.journal.end("finished" if weights else "stopped")
        self.accelerator.end_training()
        return weights

    def _train(self) -> Path | None:
        recipe = self.order.recipe
        chores = [
            Chore(recipe.checkpoint_every_s, self._save),
            Chore(recipe.evaluate_every_s, self._evaluate, EVALUATION_SHARE),
            Chore(recipe.sample_every_s, self._sample),
        ]
        micro_steps = recipe.gradient_accumulation_steps
        first, end = self.step * micro_steps, recipe.total_steps * micro_steps
        self.feeder = Feeder(self._make_batch, first, end)
        self.module.train()
        self.readings.start_clock()
        asked = False
        try:
            while self.step < recipe.total_steps and not (asked or self._asked_alone()):
                self.readings.unread.append(self._optimizer_step())
                self.step += 1
                if not self.readings.are_due(self.step):
                    continue
                asked, due = self.readings.take(self.step, self._asked(), chores)
                for chore in due:
                    self.feeder.settle()
                    chore.run()
                if due:
                    self.readings.start_clock()
            if self.readings.unread:  # what is saved next must be sound
                self.readings.take(self.step, self._asked(), chores)
        finally:
            self.feeder.close()
        self._save()
        return self._finish() if self.step >= recipe.total_steps else None

    def _make_batch(self, number: int) -> Made:
        """The examples and the seed of micro-step `number` on this device.

        Each device draws its own stretch of the epoch and its own noise.
        """
        recipe = self.order.recipe
        mine = number * self.accelerator.num_processes + self.accelerator.process_index
        seed = step_seed(recipe.seed, "step", mine)
        size = self.objective.dataset_size
        indices = examples_of_step(mine, recipe.batch_size, size, recipe.seed)
        batch = self.objective.batch(indices, seed)
        if self.accelerator.device.type == "cuda":
            batch = {name: value.pin_memory() for name, value in batch.items()}
        return seed, batch

    def _optimizer_step(self) -> tuple[Tensor, Tensor]:
        """One step of all optimizers over all micro-steps: (mean loss, gradient norm), unread."""
        recipe, device = self.order.recipe, self.accelerator.device
        lr = lr_at(self.step, recipe.total_steps, recipe.optimizer)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
        total = torch.zeros((), device=device)
        for _ in range(recipe.gradient_accumulation_steps):
            seed, batch = self.feeder.take()
            torch.manual_seed(seed)
            moved = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
            with self.accelerator.accumulate(self.module):
                loss = self.module(moved)
                self.accelerator.backward(loss)
            total = total + loss.detach()
        clip_norm, scaler = recipe.optimizer.clip_norm, self.accelerator.scaler
        norm = apply_gradients(self.optimizers, self.trained, clip_norm, scaler)
        if self.average is not None:
            self.average.update(self.step)
        return total / recipe.gradient_accumulation_steps, norm

    def _asked(self) -> bool:
        """Whether this process was told to leave."""
        return self.stop.signal_number > 0

    def _asked_alone(self) -> bool:
        """Whether to leave at once; several processes must first tell each other."""
        return self.accelerator.num_processes == 1 and self._asked()

    # --- Chores: the main process works, the others wait ----------------------------------------

    def _save(self) -> None:
        if self.saved_at == self.step:
            return  # the last step was a checkpoint's turn already
        self.saved_at = self.step
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            progress = checkpoints.Progress(
                self.step,
                self.readings.train_s,
                str(self.init.resolve()) if self.init else "",
                scaler.state_dict() if scaler is not None else {},
            )
            path = checkpoints.save(
                self.checkpoints,
                progress,
                self.plain,
                self.average,
                self.optimizers,
                self.order.recipe.model_dump(mode="json"),
            )
            self.journal.checkpoint(path)
        self.accelerator.wait_for_everyone()

    def _sample(self) -> None:
        if self.accelerator.is_main_process:
            with InferenceWeights(self.plain, self.average):
                folder = self.order.out / "samples"
                path = self.objective.sample(folder, f"step-{self.step:08d}")
            self.journal.sample(path)
        self.accelerator.wait_for_everyone()

    def _evaluate(self) -> None:
        if self.accelerator.is_main_process:
            with InferenceWeights(self.plain, self.average):
                figures = self.objective.evaluate()
            # JSON knows no infinity, which the PSNR of a perfect reconstruction is.
            self.figures = {name: v for name, v in figures.items() if math.isfinite(v)}
            self.journal.evaluation(self.figures)
        self.accelerator.wait_for_everyone()

    def _finish(self) -> Path:
        """Held-out figures, last samples, exported weights and the report."""
        recipe, manifest = self.order.recipe, read_manifest(self.order.dataset)
        weights = self.order.out / "weights"
        self._evaluate()
        self._sample()
        if self.accelerator.is_main_process:
            with InferenceWeights(self.plain, self.average):
                write_weights(
                    self.adapter or self.objective,
                    weights,
                    recipe,
                    self.order.recipe_name,
                    manifest,
                    self.figures,
                )
            text = self._training_report(manifest).model_dump_json(indent=2)
            (self.order.out / "report.json").write_text(text + "\n", encoding="utf-8")
            self.report("done", weights=str(weights), figures=self.figures)
        self.accelerator.wait_for_everyone()
        return weights

    def _training_report(self, manifest: DatasetManifest) -> TrainingReport:
        recipe = self.order.recipe
        seen = self.step * recipe.batch_size * recipe.gradient_accumulation_steps
        counted = self.plain.parameters() if self.adapter is None else self.trained
        return TrainingReport(
            recipe=self.order.recipe_name,
            dataset=manifest.name,
            licence=manifest.licence,
            optimizer_steps=self.step,
            examples_seen=seen * self.accelerator.num_processes,
            train_s=round(self.readings.train_s, 1),
            parameters=sum(parameter.numel() for parameter in counted),
            figures=self.figures,
            versions=library_versions(),
        )


def no_hidden_matrices(name: str, parameter: torch.nn.Parameter) -> bool:
    """Of a LoRA, none: Muon's step has full rank, and a thin matrix that starts at zero has not."""
    return False
