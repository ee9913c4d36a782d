"""One request without a server: `python -m generators < request.json`. Torch.

For `atelier imagine` and `atelier write`, which draw what this prints: one JSON event a line on
stdout (`progress` and at the end `done` or `error`), everything else on stderr. The request:

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

from generators import logs, worker
from generators.contract import BadRequest, Cancelled, Media, Step
from generators.engine.port import EngineJob
from generators.models_file import RegistryError
from generators.registry import read_registry
from generators.serving import Batch, Outcome
from generators.settings import GeneratorSettings
from generators.validation import checked_params, sentence

JOB_ID = "here"


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
        inputs = {name: path.read_bytes() for name, path in request.inputs.items()}
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
    from generators.runner import Runner  # torch, only now that the request is known to be good

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


def _write(out: Path | None, items: Sequence[Media]) -> list[str]:
    """One file: the single item, the sheet of several pictures, or the texts one after another."""
    if out is None:
        return []
    grid = next((item for item in items if item.role == "grid"), None)
    data = grid.data if grid is not None else b"\n\n".join(item.data for item in items)
    if items[0].mime.startswith("text/"):
        data += b"\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(data)
    return [str(out)]


def _claimed_stdout() -> IO[str]:
    """Stdout for events alone: whatever a library prints goes to stderr."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return stream


if __name__ == "__main__":
    for name, value in worker.CHILD_DEFAULTS.items():
        os.environ.setdefault(name, value)
    logs.configure("auto", "warning")
    sys.exit(main(sys.stdin, _claimed_stdout()))
