"""What an item costs is asked by model and command: a loop costs more than a still picture.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DONE = sa.text("state = 'done'")


def upgrade() -> None:
    _index("ix_jobs_cost", "model", "command", "finished_at")
    op.drop_index("ix_jobs_model_cost", "jobs")


def downgrade() -> None:
    _index("ix_jobs_model_cost", "model", "finished_at")
    op.drop_index("ix_jobs_cost", "jobs")


def _index(name: str, *columns: str) -> None:
    op.create_index(name, "jobs", list(columns), sqlite_where=DONE, postgresql_where=DONE)
