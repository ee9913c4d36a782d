"""The one training loop, for every objective: precision, devices, optimizers, averages, saving.

Built on accelerate, so that the same code runs on a CPU, a GPU, or several by `--devices N` (or
`accelerate launch -m trainer train ...`). Started by `trainer.__main__` only. It touches the host
as seldom as it can: the next batch is made by a thread, and a GPU's losses are read together.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, set_seed
from torch import Tensor

from trainer import checkpoints, initial
from trainer.adapters import Adapter
from trainer.catalog import load_objective
from trainer.contract import DatasetManifest, Recipe, TrainingError, TrainingReport
from trainer.data.manifests import read_manifest
from trainer.data.order import examples_of_step, step_seed
from trainer.export import write_weights
from trainer.feeding import Feeder, Made
from trainer.journal import Journal, Reading
from trainer.objective import Objective, Setting
from trainer.optimizers import Average, InferenceWeights, apply_gradients, build_optimizers, lr_at
from trainer.orders import Chore, Order, StopRequest
from trainer.progress import Reporter
from trainer.versions import library_versions, quieten_libraries

READ_EVERY = 10  # optimizer steps between two looks at a GPU's losses: each one waits for it
EVALUATION_SHARE = 0.1  # of the time, at most, goes into looks at held-out examples
PATIENCE = timedelta(hours=3)  # of the processes that wait while the main one evaluates or exports
MOST_OVERFLOWS = 50  # fp16 steps without a finite gradient, one after the other


@dataclass
class Run:
    """One execution of a recipe, with all of its state."""

    order: Order
    report: Reporter
    stop: StopRequest = field(default_factory=StopRequest)

    def __post_init__(self) -> None:
        recipe = self.order.recipe
        refuse_impossible(recipe)
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # else accelerate would not see its siblings
            mixed_precision="no" if recipe.precision == "fp32" else recipe.precision,
            gradient_accumulation_steps=recipe.gradient_accumulation_steps,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        self.checkpoints = self.order.out / "checkpoints"
        start = self._starting_checkpoint()
        self.init = self._initial_weights(start)
        set_seed(recipe.seed)
        self.objective = self._objective()
        self.adapter = self._adapter()
        self.plain = self.objective.module  # without the wrapper of data parallelism
        hidden = self.objective.is_hidden if self.adapter is None else no_hidden_matrices
        self.optimizers = build_optimizers(self.plain, recipe.optimizer, hidden)
        self.trained = [value for value in self.plain.parameters() if value.requires_grad]
        self.module = self.accelerator.prepare(self.plain)
        self.average = Average(self.plain, recipe.ema_decay) if recipe.ema_decay else None
        self.step, self.train_s, self.overflows = 0, 0.0, 0
        if start is not None:
            self._restore(start)
        self.saved_at = self.step if start is not None else -1
        self.figures: dict[str, float] = {}
        self.unread: list[tuple[Tensor, Tensor]] = []  # (loss, gradient norm) of the last steps
        self.journal = Journal(
            self.order.out,
            self.order.recipe_name,
            recipe.total_steps,
            self.report,
            boards=self.order.tensorboard,
        )

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
            checkpoints.refuse_other_recipe(found, self.order.recipe)
        if self.accelerator.is_main_process:
            text = json.dumps(self.order.recipe.model_dump(), indent=1, ensure_ascii=False)
            (self.order.out / "recipe.json").write_text(text + "\n", encoding="utf-8")
        return found

    def _initial_weights(self, start: Path | None) -> Path | None:
        """What the run started from, also where a resumed one no longer says it."""
        before = checkpoints.read_init(start) if start else None
        if before is None or before.is_dir():
            return before or self.order.init
        if self.order.init is None:
            raise TrainingError(f"The run began with {before}, which is gone: add --init.")
        return self.order.init

    def _objective(self) -> Objective:
        setting = Setting(
            recipe=self.order.recipe,
            dataset=self.order.dataset,
            manifest=read_manifest(self.order.dataset),
            device=self.accelerator.device,
            init=self.init,
        )
        make = load_objective(self.order.recipe.objective)
        quieten_libraries()
        with self.accelerator.main_process_first(), initial.explained(self.init, make):
            objective: Objective = make(setting)
        return objective

    def _adapter(self) -> Adapter | None:
        wanted = self.order.recipe.adapter
        if wanted is None:
            return None
        if self.init is None:
            raise TrainingError("A LoRA is trained over weights that exist: name them with --init.")
        torch.manual_seed(step_seed(self.order.recipe.seed, "adapter"))
        name = self.order.init_name or self.init.name
        return Adapter(self.objective, wanted, self.init, name)

    def _restore(self, start: Path) -> None:
        progress = checkpoints.restore(start, self.plain, self.average, self.optimizers)
        self.step, self.train_s = progress.optimizer_step, progress.train_s
        if self.accelerator.scaler is not None and progress.loss_scale:
            self.accelerator.scaler.load_state_dict(progress.loss_scale)

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
        self.clock = time.monotonic()
        asked = False
        try:
            while self.step < recipe.total_steps and not (asked or self._asked_alone()):
                self.unread.append(self._optimizer_step())
                self.step += 1
                if not self._is_time_to_read():
                    continue
                asked, due = self._read(chores)
                for chore in due:
                    self.feeder.settle()
                    chore.run()
                self.clock = time.monotonic() if due else self.clock
            if self.unread:  # what is saved next must be sound
                self._read(chores)
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

    def _asked_alone(self) -> bool:
        """Whether to leave at once; several processes must first tell each other."""
        return self.accelerator.num_processes == 1 and bool(self.stop.signal_number)

    def _is_time_to_read(self) -> bool:
        every = 1 if self.accelerator.device.type == "cpu" else READ_EVERY
        return self.step % every == 0 or self.step in (1, self.order.recipe.total_steps)

    def _read(self, chores: list[Chore]) -> tuple[bool, list[Chore]]:
        """Take in the steps since the last look: (somebody asked to leave, chores that are due).

        One exchange between all processes: their losses are averaged, they leave at the same step,
        and the main one's clock says what is due. Raises TrainingError where training diverged, so
        that no such weights are ever saved.
        """
        now, world = time.monotonic(), self.accelerator.num_processes
        main = self.accelerator.is_main_process
        flags = [self.stop.signal_number > 0, *(main and now >= chore.due_at for chore in chores)]
        losses = torch.stack([loss.float() for loss, _ in self.unread])
        answers = torch.tensor(flags, dtype=losses.dtype, device=losses.device)
        shared = self.accelerator.reduce(torch.cat([losses, answers]), "sum").tolist()
        norms = torch.stack([norm.float() for _, norm in self.unread]).tolist()
        count, self.unread = len(norms), []
        now = time.monotonic()  # the device has answered
        seconds = (now - self.clock) / count
        self.train_s, self.clock = self.train_s + now - self.clock, now
        for number, norm in enumerate(norms):
            step = self.step - count + number + 1
            self._take_in(step, shared[number] / world, norm, seconds)
        asked, *due = (answer > 0 for answer in shared[count:])
        return asked, [chore for chore, now_due in zip(chores, due, strict=True) if now_due]

    def _take_in(self, step: int, loss: float, norm: float, seconds: float) -> None:
        recipe = self.order.recipe
        scaled = self.accelerator.scaler is not None
        self.overflows = self.overflows + 1 if scaled and not math.isfinite(norm) else 0
        lost = not math.isfinite(norm) and (not scaled or self.overflows > MOST_OVERFLOWS)
        if lost or not math.isfinite(loss):
            raise TrainingError(self._diverged(step, loss))
        if not self.accelerator.is_main_process:
            return
        examples = recipe.batch_size * recipe.gradient_accumulation_steps
        rate = examples * self.accelerator.num_processes / max(seconds, 1e-9)
        lr = lr_at(step - 1, recipe.total_steps, recipe.optimizer)
        eta_s = (recipe.total_steps - step) * self.train_s / step
        self.journal.step(Reading(step, loss, lr, norm, rate, eta_s))

    def _diverged(self, step: int, loss: float) -> str:
        last = checkpoints.latest(self.checkpoints)
        kept = f"The last good checkpoint is {last}." if last else "No checkpoint was written yet."
        what = f"The loss became {loss}" if not math.isfinite(loss) else "The gradient overflowed"
        return (
            f"{what} at step {step}: lower the learning rate "
            f"(now {self.order.recipe.optimizer.lr:g}) or use precision fp32. {kept}"
        )

    # --- Chores: the main process works, the others wait ----------------------------------------

    def _save(self) -> None:
        if self.saved_at == self.step:
            return  # the last step was a checkpoint's turn already
        self.saved_at = self.step
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            progress = checkpoints.Progress(
                self.step,
                self.train_s,
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
            train_s=round(self.train_s, 1),
            parameters=sum(parameter.numel() for parameter in counted),
            figures=self.figures,
            versions=library_versions(),
        )


def no_hidden_matrices(name: str, parameter: torch.nn.Parameter) -> bool:
    """Of a LoRA, none: Muon's step has full rank, and a thin matrix that starts at zero has not."""
    return False


def refuse_impossible(recipe: Recipe) -> None:
    """Raise TrainingError for what this machine cannot do: fp16 on a CPU, more processes than GPUs.

    fp16's range asks for a scaled loss, and CPUs do not compute in it.
    """
    gpus, processes = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if recipe.precision == "fp16" and not gpus:
        raise TrainingError(
            "precision fp16 needs a CUDA GPU, and there is none: use bf16 or fp32 in the recipe."
        )
    if 0 < gpus < processes:
        raise TrainingError(f"--devices {processes}, but this machine has {gpus} GPU(s).")
