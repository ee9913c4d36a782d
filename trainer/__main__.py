"""`python -m trainer train|dataset|evaluate ...`: the training child, started by the command line.

With `--json` every line of stdout is one event (`trainer.progress`). Whatever a person can put
right is one sentence and exit code 2; a signal is answered by a checkpoint and 128 + its number.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from trainer import datasets, evaluate, initial, launch
from trainer.catalog import first_problem, load_recipe
from trainer.contract import AdapterSettings, Recipe, TrainingError
from trainer.data.manifests import read_manifest
from trainer.progress import BarReporter, JsonReporter, QuietReporter, Reporter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    options.given = given
    with ExitStack() as stack:
        report = _reporter(options.json, stack)
        try:
            return int(options.run(options, report))
        except ValidationError as error:
            report("error", message=f"settings.{first_problem(error)}")
        except TrainingError as error:
            report("error", message=str(error))
        except OSError as error:
            report("error", message=f"A file could not be read or written: {error}")
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            report("error", message=_out_of_memory(error))
        except KeyboardInterrupt:  # before the run listens to signals: nothing was done yet
            report("stopped", message="Stopped before the first step.")
            return 128 + signal.SIGINT
        return 2


def _reporter(as_json: bool, stack: ExitStack) -> Reporter:
    """Of several processes on several devices one speaks; the others only when they fail."""
    if not launch.is_main_process():
        return QuietReporter()
    return JsonReporter() if as_json else stack.enter_context(BarReporter())


def _is_out_of_memory(error: RuntimeError) -> bool:
    kind = type(error).__name__  # torch.OutOfMemoryError, without importing torch to know it
    return kind == "OutOfMemoryError" or "can't allocate memory" in str(error)


def _out_of_memory(error: RuntimeError) -> str:
    return (
        "The device's memory is full: halve batch_size in the recipe and double "
        f"gradient_accumulation_steps, which trains the same. ({str(error).splitlines()[0]})"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description="Data to weights.")
    commands = parser.add_subparsers(required=True, metavar="train|dataset|evaluate")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON event a line on stdout")
    _add_train(commands.add_parser("train", parents=[common], help="run a recipe on a dataset"))
    dataset = commands.add_parser("dataset", help="build, import or check a dataset")
    datasets.add_commands(dataset, common)
    evaluate.add_command(commands, common)
    return parser


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("recipe", help="a recipe's name, or the path of a .toml file")
    train.add_argument("--data", type=Path, required=True, help="the dataset's folder")
    train.add_argument("--out", type=Path, required=True, help="the run's folder")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    train.add_argument("--init", help="weights to start from: a folder, a model's name, a hub id")
    train.add_argument("--models-file", type=Path, help="the host's models.toml, for --init NAME")
    train.add_argument("--max-steps", type=int, help="instead of the recipe's total_steps")
    train.add_argument("--devices", type=int, default=1, help="processes, one for each device")
    train.add_argument("--threads", type=int, help="CPU threads; default: torch's choice")
    train.add_argument(
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        help="TensorBoard files; default: where it is installed",
    )
    train.add_argument("--lora", action="store_true", help="train a LoRA instead of all weights")
    train.add_argument("--lora-rank", type=int, help="its rank; implies --lora")
    train.add_argument("--lora-alpha", type=float, help="its scale times its rank; implies --lora")
    train.set_defaults(run=_train)


def _recipe(options: argparse.Namespace) -> Recipe:
    """The recipe with what the command line changes in it."""
    recipe = load_recipe(options.recipe)
    changes: dict[str, object] = {}
    if options.max_steps is not None:
        changes["total_steps"] = options.max_steps
    chosen = {"rank": options.lora_rank, "alpha": options.lora_alpha}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if options.lora or chosen:
        before = recipe.adapter or AdapterSettings()
        changes["adapter"] = {**before.model_dump(), **chosen}
    return Recipe.model_validate({**recipe.model_dump(), **changes}) if changes else recipe


def _train(options: argparse.Namespace, report: Reporter) -> int:
    recipe = _recipe(options)
    read_manifest(options.data)  # a wrong path is said before torch takes its seconds to load
    init_name = options.init or recipe.init
    init = initial.find(init_name, options.models_file) if init_name else None
    if options.devices > 1 and "RANK" not in os.environ:
        return launch.run_on_devices(options.devices, options.given)
    # Idle OpenMP threads that spin would take the other core's time from their neighbours.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # no hints between our own lines
    import torch

    from trainer.journal import tensorboard_is_installed
    from trainer.loop import Run
    from trainer.orders import Order, StopRequest

    if options.threads:
        torch.set_num_threads(options.threads)
    stop = StopRequest()
    stop.listen()
    order = Order(
        recipe=recipe,
        recipe_name=Path(options.recipe).stem,
        dataset=options.data,
        out=options.out,
        resume=options.resume,
        init=init,
        init_name=Path(init_name).name if Path(init_name).is_dir() else init_name,
        tensorboard=tensorboard_is_installed()
        if options.tensorboard is None
        else options.tensorboard,
    )
    run = Run(order, report, stop)
    if run.train() is not None:
        return 0
    message = f"Stopped after step {run.step:,}: the same command with --resume goes on from there."
    report("stopped", message=message)
    return 128 + (stop.signal_number or signal.SIGTERM)  # another process may have been asked


if __name__ == "__main__":
    sys.exit(main())
