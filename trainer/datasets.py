"""`python -m trainer dataset build|import|check`: the commands about data. No torch.

Used by `trainer.__main__` only.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from pathlib import Path
from typing import Any

from trainer.contract import TrainingError
from trainer.data.manifests import read_manifest
from trainer.progress import Reporter

BUILDERS = Path(__file__).parent / "data"


def builder_names() -> list[str]:
    """The datasets that can be built: `data/starter_<name>.py`."""
    return sorted(path.stem.removeprefix("starter_") for path in BUILDERS.glob("starter_*.py"))


def add_commands(dataset: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add `build`, `import` and `check` below `dataset`."""
    actions: Any = dataset.add_subparsers(required=True, metavar="build|import|check")
    build = actions.add_parser("build", parents=[common], help="make a starter dataset")
    build.add_argument("name", choices=builder_names())
    build.add_argument("--out", type=Path, required=True)
    build.add_argument("--font", type=Path, help="emoji: the font, instead of fontconfig's answer")
    build.set_defaults(run=_build)

    take = actions.add_parser("import", parents=[common], help="make a dataset of a plain folder")
    take.add_argument("folder", type=Path, help="pictures, texts or sounds, in any subfolders")
    take.add_argument("--out", type=Path, required=True)
    take.add_argument("--licence", required=True, help="under which terms they may be used")
    take.add_argument("--name", help="what the dataset is called; default: the folder's name")
    take.add_argument("--source", default="", help="where the examples come from")
    take.add_argument("--notice", type=Path, help="a licence text that must go with the weights")
    take.add_argument(
        "--modality", choices=("image", "text", "audio"), help="default: what most are"
    )
    take.add_argument("--held-out", type=float, default=0.05, help="share kept to judge by")
    take.set_defaults(run=_import)

    check = actions.add_parser("check", parents=[common], help="look at every example")
    check.add_argument("folder", type=Path)
    check.add_argument("--strict", action="store_true", help="warnings fail too")
    check.set_defaults(run=_check)


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


def _import(options: argparse.Namespace, report: Reporter) -> int:
    from trainer.data.importing import Wishes, import_folder

    wishes = Wishes(
        name=options.name or options.folder.resolve().name,
        licence=options.licence,
        source=options.source,
        notice=options.notice.read_text(encoding="utf-8").strip() if options.notice else "",
        modality=options.modality,
        held_out=options.held_out,
    )
    manifest, left_out = import_folder(
        options.folder,
        options.out,
        wishes,
        lambda done, total: report("progress", done=done, total=total),
    )
    for problem in left_out:
        report("problem", **problem.facts(), message=f"{problem.file}: {problem.message}")
    report(
        "done", dataset=str(options.out), examples=len(manifest.examples), left_out=len(left_out)
    )
    return 0


def _check(options: argparse.Namespace, report: Reporter) -> int:
    from trainer.data.checking import check

    problems = check(options.folder, lambda done, total: report("progress", done=done, total=total))
    for problem in problems:
        report("problem", **problem.facts(), message=f"{problem.file}: {problem.message}")
    total = len(read_manifest(options.folder).examples)
    warnings = sum(problem.severity == "warning" for problem in problems)
    errors = len(problems) - warnings
    if errors or (warnings and options.strict):
        said = f"{errors} problems and {warnings} warnings in {total} examples: see above."
        report("error", message=said)
        return 2
    report("done", dataset=str(options.folder), examples=total, warnings=warnings)
    return 0
