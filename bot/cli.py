"""`atelier`: the studio's command line. Never imports torch; torch work runs in child processes.

One Typer app. Whatever goes wrong in a way we foresaw is one sentence on stderr and exit status 1
(2 for a wrong argument); a traceback means a bug.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bot import children, flags, settings
from bot.errors import AtelierError
from generators import catalog, logs
from generators.contract import MAX_SEED
from generators.engine import attach
from generators.models_file import HostEntry, RegistryError, add_model, remove_model, set_default
from generators.registry import read_registry
from generators.weights import WeightsError

app = typer.Typer(
    name="atelier",
    help="A self-hosted creative studio for communities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models_app = typer.Typer(help="The models this studio offers.", no_args_is_help=True)
dataset_app = typer.Typer(help="Datasets for training.", no_args_is_help=True)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(dataset_app, name="dataset")
app.add_typer(db_app, name="db")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of drawing.")]
Seed = Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Seed; random if left out.")]
Count = Annotated[int, typer.Option(min=1, max=4, help="How many.")]
Model = Annotated[str | None, typer.Option(help="A registered model (`atelier models list`).")]


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except (AtelierError, RegistryError, WeightsError, attach.AttachError) as error:
        typer.echo(f"atelier: {error}", err=True)
        sys.exit(getattr(error, "code", 1))


# --- Serving ----------------------------------------------------------------------------------


@app.command()
def up(
    bind: Annotated[str | None, typer.Option(help="host:port of the web server.")] = None,
) -> None:
    """Start the whole studio: gateway, one worker, the browser studio."""
    _serve(bind, worker=True)


@app.command()
def gateway(
    bind: Annotated[str | None, typer.Option(help="host:port of the web server.")] = None,
) -> None:
    """Start the gateway alone; jobs wait until an `atelier worker` joins."""
    _serve(bind, worker=False)


@app.command()
def worker() -> None:
    """Start a generation worker for the gateway that uses the same data folder."""
    chosen = settings.load()
    logs.configure(chosen.generators.log_format, chosen.generators.log_level)
    attach.work(chosen.generators)


def _serve(bind: str | None, *, worker: bool) -> None:
    from bot.app import run  # the gateway's libraries load only where they are used

    chosen = settings.load()
    if bind is not None:
        chosen = settings.with_bind(chosen, bind)
    run(chosen, worker=worker)


# --- Generating -------------------------------------------------------------------------------


@app.command()
@flags.with_params(catalog.spec("diffusion").params, leave_out=frozenset({"prompt"}))
def imagine(
    prompt: Annotated[str, typer.Argument(help="What the picture shows.")],
    model: Model = None,
    seed: Seed = None,
    count: Count = 4,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("imagine.png"),
    json_: Json = False,
    **given: Any,
) -> None:
    """Draw a picture, or a sheet of several, without a server."""
    _generate("image", {"prompt": prompt, **given}, model, seed, count, out, json_)


@app.command()
@flags.with_params(catalog.spec("gpt2").params, leave_out=frozenset({"prompt"}))
def write(
    prompt: Annotated[str, typer.Argument(help="A headword, or the beginning of a text.")],
    model: Model = None,
    seed: Seed = None,
    count: Count = 1,
    out: Annotated[Path | None, typer.Option(help="A text file; else the terminal.")] = None,
    json_: Json = False,
    **given: Any,
) -> None:
    """Write a text without a server."""
    _generate("text", {"prompt": prompt, **given}, model, seed, count, out, json_)


def _generate(
    modality: Any,
    params: dict[str, Any],
    model: str | None,
    seed: int | None,
    count: int,
    out: Path | None,
    as_json: bool,
) -> None:
    offered = read_registry(settings.load().generators.models_path)
    entry = offered.entry(model) if model else offered.default(modality)
    if entry is None:
        raise RegistryError(f"no {modality} model is installed")
    request = {
        "model": entry.name,
        "params": params,
        "seed": secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
        "count": count,
        "out": str(out) if out else None,
    }
    console = Console(stderr=True)
    last: children.Event = {}
    with children.Drawing(console, entry.name, quiet=as_json) as drawing:
        for event in children.events("generators", [], request=request):
            if event["event"] == "progress":
                drawing.step(event["inference_step"], event["total_steps"])
            last = event
    if as_json:
        typer.echo(json.dumps(last["receipt"], ensure_ascii=False, indent=2))
    for text in last.get("texts", ()) if out is None and not as_json else ():
        typer.echo(text)
    for path in last.get("files", ()) if not as_json else ():
        console.print(f"Wrote {path} (seed {request['seed']})", highlight=False, markup=False)


# --- Training ---------------------------------------------------------------------------------


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or a TOML file.")],
    data: Annotated[Path, typer.Option(help="The dataset folder.")],
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
    init: Annotated[Path | None, typer.Option(help="Weights to start from.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop early.")] = None,
    json_: Json = False,
) -> None:
    """Train a model from a recipe and a dataset."""
    arguments = ["train", recipe, "--data", str(data), "--out", str(out), "--json"]
    arguments += ["--resume"] if resume else []
    arguments += ["--init", str(init)] if init else []
    arguments += ["--max-steps", str(max_steps)] if max_steps else []
    _run_trainer(arguments, recipe, json_)


@dataset_app.command("build")
def dataset_build(
    name: Annotated[str, typer.Argument(help="emoji or lexicon.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
) -> None:
    """Make a starter dataset from fonts and dictionaries of the system."""
    _run_trainer(["dataset", "build", name, "--out", str(out), "--json"], name, False)


@dataset_app.command("check")
def dataset_check(folder: Annotated[Path, typer.Argument(help="The dataset folder.")]) -> None:
    """Find broken, duplicate and oversized examples, and say which."""
    _run_trainer(["dataset", "check", str(folder), "--json"], folder.name, False)


def _run_trainer(arguments: list[str], title: str, as_json: bool) -> None:
    with children.Drawing(Console(stderr=True), title, quiet=as_json) as drawing:
        for event in children.events("trainer", arguments):
            if as_json:
                typer.echo(json.dumps(event, ensure_ascii=False))
            else:
                _draw_training(drawing, event)


def _draw_training(drawing: children.Drawing, event: children.Event) -> None:
    match event["event"]:
        case "progress" if "loss" in event:
            note = f"loss {event['loss']:.4f}  {event.get('examples_per_s', 0):.0f} examples/s"
            drawing.step(event["optimizer_step"], event["total_steps"], note)
        case "progress":
            drawing.step(event["done"], event["total"])
        case "done":
            drawing.say("  ".join(f"{k}: {v}" for k, v in event.items() if k != "event"))
        case kind:
            drawing.say(f"{kind}: {event.get('path', event.get('message', ''))}")


# --- Models -----------------------------------------------------------------------------------


@models_app.command("list")
def models_list(json_: Json = False) -> None:
    """Show the models on offer."""
    entries = read_registry(settings.load().generators.models_path).entries.values()
    if json_:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    table = Table("name", "what", "generator", "licence", "weights", box=None, pad_edge=False)
    for entry in entries:
        name = f"{entry.name} *" if entry.default else entry.name
        where = "ships with Atelier" if entry.starter else entry.weights
        table.add_row(name, entry.modality, entry.generator, entry.licence, where)
    Console().print(table)


@models_app.command("add")
def models_add(
    name: Annotated[str, typer.Argument(help="The name members will use.")],
    weights: Annotated[str, typer.Argument(help="A folder, or a hub id such as owner/name.")],
    generator: Annotated[str, typer.Option(help="diffusion, gpt2, ...")] = "diffusion",
    revision: Annotated[str | None, typer.Option(help="The hub commit (40 hex digits).")] = None,
    licence: Annotated[str, typer.Option(help="The weights' licence.")] = "",
    default: Annotated[bool, typer.Option(help="Take it where none is named.")] = False,
) -> None:
    """Offer a model of your own: a local folder or a hub id."""
    path = settings.load().generators.models_path
    folder = Path(weights)
    entry = HostEntry(
        generator=generator,
        weights=str(folder.resolve()) if folder.exists() else weights,
        revision=revision,
        licence=licence,
    )
    add_model(path, name, entry)
    try:
        offered = read_registry(path).entry(name)
    except (RegistryError, WeightsError):
        remove_model(path, name)  # a broken entry would stop the next start
        raise
    if default:
        set_default(path, offered.modality, name)
    typer.echo(f"{name} is on offer for new starts of the studio ({path}).")


@models_app.command("remove")
def models_remove(name: str) -> None:
    """Stop offering a model; its weights stay where they are."""
    remove_model(settings.load().generators.models_path, name)
    typer.echo(f"{name} is no longer on offer.")


@models_app.command("default")
def models_default(name: str) -> None:
    """Take this model where a member names none."""
    path = settings.load().generators.models_path
    set_default(path, read_registry(path).entry(name).modality, name)
    typer.echo(f"{name} is the default now.")


# --- Looking after it -------------------------------------------------------------------------


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to this version's tables (also done at every start)."""
    _with_store(lambda store: store.migrate(), "The database is up to date.")


