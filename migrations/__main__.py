"""`python -m migrations "what changes"` drafts the next revision from the tables in the code.

It compares them with a fresh SQLite database at the newest revision, so no running studio is
needed. The draft must be read and finished by a person: Alembic sees no renames and moves no data.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from bot.store.migrate import migrate_sqlite


def draft(message: str) -> None:
    """Write `versions/NNNN_<message>.py`."""
    number = 1 + len(list((Path(migrations.__path__[0]) / "versions").glob("[0-9]*.py")))

    def step(config: Config) -> None:
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")

    async def run(file: Path) -> None:
        await migrate_sqlite(file)
        await migrate_sqlite(file, step)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "draft.db"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit('usage: python -m migrations "what changes"')
    draft(sys.argv[1])
