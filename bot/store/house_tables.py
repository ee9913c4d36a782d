"""What communities decided about members: blocks, grants of GPU time, and cases."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bot.core.house import CaseState
from bot.store.schema import Base, at_least, one_of, owned_by

ACCOUNT = "accounts.id"
COMMUNITY = "communities.id"
UNPOSTED = sa.text("state = 'open' AND posted_at IS NULL")


class BlockRow(Base):
    """A member who may make nothing. The empty community is the whole studio, so it is no foreign
    key; who blocked them is in the audit log."""

    __tablename__ = "blocks"
    __table_args__ = (sa.Index(None, "account_id"), owned_by("account_id"))

    community_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(ACCOUNT), primary_key=True)
    reason: Mapped[str]
    blocked_at: Mapped[datetime]
    until: Mapped[datetime | None]


class GrantRow(Base):
    """GPU time on top of a member's limit, until it expires."""

    __tablename__ = "grants"
    __table_args__ = (
        at_least("gpu_ms", 1),
        sa.Index(None, "account_id", "community_id", "expires_at"),
        owned_by("account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(ACCOUNT))
    community_id: Mapped[str] = mapped_column(sa.ForeignKey(COMMUNITY))
    gpu_ms: Mapped[int] = mapped_column(sa.BigInteger)
    granted_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class CaseRow(Base):
    """A report on a job, for the community's moderators. Both people own their part."""

    __tablename__ = "cases"
    __table_args__ = (
        one_of("state", CaseState),
        sa.UniqueConstraint("reporter_account_id", "job_id"),
        sa.Index(None, "community_id", "state"),
        sa.Index(None, "reporter_account_id"),
        sa.Index(None, "subject_account_id"),
        sa.Index(
            "ix_cases_unposted",
            "next_attempt_at",
            sqlite_where=UNPOSTED,
            postgresql_where=UNPOSTED,
        ),
        owned_by("reporter_account_id", "subject_account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    community_id: Mapped[str] = mapped_column(sa.ForeignKey(COMMUNITY))
    reporter_account_id: Mapped[str] = mapped_column(sa.ForeignKey(ACCOUNT))
    subject_account_id: Mapped[str] = mapped_column(sa.ForeignKey(ACCOUNT))
    job_id: Mapped[str | None] = mapped_column(sa.ForeignKey("jobs.id"))
    reason: Mapped[str]
    state: Mapped[str]
    opened_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime]
    attempts: Mapped[int]
    posted_at: Mapped[datetime | None]
    message_id: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None]