@db_app.command("status")
def db_status() -> None:
    """Say whether the database is up to date."""

    async def ask(store: Any) -> str:
        return "current" if await store.is_current() else "behind: run `atelier db upgrade`"

    _with_store(ask, "The database is {}.")


def _with_store(use: Callable[[Any], Any], message: str) -> None:
    from bot.store.database import open_store

    async def run() -> Any:
        chosen = settings.load()
        chosen.data_dir.mkdir(parents=True, exist_ok=True)
        store = open_store(chosen.database_url)
        try:
            return await use(store)
        finally:
            await store.close()

    typer.echo(message.format(asyncio.run(run())))


@app.command()
def doctor(json_: Json = False) -> None:
    """Check settings, database, disk, GPU, ffmpeg and tokens, and say what to do."""
    from bot import doctor as examination

    chosen = settings.load()

    async def run() -> list[examination.Finding]:
        return [finding async for finding in examination.examine(chosen)]

    findings = asyncio.run(run())
    if json_:
        typer.echo(json.dumps([vars_of(f) for f in findings], indent=2))
    else:
        colours = {"ok": "green", "note": "yellow", "bad": "red"}
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in findings:
            mark = f"[{colours[finding.mark]}]{finding.mark}[/]"
            table.add_row(mark, finding.name, finding.detail, f"[bold]{finding.remedy}[/]")
        Console().print(table)
    if any(finding.mark is examination.Mark.BAD for finding in findings):
        raise typer.Exit(1)


def vars_of(finding: Any) -> dict[str, str]:
    """A finding as JSON."""
    return {name: str(getattr(finding, name)) for name in ("name", "mark", "detail", "remedy")}
