"""`atelier`: the studio's command line. Never imports torch; torch work runs in child processes.

One Typer app. Whatever goes wrong in a way we foresaw is one sentence on stderr and exit status 1
(2 for a wrong argument); a traceback means a bug.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bot import settings
from bot.cli_evaluation import evaluate
from bot.cli_generating import COMMANDS
from bot.cli_models import models_app
from bot.cli_training import dataset_app, train
from bot.errors import AtelierError
from generators import logs
from generators.engine import attach
from generators.models_file import RegistryError
from generators.weights import WeightsError

app = typer.Typer(
    name="atelier",
    help="A self-hosted creative studio for communities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
for command in COMMANDS:
    app.command()(command)
app.command()(train)
app.command()(evaluate)
app.add_typer(models_app, name="models")
app.add_typer(dataset_app, name="dataset")
app.add_typer(db_app, name="db")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of drawing.")]


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
        for finding in findings:
            if finding.link:  # below the table, which would break it in two
                typer.echo(f"{finding.name}: {finding.link}")
    if any(finding.mark is examination.Mark.BAD for finding in findings):
        raise typer.Exit(1)


def vars_of(finding: Any) -> dict[str, str]:
    """A finding as JSON."""
    return {
        name: str(getattr(finding, name)) for name in ("name", "mark", "detail", "remedy", "link")
    }
