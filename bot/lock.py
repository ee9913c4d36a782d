"""One gateway to a data folder: two on one SQLite file would both send and both answer.

The lock is the system's, on an open file: it goes when the process goes, however that dies. With
PostgreSQL it still guards the folder's socket and key. Used by `bot.app` only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import SettingsError


@contextmanager
def sole_user(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises SettingsError naming the process that holds it already."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "gateway.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "?"
            raise SettingsError(
                f"ATELIER_DATA_DIR: another gateway (process {holder}) is using "
                f"{data_dir.resolve()}. Stop it first, or give this one a folder of its own."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
