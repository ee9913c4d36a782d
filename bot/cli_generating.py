"""`atelier imagine`, `write`, `sound`, `animate`, `upscale`, `blend`, `denoise`: one thing made,
without a server, by a child process (`python -m generators`). Used by `bot.cli` only.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bot import children, flags, settings
from bot.services.models import ModelOffers
from generators import catalog
from generators.contract import MAX_SEED, Params
from generators.models_file import RegistryError
from generators.registry import read_registry

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of drawing.")]
Seed = Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Seed; random if left out.")]
Count = Annotated[int, typer.Option(min=1, max=4, help="How many.")]
Model = Annotated[str | None, typer.Option(help="A registered model (`atelier models list`).")]
Picture = Annotated[Path, typer.Argument(help="A picture file.", exists=True, dir_okay=False)]

_LOOP = frozenset({"frames", "fps", "motion"})
_FROM_PICTURES = frozenset({"blend", "denoise"})


def _params(modality: str, *needs: str) -> list[type[Params]]:
    """The params of every generator that can do this."""
    specs = [catalog.spec(name) for name in catalog.names()]
    return [
        spec.params
        for spec in specs
        if spec.modality == modality and spec.capabilities.issuperset(needs)
    ]


@flags.with_params(
    *_params("image", "prompt"), leave_out=frozenset({"prompt"}) | _LOOP | _FROM_PICTURES
)
def imagine(
    prompt: Annotated[str, typer.Argument(help="What the picture shows.")],
    image: Annotated[
        Path | None,
        typer.Option(help="A picture to start from; see --strength.", exists=True, dir_okay=False),
    ] = None,
    model: Model = None,
    seed: Seed = None,
    count: Count = 4,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("imagine.png"),
    json_: Json = False,
    **given: Any,
) -> None:
    """Draw a picture, or a sheet of several, without a server."""
    needs = ("prompt", "image_input") if image else ("prompt",)
    if image is None and "strength" in given:
        raise typer.BadParameter("--strength says how far to go from a picture: give --image too")
    chosen = _chosen("image", model, *needs)
    inputs = {"image": image} if image else {}
    _make(chosen, {"prompt": prompt, **given}, seed, count, out, json_, inputs)


@flags.with_params(*_params("text", "prompt"), leave_out=frozenset({"prompt"}))
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
    chosen = _chosen("text", model, "prompt")
    _make(chosen, {"prompt": prompt, **given}, seed, count, out, json_)


@flags.with_params(*_params("audio", "prompt"), leave_out=frozenset({"prompt", "duration_s"}))
def sound(
    prompt: Annotated[str, typer.Argument(help="What is to be heard.")],
    seconds: Annotated[float | None, typer.Option(help="How long, in seconds.")] = None,
    model: Model = None,
    seed: Seed = None,
    count: Count = 1,
    out: Annotated[
        Path, typer.Option(help="The WAV to write; Opus and a picture lie beside it.")
    ] = Path("sound.wav"),
    json_: Json = False,
    **given: Any,
) -> None:
    """Make a sound without a server."""
    chosen = _chosen("audio", model, "prompt")
    params = {"prompt": prompt, **given}
    if seconds is not None:
        params["duration_s"] = seconds
    _make(chosen, params, seed, count, out, json_)


@flags.with_params(
    *_params("image", "prompt", "animate"), leave_out=frozenset({"prompt", "frames", "strength"})
)
def animate(
    prompt: Annotated[str, typer.Argument(help="What the loop shows.")],
    seconds: Annotated[float, typer.Option(min=0.5, help="How long one round lasts.")] = 2.0,
    model: Model = None,
    seed: Seed = None,
    out: Annotated[Path, typer.Option(help="The MP4 to write; GIF and WebM lie beside it.")] = Path(
        "animate.mp4"
    ),
    json_: Json = False,
    **given: Any,
) -> None:
    """Make a looping animation without a server."""
    chosen = _chosen("image", model, "prompt", "animate")
    fields = catalog.spec(_generator(chosen)).params.model_fields
    frames = max(2, round(seconds * given.get("fps", fields["fps"].default)))
    _make(chosen, {"prompt": prompt, **given, "frames": frames}, seed, 1, out, json_)


@flags.with_params(*_params("image", "upscale", "image_input"), leave_out=frozenset())
def upscale(
    picture: Picture,
    model: Model = None,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("upscaled.png"),
    json_: Json = False,
    **given: Any,
) -> None:
    """Make a picture larger without a server."""
    chosen = _chosen("image", model, "upscale", "image_input")
    _make(chosen, given, 0, 1, out, json_, {"image": picture})


@flags.with_params(*_params("image", "blend"), only=frozenset({"blend", "upscale"}))
def blend(
    first: Picture,
    second: Picture,
    model: Model = None,
    count: Count = 4,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("blend.png"),
    json_: Json = False,
    **given: Any,
) -> None:
    """Make what lies between two pictures, without a server."""
    chosen = _chosen("image", model, "blend")
    _make(chosen, given, 0, count, out, json_, {"image": first, "image_b": second})


@flags.with_params(*_params("image", "denoise"), only=frozenset({"denoise", "upscale"}))
def denoise(
    picture: Picture,
    model: Model = None,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("denoised.png"),
    json_: Json = False,
    **given: Any,
) -> None:
    """Clean a noisy picture without a server."""
    chosen = _chosen("image", model, "denoise")
    _make(chosen, given, 0, 1, out, json_, {"image": picture})


COMMANDS = (imagine, write, sound, animate, upscale, blend, denoise)


def _chosen(modality: str, model: str | None, *needs: str) -> str:
    """The model to take: the one named, or the best that can. Raises RegistryError or BadOption."""
    offered = read_registry(settings.load().generators.models_path)
    if model is not None:
        offered.entry(model)  # says which there are
    offers = ModelOffers(offered.entries.values())
    if model is None and not offers.capable(modality, *needs):
        raise RegistryError(f"no {modality} model is installed that can do this")
    return offers.choose(model, modality, *needs).name


def _generator(model: str) -> str:
    return read_registry(settings.load().generators.models_path).entry(model).generator


def _make(
    model: str,
    params: Mapping[str, Any],
    seed: int | None,
    count: int,
    out: Path | None,
    as_json: bool,
    inputs: Mapping[str, Path] | None = None,
) -> None:
    """Run the request in a child, draw its progress, say what was written."""
    request = {
        "model": model,
        "params": dict(params),
        "seed": secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
        "count": count,
        "inputs": {name: str(path) for name, path in (inputs or {}).items()},
        "out": str(out) if out else None,
    }
    console = Console(stderr=True)
    last: children.Event = {}
    with children.Drawing(console, model, quiet=as_json) as drawing:
        for event in children.events("generators", [], request=request):
            if event["event"] == "progress":
                drawing.step(event["inference_step"], event["total_steps"])
            last = event
    if as_json:
        typer.echo(json.dumps(last["receipt"], ensure_ascii=False, indent=2))
        return
    for text in last.get("texts", ()) if out is None else ():
        typer.echo(text)
    for path in last.get("files", ()):
        console.print(f"Wrote {path} (seed {request['seed']})", highlight=False, markup=False)
