"""One request without a server: `python -m generators < request.json`. Torch.

For `atelier imagine` and its kin, which draw what this prints: one JSON event a line on stdout
(`progress` and at the end `done` or `error`), everything else on stderr. The request:

    {"model": "diffusion", "params": {"prompt": "red heart"}, "seed": 7, "count": 4,
     "inputs": {"image": "picture.png"}, "out": "heart.png"}

Exit status 0 when the result is written, 2 for a request that cannot be served.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from generators import logs, media
from generators.contract import BadRequest, Cancelled, Media, Step
from generators.engine.port import EngineJob
from generators.models_file import RegistryError
from generators.registry import read_registry
from generators.serving import Batch, Outcome
from generators.settings import GeneratorSettings
from generators.validation import checked_params, sentence
from generators.worker.process import CHILD_DEFAULTS

JOB_ID = "here"
MAX_PIXELS = 100_000_000  # of a picture given; one's own machine may decode larger ones
MAX_SIDE = 2048  # larger ones are made smaller, as in the studio
SUFFIXES = {
    "image/png": ".png",
    "image/gif": ".gif",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "audio/wav": ".wav",
    "audio/ogg": ".ogg",
}


class Request(BaseModel):
    """What comes on stdin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    params: dict[str, Any] = {}
    seed: int = 0
    count: int = 1
    inputs: dict[str, Path] = {}
    out: Path | None = None


class Printer:
    """Takes the place of the link to a supervisor: events become lines, the outcome is kept."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.outcome: Outcome | None = None

    def say(self, event: str, **values: Any) -> None:
        """One line."""
        self._stream.write(json.dumps({"event": event, **values}, ensure_ascii=False) + "\n")
        self._stream.flush()

    def status(self, **_: Any) -> None:
        """What is loaded concerns nobody here."""

    def on_step(self, step: Step) -> frozenset[str]:
        """A step is a line."""
        self.say(
            "progress",
            inference_step=step.inference_step,
            total_steps=step.total_steps,
            text=step.texts.get(JOB_ID),
        )
        return frozenset()

    def check(self) -> frozenset[str]:
        """Nobody cancels but by ending the process."""
        return frozenset()

    def cancelled(self, job_id: str) -> bool:
        """Nobody cancels but by ending the process."""
        return False

    def newcomers(self) -> list[Batch]:
        """There is one request, and it is a batch."""
        return []

    def report(self, step: Step) -> None:
        """Nobody joins."""

    def answer(self, outcome: Outcome) -> None:
        """Keep the outcome; the first one counts."""
        self.outcome = self.outcome or outcome


def main(stdin: IO[str], stdout: IO[str]) -> int:
    """Serve one request; returns the exit status."""
    printer = Printer(stdout)
    try:
        request = Request.model_validate_json(stdin.read())
        settings = GeneratorSettings(preload=False)
        entry = read_registry(settings.models_path).entry(request.model)
        checked_params(entry.generator, request.params, seed=request.seed, count=request.count)
        inputs = {name: _picture(path) for name, path in request.inputs.items()}
        outcome = _run(entry.generator, request, inputs, settings, printer)
        if outcome.state != "done":
            raise BadRequest(outcome.error or "There is no result.")
        files = _write(request.out, outcome.media)
    except ValidationError as error:
        printer.say("error", message=sentence(error))
    except (BadRequest, RegistryError) as error:
        printer.say("error", message=str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        printer.say("error", message=f"{where}{error.strerror or error}")
    except (KeyboardInterrupt, Cancelled):
        return 130
    else:
        texts = [m.data.decode() for m in outcome.media if m.mime.startswith("text/")]
        printer.say("done", files=files, texts=texts, receipt=outcome.receipt)
        return 0
    return 2


def _run(
    generator: str,
    request: Request,
    inputs: Mapping[str, bytes],
    settings: GeneratorSettings,
    printer: Printer,
) -> Outcome:
    from generators.runner.process import Runner  # torch, now that the request is known to be good

    job = EngineJob(
        id=JOB_ID,
        generator=generator,
        model=request.model,
        params=request.params,
        seed=request.seed,
        count=request.count,
        compat="",
        owner="",
    )
    runner = Runner(settings)
    runner.run(Batch([job], {JOB_ID: inputs}), printer)
    return printer.outcome or Outcome(JOB_ID, "failed", error="The model gave no result.")


def _picture(path: Path) -> bytes:
    """A picture file as the studio takes an upload: upright, bounded, without metadata."""
    try:
        found = media.uploaded_png(path.read_bytes(), max_pixels=MAX_PIXELS, max_side_px=MAX_SIDE)
    except BadRequest as error:
        raise BadRequest(f"{path}: {error.en}", f"{path}：{error.zh}") from error
    return found.data


def _write(out: Path | None, made: Sequence[Media]) -> list[str]:
    """The files of a result: `out` itself for what was asked for (of several pictures the sheet),
    and beside it, by the same name, the other formats and plots. Several things of a kind are
    numbered; a name without a suffix gets the one of its kind. Returns their paths."""
    if out is None:
        return []
    if not out.suffix:
        out = out.with_name(out.name + SUFFIXES.get(made[0].mime, ""))
    files = {out: _texts(made)} if made[0].mime.startswith("text/") else _named(out, made)
    out.parent.mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        path.write_bytes(data)
    return [str(path) for path in files]


def _texts(made: Sequence[Media]) -> bytes:
    return b"\n\n".join(item.data for item in made) + b"\n"


def _named(out: Path, made: Sequence[Media]) -> dict[Path, bytes]:
    sheet = [one for one in made if one.role == "grid"]
    others = [one for one in made if one.role != "grid" and not (sheet and one.role == "item")]
    files = {out: sheet[0].data} if sheet else {}
    items = sum(one.role == "item" for one in made)
    item = 1 if sheet else 0
    for one in others:
        item += one.role == "item"
        stem = out.stem if items == 1 or sheet else f"{out.stem}-{item}"
        path = out.with_name(stem + SUFFIXES.get(one.mime, out.suffix))
        if one.role == "item" and items == 1 and len(others) == 1:
            path = out
        number = 1
        while path in files:
            number += 1
            path = path.with_name(f"{stem}-{one.role}{number if number > 2 else ''}{path.suffix}")
        files[path] = one.data
    return files


def _claimed_stdout() -> IO[str]:
    """Stdout for events alone: whatever a library prints goes to stderr."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return stream


if __name__ == "__main__":
    for name, value in CHILD_DEFAULTS.items():
        os.environ.setdefault(name, value)
    logs.configure("auto", "warning")
    sys.exit(main(sys.stdin, _claimed_stdout()))
