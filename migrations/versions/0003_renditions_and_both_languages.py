"""Renditions, plots and uploaded inputs as artifacts; a failure in both languages; cancels that
outlive the gateway.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROLES = "role IN ('item', 'rendition', 'plot', 'grid', 'input')"
OLD_ROLES = "role IN ('item', 'grid')"

artifacts = sa.table("artifacts", sa.column("role", sa.Text()))


def upgrade() -> None:
    _allow(ROLES)
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("error_zh", sa.Text(), nullable=True))
        jobs.add_column(sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    # An older release erases a job's media by their rows, so the rows stay, as the role that it
    # shows behind the items.
    newer = artifacts.c.role.not_in(["item", "grid"])
    op.execute(sa.update(artifacts).where(newer).values(role="grid"))
    _allow(OLD_ROLES)
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("cancel_requested_at")
        jobs.drop_column("error_zh")


def _allow(roles: str) -> None:
    with op.batch_alter_table("artifacts") as table:
        table.drop_constraint("ck_artifacts_role", type_="check")
        table.create_check_constraint("ck_artifacts_role", roles)
