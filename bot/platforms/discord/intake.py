"""What was acknowledged before it was admitted, on disk until it is: a crowd is told "thinking…" at
once, and then nothing that it asked for may be lost.

Admission is a transaction and comes first where it can (see `interactions`). Where it cannot, what
was asked for is written here before the acknowledgement, and taken out once the answer is shown or
on its way; a gateway that was killed in between takes it up again. Admission knows what it has seen
by the interaction's id, so that taking it up twice is taking it up once.

One line of JSON each, in a file that only this user can read: it holds prompts and tokens, for as
long as it takes to admit them, and is empty otherwise. A plain write outlives the death of the
process, as a commit of SQLite's does. Used by `interactions`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from bot.core.chat import Invocation, Origin, Role
from bot.core.ports import Clock
from bot.platforms.discord.reading import Asked, Attached

log = structlog.get_logger(__name__)

STALE: Final = timedelta(hours=1)
"""Who was left waiting for longer has long asked again."""
MAX_LINES: Final = 10_000
"""So many lines, and the file is written anew: a crowd may never end."""


class Intake:
    """Keeps what is asked for between acknowledgement and admission."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """`path`: a file of this gateway's own; it and its folder are made when there is need."""
        self._path, self._clock = path, clock
        self._kept: dict[str, bytes] = {}  # the lines that count, by invocation
        self._lines = 0  # in the file, those that no longer count included
        self._file: int | None = None

    def keep(self, asked: Asked) -> None:
        """Write it down; when this returns, the death of the process does not lose it."""
        line = _line({"asked": _to_json(asked), "at": self._clock().isoformat()})
        self._kept[asked.invocation.id] = line
        self._append(line)

    def drop(self, asked: Asked) -> None:
        """It is admitted or answered. Nothing happens where it was not kept."""
        if self._kept.pop(asked.invocation.id, None) is None:
            return
        if self._kept and self._lines < MAX_LINES:
            self._append(_line({"done": asked.invocation.id}))
        else:
            self._rewrite()

    def left(self) -> list[Asked]:
        """What a gateway before this one had kept and not dropped, oldest first; from now on it is
        kept here. What is stale or cannot be read is left out, and said in the log."""
        found: dict[str, Asked] = {}
        for line in filter(None, self._read()):
            self._lines += 1
            try:
                said = json.loads(line)
                if "done" in said:
                    found.pop(said["done"], None)
                    continue
                asked = _from_json(said["asked"])
                if self._clock() - datetime.fromisoformat(said["at"]) < STALE:
                    found[asked.invocation.id] = asked
                    self._kept[asked.invocation.id] = _line(said)
            except (ValueError, KeyError, TypeError):  # the line that was being written
                log.warning("a line of the intake cannot be read")
        self._kept = {name: line for name, line in self._kept.items() if name in found}
        if self._lines and not found:
            self._rewrite()
        return list(found.values())

    def close(self) -> None:
        """Let go of the file; what is kept stays for the next start."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self) -> list[str]:
        try:
            return self._path.read_text(encoding="ascii", errors="replace").split("\n")
        except FileNotFoundError:
            return []

    def _append(self, line: bytes) -> None:
        self._lines += 1
        try:
            os.write(self._opened(), line)
        except OSError as error:  # a full disk: members are answered all the same
            log.error("what is asked for cannot be kept", error=str(error))

    def _rewrite(self) -> None:
        """Only what counts. A death in between leaves the file of before."""
        self._lines = len(self._kept)
        try:
            if not self._kept:
                if self._file is not None or self._path.exists():
                    os.ftruncate(self._opened(), 0)
                return
            fresh = self._path.with_suffix(".new")
            fresh.touch(0o600)
            fresh.write_bytes(b"".join(self._kept.values()))
            self.close()
            fresh.replace(self._path)
        except OSError as error:
            log.error("what is asked for cannot be kept", error=str(error))

    def _opened(self) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._file


def _line(entry: Mapping[str, Any]) -> bytes:
    """Begun by a line end: what was being written when a gateway died is a line of its own."""
    return b"\n" + json.dumps(entry).encode()


def _to_json(asked: Asked) -> dict[str, Any]:
    return {
        "invocation": {**asdict(asked.invocation), "uploads": {}},  # fetched once more
        "files": {name: asdict(file) for name, file in asked.files.items()},
        "alone": asked.alone,
        "edits": asked.edits,
    }


def _from_json(said: Mapping[str, Any]) -> Asked:
    invocation = said["invocation"]
    origin = invocation["origin"]
    return Asked(
        invocation=Invocation(
            **_known(Invocation, invocation)
            | {
                "origin": Origin(
                    **_known(Origin, origin)
                    | {
                        "role": Role(origin["role"]),
                        "platform_roles": tuple(origin["platform_roles"]),
                    }
                )
            }
        ),
        files={name: Attached(**file) for name, file in said["files"].items()},
        alone=said["alone"],
        edits=said["edits"],
    )


def _known(kind: type[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version has: an older or newer one may have written the line."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in said.items() if name in names}
