"""What members contribute, and what is trained on it.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _examples()
    _results()


def downgrade() -> None:
    for table in ("cases", "adapters", "runs", "contributions", "datasets", "consents"):
        op.drop_table(table)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _to(table: str, column: str, referred: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{referred}.id"], name=f"fk_{table}_{column}_{referred}"
    )


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=f"ck_{table}_{name}")


def _examples() -> None:
    op.create_table(
        "consents",
        *(_text(name) for name in ("id", "account_id", "community_id", "scope", "wording")),
        _column("given_at", TIME),
        _column("revoked_at", TIME, nullable=True),
        _key("consents", "id"),
        _to("consents", "account_id", "accounts"),
        _to("consents", "community_id", "communities"),
        sa.Index("ix_consents_account_id_community_id", "account_id", "community_id"),
    )
    op.create_table(
        "datasets",
        *(_text(name) for name in ("id", "community_id", "name", "modality")),
        _column("created_at", TIME),
        _column("frozen_at", TIME, nullable=True),
        _key("datasets", "id"),
        _to("datasets", "community_id", "communities"),
        sa.UniqueConstraint("community_id", "name", name="uq_datasets_community_id_name"),
        _check("datasets", "modality", "modality IN ('image', 'text', 'audio', 'video')"),
    )
    op.create_table(
        "contributions",
        *(_text(name) for name in ("id", "account_id", "community_id", "consent_id")),
        _text("dataset_id", nullable=True),
        *(_text(name) for name in ("key", "mime")),
        _column("size_bytes", sa.BigInteger()),
        *(_text(name) for name in ("caption", "state")),
        _column("created_at", TIME),
        _key("contributions", "id"),
        _to("contributions", "account_id", "accounts"),
        _to("contributions", "community_id", "communities"),
        _to("contributions", "consent_id", "consents"),
        _to("contributions", "dataset_id", "datasets"),
        _check(
            "contributions", "state", "state IN ('offered', 'accepted', 'declined', 'withdrawn')"
        ),
        _check("contributions", "size_bytes", "size_bytes >= 0"),
        sa.Index("ix_contributions_account_id", "account_id"),
        sa.Index("ix_contributions_dataset_id_state", "dataset_id", "state"),
    )


def _results() -> None:
    op.create_table(
        "runs",
        *(_text(name) for name in ("id", "job_id", "account_id", "community_id", "dataset_id")),
        _column("recipe", JSON),
        _column("manifest", JSON),
        _column("report", JSON, nullable=True),
        _column("created_at", TIME),
        _key("runs", "id"),
        _to("runs", "job_id", "jobs"),
        _to("runs", "account_id", "accounts"),
        _to("runs", "community_id", "communities"),
        _to("runs", "dataset_id", "datasets"),
        sa.UniqueConstraint("job_id", name="uq_runs_job_id"),
        sa.Index("ix_runs_account_id", "account_id"),
    )
    op.create_table(
        "adapters",
        *(_text(name) for name in ("id", "run_id", "community_id", "name", "base_model")),
        *(_text(name) for name in ("key", "weights_hash")),
        _column("created_at", TIME),
        _column("disabled_at", TIME, nullable=True),
        _text("disabled_why", nullable=True),
        _key("adapters", "id"),
        _to("adapters", "run_id", "runs"),
        _to("adapters", "community_id", "communities"),
        sa.UniqueConstraint("community_id", "name", name="uq_adapters_community_id_name"),
        sa.Index("ix_adapters_run_id", "run_id"),
    )
    op.create_table(
        "cases",
        *(_text(name) for name in ("id", "community_id")),
        *(_text(name) for name in ("reporter_account_id", "subject_account_id")),
        _text("job_id", nullable=True),
        *(_text(name) for name in ("reason", "state")),
        _column("opened_at", TIME),
        _column("closed_at", TIME, nullable=True),
        _text("resolution", nullable=True),
        _key("cases", "id"),
        _to("cases", "community_id", "communities"),
        _to("cases", "reporter_account_id", "accounts"),
        _to("cases", "subject_account_id", "accounts"),
        _to("cases", "job_id", "jobs"),
        _check("cases", "state", "state IN ('open', 'upheld', 'dismissed')"),
        sa.Index("ix_cases_community_id_state", "community_id", "state"),
        sa.Index("ix_cases_reporter_account_id", "reporter_account_id"),
        sa.Index("ix_cases_subject_account_id", "subject_account_id"),
    )
