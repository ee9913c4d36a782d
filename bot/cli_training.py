"""`atelier train` and `atelier dataset ...`: the trainer as a child process, drawn for a person.

Only the command line (`bot.cli`) imports this. Torch lives in the child (`python -m trainer`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from bot import children, settings
from trainer.progress import note_of

dataset_app = typer.Typer(help="Datasets for training.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON events instead of drawing.")]
Folder = Annotated[Path, typer.Argument(help="The dataset folder.")]


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or a TOML file.")],
    data: Annotated[Path, typer.Option(help="The dataset folder.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder; left out, one that the studio's training page shows."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
    init: Annotated[
        str | None,
        typer.Option(help="Weights to start from: a folder, a model's name, owner/name@commit."),
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop early.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="How many GPUs (or CPU processes).")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    tensorboard: Annotated[
        bool | None, typer.Option(help="TensorBoard files; written if it is installed.")
    ] = None,
    lora: Annotated[bool, typer.Option(help="Train a LoRA instead of all weights.")] = False,
    lora_rank: Annotated[int | None, typer.Option(min=1, help="Its rank.")] = None,
    lora_alpha: Annotated[float | None, typer.Option(help="Its scale times its rank.")] = None,
    json_: Json = False,
) -> None:
    """Train a model from a recipe and a dataset; Ctrl-C leaves a checkpoint to resume from."""
    loaded = settings.load()
    models_file = loaded.generators.models_path
    folder = out or loaded.data_dir / "runs" / Path(recipe).stem
    given = {
        "--init": init,
        "--models-file": models_file,
        "--max-steps": max_steps,
        "--devices": devices if devices > 1 else None,
        "--threads": threads,
        "--lora-rank": lora_rank,
        "--lora-alpha": lora_alpha,
    }
    arguments = ["train", recipe, "--data", str(data), "--out", str(folder), "--json"]
    arguments += [word for name, v in given.items() if v is not None for word in (name, str(v))]
    arguments += ["--resume"] if resume else []
    arguments += ["--lora"] if lora else []
    arguments += [] if tensorboard is None else [f"--{'' if tensorboard else 'no-'}tensorboard"]
    _run(arguments, Path(recipe).stem, json_)


@dataset_app.command("build")
def dataset_build(
    name: Annotated[str, typer.Argument(help="emoji, lexicon or instruments.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    json_: Json = False,
) -> None:
    """Make a starter dataset from fonts, dictionaries and sounds of the system."""
    _run(["dataset", "build", name, "--out", str(out), "--json"], name, json_)


@dataset_app.command("import")
def dataset_import(
    folder: Annotated[Path, typer.Argument(help="Pictures, texts or sounds of your own.")],
    out: Annotated[Path, typer.Option(help="The dataset folder to write.")],
    licence: Annotated[str, typer.Option(help="Under which terms they may be used.")],
    name: Annotated[str | None, typer.Option(help="What to call it; else the folder's name.")] = (
        None
    ),
    source: Annotated[str, typer.Option(help="Where the examples come from.")] = "",
    notice: Annotated[
        Path | None, typer.Option(help="A licence text that must go with the weights.")
    ] = None,
    modality: Annotated[
        Literal["image", "text", "audio"] | None, typer.Option(help="Else what most files are.")
    ] = None,
    held_out: Annotated[float, typer.Option(min=0, max=0.5, help="Share kept to judge by.")] = 0.05,
    json_: Json = False,
) -> None:
    """Make a dataset of a plain folder; captions from .txt files beside, or captions.csv."""
    given = {"--name": name, "--notice": notice, "--modality": modality}
    arguments = ["dataset", "import", str(folder), "--out", str(out), "--licence", licence]
    arguments += ["--source", source, "--held-out", str(held_out), "--json"]
    arguments += [word for key, v in given.items() if v is not None for word in (key, str(v))]
    _run(arguments, folder.name, json_)


@dataset_app.command("check")
def dataset_check(
    folder: Folder,
    strict: Annotated[bool, typer.Option(help="Fail for warnings too.")] = False,
    json_: Json = False,
) -> None:
    """Find broken, duplicate and oversized examples, and say which."""
    arguments = ["dataset", "check", str(folder), "--json", *(["--strict"] if strict else [])]
    _run(arguments, folder.name, json_)


def _run(arguments: list[str], title: str, as_json: bool) -> None:
    with children.Drawing(Console(stderr=True), title, quiet=as_json) as drawing:
        for event in children.events("trainer", arguments, leaves_by_itself=True):
            if as_json:
                typer.echo(json.dumps(event, ensure_ascii=False))
            else:
                _draw(drawing, event)


def _draw(drawing: children.Drawing, event: children.Event) -> None:
    match event["event"]:
        case "progress" if "loss" in event:
            drawing.step(event["optimizer_step"], event["total_steps"], note_of(event))
        case "progress":
            drawing.step(event["done"], event["total"])
        case "evaluation":
            figures = "  ".join(f"{k} {v:.4g}" for k, v in event["figures"].items())
            drawing.say(f"held out at step {event['optimizer_step']:,}: {figures}")
        case "problem":
            drawing.say(f"{event['severity']}: {event['message']}")
        case "done":
            facts = {k: v for k, v in event.items() if k not in ("event", "figures")}
            drawing.say("done: " + "  ".join(f"{k} {v}" for k, v in facts.items()))
        case kind:
            drawing.say(f"{kind}: {event.get('path', event.get('message', ''))}")
