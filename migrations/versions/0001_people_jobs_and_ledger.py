"""People, jobs, answers and the ledger.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _people()
    _jobs()
    _answers()
    _studio()


def downgrade() -> None:
    for table in (
        *("scheduler_clock", "audit_log", "settings", "ledger_entries"),
        *("deliveries", "artifacts", "jobs"),
        *("members", "communities", "identities", "accounts"),
    ):
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


def _index(name: str, *columns: str, where: str | None = None) -> sa.Index:
    if where is None:
        return sa.Index(name, *columns)
    return sa.Index(name, *columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=f"ck_{table}_{name}")


def _people() -> None:
    op.create_table(
        "accounts",
        _text("id"),
        _text("locale"),
        _column("created_at", TIME),
        _key("accounts", "id"),
    )
    op.create_table(
        "identities",
        _text("platform"),
        _text("external_id"),
        _text("account_id"),
        _text("display_name"),
        _column("created_at", TIME),
        _key("identities", "platform", "external_id"),
        _to("identities", "account_id", "accounts"),
        _index("ix_identities_account_id", "account_id"),
    )
    op.create_table(
        "communities",
        _text("id"),
        _text("platform"),
        _text("external_id"),
        _text("name"),
        _text("personal_account_id", nullable=True),
        _column("created_at", TIME),
        _key("communities", "id"),
        _to("communities", "personal_account_id", "accounts"),
        sa.UniqueConstraint("platform", "external_id", name="uq_communities_platform_external_id"),
    )
    op.create_table(
        "members",
        _text("account_id"),
        _text("community_id"),
        _text("role"),
        _column("platform_roles", JSON),
        _column("joined_at", TIME),
        _key("members", "account_id", "community_id"),
        _to("members", "account_id", "accounts"),
        _to("members", "community_id", "communities"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        *(_text(name) for name in ("id", "origin_key", "kind", "command")),
        *(_text(name) for name in ("account_id", "community_id", "generator", "model")),
        _column("params", JSON),
        _column("seed", sa.BigInteger()),
        _column("count", sa.Integer()),
        _text("compat"),
        _column("inputs", JSON),
        _text("state"),
        _column("created_at", TIME),
        _column("start_tag", sa.Double()),
        _column("finish_tag", sa.Double()),
        _column("reserved_gpu_ms", sa.BigInteger()),
        _text("locale"),
        _column("private", sa.Boolean()),
        _text("parent_job_id", nullable=True),
        _column("strikes", sa.Integer()),
        *(_column(name, TIME, nullable=True) for name in ("sent_at", "started_at", "finished_at")),
        _column("gpu_ms", sa.BigInteger(), nullable=True),
        _text("error", nullable=True),
        _column("receipt", JSON, nullable=True),
        _column("favorite", sa.Boolean()),
        _text("search_text"),
        _column("erased_at", TIME, nullable=True),
        _key("jobs", "id"),
        _to("jobs", "account_id", "accounts"),
        _to("jobs", "community_id", "communities"),
        sa.UniqueConstraint("origin_key", name="uq_jobs_origin_key"),
        _check("jobs", "kind", "kind IN ('generate', 'train')"),
        _check(
            "jobs",
            "state",
            "state IN ('queued', 'sent', 'running', 'done', 'failed', 'cancelled')",
        ),
        _check("jobs", "count", "count >= 1"),
        _check("jobs", "reserved_gpu_ms", "reserved_gpu_ms >= 0"),
        *_job_indexes(),
    )


def _job_indexes() -> tuple[sa.Index, ...]:
    member = ("account_id", "community_id")
    queued, done = "state = 'queued'", "state = 'done'"
    return (
        _index("ix_jobs_fair_order", "start_tag", "created_at", "id", *member, where=queued),
        _index(
            "ix_jobs_live", *member, "created_at", where="state IN ('queued', 'sent', 'running')"
        ),
        _index("ix_jobs_in_flight", "sent_at", where="state IN ('sent', 'running')"),
        _index("ix_jobs_finish_tag", *member, "finish_tag", where="state != 'cancelled'"),
        _index(
            "ix_jobs_history",
            *("account_id", "created_at", "id"),
            where="finished_at IS NOT NULL AND erased_at IS NULL",
        ),
        _index("ix_jobs_model_cost", "model", "finished_at", where=done),
        _index("ix_jobs_finished", "finished_at", where=done),
    )


def _answers() -> None:
    op.create_table(
        "artifacts",
        *(_text(name) for name in ("id", "job_id", "account_id", "community_id", "key", "mime")),
        _column("size_bytes", sa.BigInteger()),
        _text("role"),
        _column("position", sa.Integer()),
        _column("facts", JSON),
        _key("artifacts", "id"),
        _to("artifacts", "job_id", "jobs"),
        _to("artifacts", "account_id", "accounts"),
        _to("artifacts", "community_id", "communities"),
        _check("artifacts", "role", "role IN ('item', 'grid')"),
        _index("ix_artifacts_job_id_position", "job_id", "position"),
        _index("ix_artifacts_account_id_key", "account_id", "key"),
    )
    op.create_table(
        "deliveries",
        *(_text(name) for name in ("job_id", "account_id", "platform")),
        _column("address", JSON),
        _column("private", sa.Boolean()),
        _text("state"),
        _column("attempts", sa.Integer()),
        _column("unknown_outcomes", sa.Integer()),
        _column("next_attempt_at", TIME, nullable=True),
        _text("message_id", nullable=True),
        _key("deliveries", "job_id"),
        _to("deliveries", "job_id", "jobs"),
        _to("deliveries", "account_id", "accounts"),
        _check(
            "deliveries",
            "state",
            "state IN ('waiting', 'pending', 'sending', 'delivered', 'gone')",
        ),
        _index("ix_deliveries_due", "next_attempt_at", where="state IN ('pending', 'sending')"),
        _index("ix_deliveries_account_id", "account_id"),
    )
    op.create_table(
        "ledger_entries",
        *(_text(name) for name in ("event_id", "account_id", "community_id", "job_id", "kind")),
        _column("gpu_ms", sa.BigInteger()),
        _column("jobs", sa.Integer()),
        _column("counted_at", TIME),
        _key("ledger_entries", "event_id"),
        _check("ledger_entries", "kind", "kind IN ('reserve', 'settle', 'release')"),
        _index(
            "ix_ledger_entries_account_id_community_id_counted_at",
            *("account_id", "community_id", "counted_at"),
        ),
        _index("ix_ledger_entries_community_id_counted_at", "community_id", "counted_at"),
        _index("ix_ledger_entries_job_id", "job_id"),
    )


def _studio() -> None:
    op.create_table(
        "settings",
        _text("community_id"),
        _text("key"),
        _column("value", JSON),
        _key("settings", "community_id", "key"),
    )
    op.create_table(
        "audit_log",
        _text("id"),
        _column("at", TIME),
        *(_text(name) for name in ("account_id", "community_id", "action", "subject")),
        _column("details", JSON),
        _key("audit_log", "id"),
        _index("ix_audit_log_community_id_at", "community_id", "at"),
        _index("ix_audit_log_account_id", "account_id"),
    )
    clock = op.create_table(
        "scheduler_clock",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        _column("virtual_time", sa.Double()),
        _key("scheduler_clock", "id"),
        _check("scheduler_clock", "one_row", "id = 1"),
    )
    op.bulk_insert(clock, [{"id": 1, "virtual_time": 0.0}])
