"""`atelier models`: which models the studio offers, and how the host adds one of their own.

Adding edits `models.toml` and nothing else; weights are fetched when a model is first used, or by
`models check`, which also proves that it works. Torch runs in a child process only.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bot import children, settings
from generators import catalog, hub, sizing
from generators.contract import MAX_SEED
from generators.models_file import (
    AdapterSource,
    Dtype,
    HostEntry,
    Offload,
    RegistryError,
    add_model,
    remove_model,
    set_default,
)
from generators.registry import REVISION, ModelEntry, read_registry
from generators.weights import WeightsError

models_app = typer.Typer(help="The models this studio offers.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="The model's name (`atelier models list`).")]
_SMALL: dict[str, dict[str, Any]] = {
    "image": {"prompt": "a red heart"},
    "text": {"prompt": "red", "max_new_tokens": 8},
    "audio": {"prompt": "piano"},
}


@models_app.command("list")
def models_list(
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the models on offer."""
    entries = read_registry(settings.load().generators.models_path).entries.values()
    if json_:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    table = Table(
        "name", "what", "generator", "size", "licence", "weights", box=None, pad_edge=False
    )
    for entry in entries:
        name = f"{entry.name} *" if entry.default else entry.name
        where = "ships with Atelier" if entry.starter else _where(entry)
        size = _size(entry)
        table.add_row(name, entry.modality, entry.generator, size, entry.licence, where)
    Console().print(table)


@models_app.command("add")
def models_add(
    name: Annotated[str, typer.Argument(help="The name members will use.")],
    weights: Annotated[str, typer.Argument(help="A folder, or a hub id such as owner/name.")],
    generator: Annotated[
        str | None, typer.Option(help="diffusion, gpt2, ...; else read from the weights.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="The hub commit or branch; else its newest commit.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="The weights' licence; else read from their card.")
    ] = None,
    default: Annotated[bool, typer.Option(help="Take it where none is named.")] = False,
    dtype: Annotated[Dtype, typer.Option(help="Number format in memory.")] = "auto",
    offload: Annotated[
        Offload, typer.Option(help="What to do where the GPU is too small: by component or layer.")
    ] = "auto",
    compile_: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the net of a pipeline for this machine: the first picture takes a minute,"
            " later ones two thirds of the time. Needs a C++ compiler.",
        ),
    ] = False,
    adapter: Annotated[
        list[str] | None,
        typer.Option(help="style=folder or style=owner/name[@commit]; offered as NAME+style."),
    ] = None,
) -> None:
    """Offer a model of your own: a local folder or a hub id, with adapters if you like."""
    path = settings.load().generators.models_path
    found = _found(weights, generator, revision, licence)
    entry = HostEntry(
        generator=found.generator,
        weights=_absolute(weights),
        revision=found.revision,
        licence=found.licence,
        dtype=dtype,
        offload=offload,
        compile=compile_,
        adapters=dict(_adapter(given) for given in adapter or ()),
    )
    add_model(path, name, entry)
    try:
        offered = read_registry(path)
        modality = offered.entry(name).modality
    except (RegistryError, WeightsError):
        remove_model(path, name)  # a broken entry would stop the next start
        raise
    if default:
        set_default(path, modality, name)
    names = [name, *(f"{name}+{style}" for style in entry.adapters)]
    what = f"{found.kind or found.generator}, licence {found.licence or 'not stated'}"
    typer.echo(f"{', '.join(names)} ({what}): on offer for new starts of the studio ({path}).")
    typer.echo(f"`atelier models check {name}` loads it now and makes one small thing.")


@models_app.command("check")
def models_check(name: _Name) -> None:
    """Load a model (fetching it if need be) and make one small thing with it."""
    entry = read_registry(settings.load().generators.models_path).entry(name)
    if "prompt" not in entry.capabilities:
        raise RegistryError(f"{name} takes no prompt; there is nothing to try it with")
    began = time.monotonic()
    with TemporaryDirectory(prefix="atelier-") as folder:
        request = {
            "model": name,
            "params": _SMALL[entry.modality],
            "seed": secrets.randbelow(MAX_SEED + 1),
            "count": 1,
            "out": str(Path(folder) / "out"),
        }
        last: children.Event = {}
        with children.Drawing(Console(stderr=True), name) as drawing:
            for event in children.events("generators", [], request=request):
                if event["event"] == "progress":
                    drawing.step(event["inference_step"], event["total_steps"])
                last = event
        size = sum(Path(file).stat().st_size for file in last.get("files", ()))
    receipt = last["receipt"]
    typer.echo(
        f"{name} works: {entry.modality} of {size} bytes in {time.monotonic() - began:.1f} s, of"
        f" which {receipt['gpu_ms'] / 1000:.1f} s on {receipt['device']} ({receipt['dtype']});"
        f" licence {entry.licence or 'not stated'}."
    )


@models_app.command("remove")
def models_remove(name: _Name) -> None:
    """Stop offering a model; its weights stay where they are."""
    remove_model(settings.load().generators.models_path, name)
    typer.echo(f"{name} is no longer on offer.")


@models_app.command("default")
def models_default(name: _Name) -> None:
    """Take this model where a member names none."""
    path = settings.load().generators.models_path
    set_default(path, read_registry(path).entry(name).modality, name)
    typer.echo(f"{name} is the default now.")


def _found(
    weights: str, generator: str | None, revision: str | None, licence: str | None
) -> hub.Found:
    """What the weights say, overruled by what the host says. Where the host says what matters, the
    hub need not be asked."""
    if generator is not None and generator not in catalog.names():
        raise RegistryError(
            f"there is no generator {generator!r}; there are {', '.join(catalog.names())}"
        )
    settled = revision is not None and REVISION.fullmatch(revision)
    if generator is not None and (settled or Path(weights).expanduser().is_dir()):
        return hub.Found(generator, "", licence or "", revision)
    found = hub.look(weights, revision)
    return hub.Found(
        generator or found.generator,
        found.kind,
        found.licence if licence is None else licence,
        found.revision,
    )


def _adapter(given: str) -> tuple[str, AdapterSource]:
    """`style=folder` or `style=owner/name[@commit]`; a hub id is pinned to its newest commit."""
    style, equals, weights = given.partition("=")
    if not equals or not style or not weights:
        raise RegistryError(f"--adapter {given}: write style=folder or style=owner/name")
    source = AdapterSource.model_validate(weights)
    revision = source.revision or hub.pinned(source.weights)
    return style, AdapterSource(weights=_absolute(source.weights), revision=revision)


def _absolute(weights: str) -> str:
    folder = Path(weights).expanduser()
    return str(folder.resolve()) if folder.exists() else weights


def _where(entry: ModelEntry) -> str:
    if entry.adapter is None:
        return entry.weights
    return f"{entry.weights} + {entry.adapter.weights}"


def _size(entry: ModelEntry) -> str:
    """Of the weights on disk; empty for what lies on the hub or needs none."""
    if entry.folder is None:
        return ""
    try:
        total = sum(sizing.component_bytes(entry.folder).values())
    except WeightsError:
        return "broken"
    return f"{total / 2**20:,.1f} MiB"
