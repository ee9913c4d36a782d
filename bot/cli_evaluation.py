"""`atelier evaluate`: figures of weights, measured in a child process and drawn as a table.

Only the command line (`bot.cli`) imports this. Torch lives in the child (`python -m trainer`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bot import children, settings
from trainer.evaluation.figures import shown

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of drawing.")]
Row = Mapping[str, Any]
VERDICTS = {None: "", True: "[green]ok[/]", False: "[red]missed[/]"}


def evaluate(
    weights: Annotated[str, typer.Argument(help="A folder, or a model's name.")],
    data: Annotated[Path | None, typer.Option(help="The dataset; else the starter one.")] = None,
    quick: Annotated[bool, typer.Option(help="Fewer samples, rougher figures.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where to write; else beside them.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    json_: Json = False,
) -> None:
    """Measure weights on held-out examples; write figures, sheets and the model card."""
    given = {
        "--data": data,
        "--out": out,
        "--threads": threads,
        "--models-file": settings.load().generators.models_path,
    }
    arguments = ["evaluate", weights, "--json", *(["--quick"] if quick else [])]
    arguments += [word for name, v in given.items() if v is not None for word in (name, str(v))]
    figures: list[Row] = []
    skipped: list[Row] = []
    done: Row = {}
    console = Console(stderr=True)
    with children.Drawing(console, f"evaluate {weights}", quiet=json_) as drawing:
        for event in children.events("trainer", arguments):
            facts = {name: value for name, value in event.items() if name != "event"}
            match event["event"]:
                case "progress":
                    drawing.step(event["done"], event["total"])
                case "figure":
                    figures.append(facts)
                case "skipped":
                    skipped.append(facts)
                case "done":
                    done = facts
    if json_:
        told = {"figures": figures, "skipped": skipped, **done}
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    Console().print(table_of(figures))
    for skip in skipped:
        typer.echo(f"{skip['name']} was not measured: {skip['reason']}")
    if done.get("out"):
        console.print(f"Wrote {', '.join(done['files'])} in {done['out']}", highlight=False)


def table_of(figures: Sequence[Row]) -> Table:
    """Each figure beside its reference and its target, with the verdict."""
    table = Table("figure", "value", "reference", "", "target", "", box=None, pad_edge=False)
    for figure in figures:
        unit, target = figure["unit"], figure["target"]
        sign = ">=" if figure["better"] == "higher" else "<="
        table.add_row(
            figure["name"],
            shown(figure["value"], unit),
            shown(figure["reference"], unit),
            figure["reference_name"],
            f"{sign} {shown(target, unit)}" if target is not None else "",
            VERDICTS[figure["met"]],
        )
    return table
