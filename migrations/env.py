"""What Alembic runs for every command. It never opens a database itself: the caller hands over an
open connection in `config.attributes["connection"]`, inside the transaction that holds the lock, so
that the same file serves the start of the studio, the tests and `python -m migrations`.
"""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

from bot.store import house_tables, tables, training_tables
from bot.store.schema import Base, UtcDateTime

for row in (tables.JobRow, training_tables.RunRow, house_tables.CaseRow):
    assert row.metadata is Base.metadata  # noqa: S101


def render(kind: str, value: Any, autogen: Any) -> str | Literal[False]:
    """Write types into drafts as SQLAlchemy's own: a revision must not import the store."""
    if kind == "type" and isinstance(value, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(value, sa.JSON):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def run() -> None:
    """Run the command's revisions on the given connection."""
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, sa.Connection):
        raise RuntimeError("migrations need an open connection: use bot.store.migrate")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_server_default=True,
        render_item=render,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
