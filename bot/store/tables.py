"""People, jobs, answers and the ledger as tables. Declarations only: statements are written against
columns, and rows leave the store as values of `bot.core.domain`.

Partial indexes carry the questions that are asked all day; their predicates are literal text and
the repositories use the very same text, since a database matches them by expression.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bot.core.domain import ARTIFACT_ROLES, DeliveryState, JobState, PostingKind
from bot.store.schema import Base, Json, at_least, nobodys, one_of, owned_by

QUEUED = sa.text("state = 'queued'")
LIVE = sa.text("state IN ('queued', 'sent', 'running')")
IN_FLIGHT = sa.text("state IN ('sent', 'running')")
NOT_CANCELLED = sa.text("state != 'cancelled'")
DONE = sa.text("state = 'done'")
IN_HISTORY = sa.text("finished_at IS NOT NULL AND erased_at IS NULL")
LEFT = sa.text("left_at IS NOT NULL")
UNDELIVERED = sa.text("state IN ('pending', 'sending')")


def _account() -> Mapped[str]:
    return mapped_column(sa.ForeignKey("accounts.id"))


def _community() -> Mapped[str]:
    return mapped_column(sa.ForeignKey("communities.id"))


def _partial(name: str, *columns: str, where: sa.TextClause) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


class AccountRow(Base):
    """A person, everywhere."""

    __tablename__ = "accounts"
    __table_args__ = (owned_by("id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str]
    created_at: Mapped[datetime]


class IdentityRow(Base):
    """An account on one platform."""

    __tablename__ = "identities"
    __table_args__ = (sa.Index(None, "account_id"), owned_by("account_id"))

    platform: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = _account()
    display_name: Mapped[str]
    created_at: Mapped[datetime]


class CommunityRow(Base):
    """Where people meet. A personal one (direct messages, the web) belongs to its person.

    `left_at`: when the studio was sent away; after a while what was made there is erased."""

    __tablename__ = "communities"
    __table_args__ = (
        sa.UniqueConstraint("platform", "external_id"),
        _partial("ix_communities_left", "left_at", where=LEFT),
        owned_by("personal_account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    platform: Mapped[str]
    external_id: Mapped[str]
    name: Mapped[str]
    personal_account_id: Mapped[str | None] = mapped_column(sa.ForeignKey("accounts.id"))
    created_at: Mapped[datetime]
    left_at: Mapped[datetime | None]


class MemberRow(Base):
    """An account in a community; the row that admission locks."""

    __tablename__ = "members"
    __table_args__ = (owned_by("account_id"),)

    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id"), primary_key=True)
    community_id: Mapped[str] = mapped_column(sa.ForeignKey("communities.id"), primary_key=True)
    role: Mapped[str]
    platform_roles: Mapped[list[str]] = mapped_column(Json)
    joined_at: Mapped[datetime]


class JobRow(Base):
    """One piece of work and its place in the fair order. `search_text` is the prompt, casefolded.

    An erased job keeps its id, owner, times and cost; what the member wrote and got is gone."""

    __tablename__ = "jobs"
    __table_args__ = (
        sa.UniqueConstraint("origin_key"),
        one_of("state", JobState),
        one_of("kind", ("generate", "train")),
        at_least("count", 1),
        at_least("reserved_gpu_ms", 0),
        # The account and community at the end let skipped members be passed over in the index.
        _partial(
            "ix_jobs_fair_order",
            *("start_tag", "created_at", "id", "account_id", "community_id"),
            where=QUEUED,
        ),
        _partial("ix_jobs_live", "account_id", "community_id", "created_at", where=LIVE),
        _partial("ix_jobs_in_flight", "sent_at", where=IN_FLIGHT),
        _partial(
            "ix_jobs_finish_tag", "account_id", "community_id", "finish_tag", where=NOT_CANCELLED
        ),
        _partial("ix_jobs_history", "account_id", "created_at", "id", where=IN_HISTORY),
        # What is old enough to be erased: of one community, and of all that have no rule.
        _partial("ix_jobs_retention", "community_id", "finished_at", where=IN_HISTORY),
        _partial("ix_jobs_age", "finished_at", where=IN_HISTORY),
        _partial("ix_jobs_cost", "model", "command", "finished_at", where=DONE),
        _partial("ix_jobs_finished", "finished_at", where=DONE),
        owned_by("account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    origin_key: Mapped[str]
    kind: Mapped[str]
    command: Mapped[str]
    account_id: Mapped[str] = _account()
    community_id: Mapped[str] = _community()
    generator: Mapped[str]
    model: Mapped[str]
    params: Mapped[dict[str, Any]] = mapped_column(Json)
    seed: Mapped[int] = mapped_column(sa.BigInteger)
    count: Mapped[int]
    compat: Mapped[str]
    inputs: Mapped[dict[str, Any]] = mapped_column(Json)
    state: Mapped[str]
    created_at: Mapped[datetime]
    start_tag: Mapped[float]
    finish_tag: Mapped[float]
    reserved_gpu_ms: Mapped[int] = mapped_column(sa.BigInteger)
    locale: Mapped[str]
    private: Mapped[bool]
    parent_job_id: Mapped[str | None]
    strikes: Mapped[int]
    sent_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    gpu_ms: Mapped[int | None] = mapped_column(sa.BigInteger)
    error: Mapped[str | None]
    error_zh: Mapped[str | None]
    receipt: Mapped[dict[str, Any] | None] = mapped_column(Json)
    favorite: Mapped[bool]
    search_text: Mapped[str]
    erased_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]


class ArtifactRow(Base):
    """Stored media under an id that people may know."""

    __tablename__ = "artifacts"
    __table_args__ = (
        one_of("role", ARTIFACT_ROLES),
        sa.Index(None, "job_id", "position"),
        sa.Index(None, "account_id", "key"),
        owned_by("account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id"))
    account_id: Mapped[str] = _account()
    community_id: Mapped[str] = _community()
    key: Mapped[str]
    mime: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    role: Mapped[str]
    position: Mapped[int]
    facts: Mapped[dict[str, Any]] = mapped_column(Json)


class DeliveryRow(Base):
    """The outbox: where a job's answer must go, written with the job."""

    __tablename__ = "deliveries"
    __table_args__ = (
        one_of("state", DeliveryState),
        _partial("ix_deliveries_due", "next_attempt_at", where=UNDELIVERED),
        sa.Index(None, "account_id"),
        owned_by("account_id"),
    )

    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id"), primary_key=True)
    account_id: Mapped[str] = _account()
    platform: Mapped[str]
    address: Mapped[dict[str, Any]] = mapped_column(Json)
    private: Mapped[bool]
    state: Mapped[str]
    attempts: Mapped[int]
    unknown_outcomes: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    message_id: Mapped[str | None]


