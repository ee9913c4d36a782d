"""`python -m trainer train|dataset ...`: the training child, started by the command line.

With `--json` every line of stdout is one event (`trainer.progress`). Whatever a person can put
right is one sentence and exit code 2; a signal is answered by a checkpoint and 128 + its number.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from trainer.catalog import first_problem, load_recipe
from trainer.contract import Recipe, TrainingError
from trainer.data.manifests import check, read_manifest
from trainer.progress import BarReporter, JsonReporter, Reporter

BUILDERS = Path(__file__).parent / "data"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    with ExitStack() as stack:
        report: Reporter = JsonReporter() if options.json else stack.enter_context(BarReporter())
        try:
            return int(options.run(options, report))
        except ValidationError as error:
            report("error", message=f"settings.{first_problem(error)}")
        except TrainingError as error:
            report("error", message=str(error))
        except OSError as error:
            report("error", message=f"A file could not be read or written: {error}")
        return 2


def builder_names() -> list[str]:
    """The datasets that can be built: `data/starter_<name>.py`."""
    return sorted(path.stem.removeprefix("starter_") for path in BUILDERS.glob("starter_*.py"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description="Data to weights.")
    commands = parser.add_subparsers(required=True, metavar="train|dataset")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON event a line on stdout")

    train = commands.add_parser("train", parents=[common], help="run a recipe on a dataset")
    train.add_argument("recipe", help="a recipe's name, or the path of a .toml file")
    train.add_argument("--data", type=Path, required=True, help="the dataset's folder")
    train.add_argument("--out", type=Path, required=True, help="the run's folder")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    train.add_argument("--init", type=Path, help="weights to start from")
    train.add_argument("--max-steps", type=int, help="instead of the recipe's total_steps")
    train.add_argument("--threads", type=int, help="CPU threads; default: torch's choice")
    train.add_argument("--tensorboard", action="store_true", help="also write TensorBoard logs")
    train.set_defaults(run=_train)

    dataset = commands.add_parser("dataset", help="build or check a dataset")
    actions = dataset.add_subparsers(required=True, metavar="build|check")
    build = actions.add_parser("build", parents=[common], help="make a starter dataset")
    build.add_argument("name", choices=builder_names())
    build.add_argument("--out", type=Path, required=True)
    build.add_argument("--font", type=Path, help="emoji: the font, instead of fontconfig's answer")
    build.set_defaults(run=_build)
    check = actions.add_parser("check", parents=[common], help="look at every example")
    check.add_argument("folder", type=Path)
    check.set_defaults(run=_check)
    return parser


def _train(options: argparse.Namespace, report: Reporter) -> int:
    recipe = load_recipe(options.recipe)
    if options.max_steps is not None:
        changed = {**recipe.model_dump(), "total_steps": options.max_steps}
        recipe = Recipe.model_validate(changed)
    read_manifest(options.data)  # a wrong path is said before torch takes its seconds to load
    # Idle OpenMP threads that spin would take the other core's time from their neighbours.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    import torch

    from trainer.loop import Order, Run, StopRequest

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
        init=options.init,
        tensorboard=options.tensorboard,
    )
    run = Run(order, report, stop)
    if run.train() is not None:
        return 0
    if run.accelerator.is_main_process:
        report("stopped", message=f"Stopped after step {run.step}: --resume goes on from there.")
    return 128 + (stop.signal_number or signal.SIGTERM)  # another process may have been asked


def _build(options: argparse.Namespace, report: Reporter) -> int:
    build = importlib.import_module(f"trainer.data.starter_{options.name}").build
    given = {"font": options.font} if options.font else {}
    if not given.keys() <= inspect.signature(build).parameters.keys():
        raise TrainingError(f"The dataset {options.name} is not made from a font.")
    manifest = build(
        options.out, lambda done, total: report("progress", done=done, total=total), **given
    )
    report("done", dataset=str(options.out), examples=len(manifest.examples))
    return 0


def _check(options: argparse.Namespace, report: Reporter) -> int:
    problems = check(options.folder)
    for problem in problems:
        report("problem", message=f"{problem.file}: {problem.message}")
    total = len(read_manifest(options.folder).examples)
    if problems:
        report("error", message=f"{len(problems)} problems in {total} examples: see above.")
        return 2
    report("done", dataset=str(options.folder), examples=total)
    return 0


if __name__ == "__main__":
    sys.exit(main())
