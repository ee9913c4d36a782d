"""What members contribute and what is trained on it. Consent is a row of its own with its scope and
its revocation, so that an adapter can be traced back to every yes it rests on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.schema import Base, Json, at_least, nobodys, one_of, owned_by

ACCOUNT = "accounts.id"
COMMUNITY = "communities.id"


class ConsentRow(Base):
    """A member's revocable yes: to which use, in which community, under which wording."""

    __tablename__ = "consents"
    __table_args__ = (
        sa.Index(None, "account_id", "community_id"),
        owned_by("account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(ACCOUNT))
    community_id: Mapped[str] = mapped_column(sa.ForeignKey(COMMUNITY))
    scope: Mapped[str]
    wording: Mapped[str]
    given_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class DatasetRow(Base):
    """A named collection of a community's contributions."""

    __tablename__ = "datasets"
    __table_args__ = (
        sa.UniqueConstraint("community_id", "name"),
        one_of("modality", ("image", "text", "audio", "video")),
        nobodys("the community's; people's examples are contributions"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    community_id: Mapped[str] = mapped_column(sa.ForeignKey(COMMUNITY))
    name: Mapped[str]
    modality: Mapped[str]
    created_at: Mapped[datetime]
    frozen_at: Mapped[datetime | None]


class ContributionRow(Base):
    """One example a member uploaded for training, and the consent it rests on."""

    __tablename__ = "contributions"
    __table_args__ = (
        one_of("state", ("offered", "accepted", "declined", "withdrawn")),
        at_least("size_bytes", 0),
        sa.Index(None, "account_id"),
        sa.Index(None, "dataset_id", "state"),
        owned_by("account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(ACCOUNT))
    community_id: Mapped[str] = mapped_column(sa.ForeignKey(COMMUNITY))
    consent_id: Mapped[str] = mapped_column(sa.ForeignKey("consents.id"))
    dataset_id: Mapped[str | None] = mapped_column(sa.ForeignKey("datasets.id"))
    key: Mapped[str]
    mime: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    caption: Mapped[str]
    state: Mapped[str]
    created_at: Mapped[datetime]


class RunRow(Base):
    """One execution of a recipe on a frozen dataset, carried by a job of kind `train`."""

    __tablename__ = "runs"
    __table_args__ = (
        sa.UniqueConstraint("job_id"),
        sa.Index(None, "account_id"),
        owned_by("account_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id"))
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(ACCOUNT))
    community_id: Mapped[str] = mapped_column(sa.ForeignKey(COMMUNITY))
    dataset_id: Mapped[str] = mapped_column(sa.ForeignKey("datasets.id"))
    recipe: Mapped[dict[str, Any]] = mapped_column(Json)
    manifest: Mapped[dict[str, Any]] = mapped_column(Json)
    report: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime]


class AdapterRow(Base):
    """What a run made: a style of a community. Disabled when a consent it rests on is revoked."""

    __tablename__ = "adapters"
    __table_args__ = (
        sa.UniqueConstraint("community_id", "name"),
        sa.Index(None, "run_id"),
        nobodys("the community's; the run knows whose examples it saw"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(sa.ForeignKey("runs.id"))
    community_id: Mapped[str] = mapped_column(sa.ForeignKey(COMMUNITY))
    name: Mapped[str]
    base_model: Mapped[str]
    key: Mapped[str]
    weights_hash: Mapped[str]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    disabled_why: Mapped[str | None]