class LedgerEntryRow(Base):
    """One signed posting, never changed. No foreign keys: entries outlive the person."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        one_of("kind", PostingKind),
        sa.Index(None, "account_id", "community_id", "counted_at"),
        sa.Index(None, "community_id", "counted_at"),
        sa.Index(None, "job_id"),
        owned_by("account_id"),
    )

    event_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    community_id: Mapped[str]
    job_id: Mapped[str]
    kind: Mapped[str]
    gpu_ms: Mapped[int] = mapped_column(sa.BigInteger)
    jobs: Mapped[int]
    counted_at: Mapped[datetime]


class SettingRow(Base):
    """A small value of a community; the empty community id is the whole studio."""

    __tablename__ = "settings"
    __table_args__ = (nobodys("a community's choices; who made them is in the audit log"),)

    community_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(Json)


class AuditRow(Base):
    """Who changed what. No foreign keys: the log outlives the person."""

    __tablename__ = "audit_log"
    __table_args__ = (
        sa.Index(None, "community_id", "at"),
        sa.Index(None, "account_id"),
        owned_by("account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    account_id: Mapped[str]
    community_id: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    details: Mapped[Any] = mapped_column(Json)


class SchedulerClockRow(Base):
    """The fair order's virtual time: one row, made by the first revision."""

    __tablename__ = "scheduler_clock"
    __table_args__ = (
        sa.CheckConstraint("id = 1", name="one_row"),
        nobodys("one number for the whole studio"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    virtual_time: Mapped[float]
