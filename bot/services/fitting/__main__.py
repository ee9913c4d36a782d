"""The child that fits one thing: `python -m bot.services.fitting TASK OPTIONS`.

TASK is a key of `TASKS`, OPTIONS a JSON object with its keywords; the media come on stdin. Only
`child` starts it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Final

from bot.services.fitting import motion, pictures, sounds
from bot.services.fitting.values import Fitted, Unfit

MEMORY_BYTES: Final = 4 * 1024**3
CPU_S: Final = 60
NICENESS: Final = 5  # chat first

TASKS: Final[dict[str, Callable[..., Fitted]]] = {
    "picture": pictures.ladder,
    "emoji": motion.emoji,
    "sticker": motion.sticker,
    "sound": sounds.clip,
    "voice": sounds.voice,
}


def main() -> None:
    """Fit, and write the outcome."""
    _bound()
    task, options = TASKS[sys.argv[1]], json.loads(sys.argv[2])
    out = sys.stdout.buffer
    try:
        made = task(sys.stdin.buffer.read(), **options)
    except Unfit as error:
        out.write(json.dumps(dict(error.texts)).encode() + b"\n")
        return
    head = {"mime": made.mime, "filename": made.filename, "facts": dict(made.facts)}
    out.write(json.dumps(head).encode() + b"\n")
    out.write(made.data)


def _bound() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))


if __name__ == "__main__":
    main()
