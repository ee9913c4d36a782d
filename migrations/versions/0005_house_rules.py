"""Blocks, grants, cases that are posted, communities that were left, and indexes for retention.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
IN_HISTORY = sa.text("finished_at IS NOT NULL AND erased_at IS NULL")
LEFT = sa.text("left_at IS NOT NULL")
UNPOSTED = sa.text("state = 'open' AND posted_at IS NULL")

cases = sa.table(
    "cases",
    *(sa.column(name, sa.Text()) for name in ("id", "reporter_account_id", "job_id")),
    sa.column("opened_at", TIME),
    sa.column("next_attempt_at", TIME),
)


def upgrade() -> None:
    _measures()
    with op.batch_alter_table("communities") as communities:
        communities.add_column(sa.Column("left_at", TIME, nullable=True))
    _partial("ix_communities_left", "communities", ["left_at"], LEFT)
    _partial("ix_jobs_retention", "jobs", ["community_id", "finished_at"], IN_HISTORY)
    _partial("ix_jobs_age", "jobs", ["finished_at"], IN_HISTORY)
    _cases()


def downgrade() -> None:
    op.drop_index("ix_cases_unposted", "cases")
    with op.batch_alter_table("cases") as table:
        table.drop_constraint("uq_cases_reporter_account_id_job_id", type_="unique")
        for name in ("next_attempt_at", "attempts", "posted_at", "message_id"):
            table.drop_column(name)
    op.drop_index("ix_jobs_age", "jobs")
    op.drop_index("ix_jobs_retention", "jobs")
    op.drop_index("ix_communities_left", "communities")
    with op.batch_alter_table("communities") as communities:
        communities.drop_column("left_at")
    op.drop_table("grants")
    op.drop_table("blocks")


def _measures() -> None:
    op.create_table(
        "blocks",
        *(_text(name) for name in ("community_id", "account_id", "reason")),
        sa.Column("blocked_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("community_id", "account_id", name="pk_blocks"),
        _to("blocks", "account_id", "accounts"),
        sa.Index("ix_blocks_account_id", "account_id"),
    )
    op.create_table(
        "grants",
        *(_text(name) for name in ("id", "account_id", "community_id")),
        sa.Column("gpu_ms", sa.BigInteger(), nullable=False),
        sa.Column("granted_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        _to("grants", "account_id", "accounts"),
        _to("grants", "community_id", "communities"),
        sa.CheckConstraint("gpu_ms >= 1", name="ck_grants_gpu_ms"),
        sa.Index(
            "ix_grants_account_id_community_id_expires_at",
            *("account_id", "community_id", "expires_at"),
        ),
    )


def _cases() -> None:
    with op.batch_alter_table("cases") as table:
        table.add_column(sa.Column("next_attempt_at", TIME, nullable=True))
        table.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("posted_at", TIME, nullable=True))
        table.add_column(sa.Column("message_id", sa.Text(), nullable=True))
    op.execute(sa.update(cases).values(next_attempt_at=cases.c.opened_at))
    with op.batch_alter_table("cases") as table:
        table.alter_column("next_attempt_at", existing_type=TIME, nullable=False)
        table.alter_column("attempts", existing_type=sa.Integer(), server_default=None)
        table.create_unique_constraint(
            "uq_cases_reporter_account_id_job_id", ["reporter_account_id", "job_id"]
        )
    _partial("ix_cases_unposted", "cases", ["next_attempt_at"], UNPOSTED)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _to(table: str, column: str, referred: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{referred}.id"], name=f"fk_{table}_{column}_{referred}"
    )


def _partial(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
