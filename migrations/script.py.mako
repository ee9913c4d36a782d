"""${message}.

Rules of every revision (delete the ones you have read from your file, keep them in your head):

  1. Expand, then contract. A new column is nullable or has a server default; renaming is add, copy,
     and remove in a LATER release, so that the version before still runs on this schema.
  2. No data is lost: nothing is dropped that the released version still reads; rows are copied
     before their home goes; a narrowing is checked first.
  3. Change tables in batch mode (`with op.batch_alter_table(...)`): SQLite rebuilds the table.
     Name every constraint; batch mode needs the names.
  4. Use literal tables (`sa.table(...)`) for data, never the classes of `bot.store`: they move on,
     a revision does not.
  5. The same result on SQLite and PostgreSQL; partial indexes carry both `..._where` arguments.
  6. `downgrade` is required and works; tests run it.
  7. A published revision is never edited.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
