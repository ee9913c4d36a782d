"""The things the studio keeps, as frozen values. Pure: no SQL, no clock, no platform.

Every thing with a person's data names its owner account. Times are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, get_args

from bot.core.storable import storable
from generators.contract import MediaRole
from generators.engine.port import ArtifactRef


class JobState(StrEnum):
    """A job's life. Every job ends in exactly one of the last three."""

    QUEUED = "queued"  # in SQL, waiting for its turn
    SENT = "sent"  # handed to the engine
    RUNNING = "running"  # a worker began
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}


class DeliveryState(StrEnum):
    WAITING = "waiting"  # the job has not ended
    PENDING = "pending"  # there is an answer to deliver
    SENDING = "sending"  # a send that cannot be repeated safely has begun
    DELIVERED = "delivered"
    GONE = "gone"  # nowhere to deliver to; the answer stays in the history


@dataclass(frozen=True, slots=True)
class Account:
    """A person, everywhere."""

    id: str
    locale: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """An account in a community, with what quota and permissions need to know of it."""

    account_id: str
    community_id: str
    role: str
    platform_roles: tuple[str, ...] = ()
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class Job:
    """One queued piece of work, kind `generate` or `train`.

    `start_tag` and `finish_tag` are its place in the weighted fair order (see services.dispatch).
    `reserved_gpu_ms` was taken from the quota at admission, `gpu_ms` is what it really cost.
    `origin_key` is the platform's event id: unique, so a redelivered event makes no second job.
    `error` is English, `error_zh` the same sentence in Chinese (None in rows of older releases).
    `cancel_requested_at`: a cancel that only the engine's result can carry out; kept here so that a
    restarted gateway asks for it again.
    """

    id: str
    origin_key: str
    kind: str
    command: str
    account_id: str
    community_id: str
    generator: str
    model: str
    params: Mapping[str, Any]
    seed: int
    count: int
    compat: str
    inputs: Mapping[str, ArtifactRef]
    state: JobState
    created_at: datetime
    start_tag: float
    finish_tag: float
    reserved_gpu_ms: int
    locale: str = "en"
    private: bool = False
    parent_job_id: str | None = None
    strikes: int = 0
    sent_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    gpu_ms: int | None = None
    error: str | None = None
    error_zh: str | None = None
    receipt: Mapping[str, Any] | None = None
    favorite: bool = False
    cancel_requested_at: datetime | None = None


ARTIFACT_ROLES = (*get_args(MediaRole), "input")
"""What stored media are to their job: see `contract.Media`; an `input` is what a member uploaded
for it, kept and erased with it."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Stored media with an id that people may know; fetched by id and permission, never by key."""

    id: str
    job_id: str
    account_id: str
    community_id: str
    key: str
    mime: str
    size_bytes: int
    role: str  # one of ARTIFACT_ROLES
    position: int
    facts: Mapping[str, int | float | str]

    @classmethod
    def of(cls, job: Job, ref: ArtifactRef, *, id: str, position: int) -> Artifact:
        """Media that a job holds: what it made, or what it works on."""
        return cls(
            id=id,
            job_id=job.id,
            account_id=job.account_id,
            community_id=job.community_id,
            key=ref.key,
            mime=ref.mime,
            size_bytes=ref.size_bytes,
            role=ref.role,
            position=position,
            facts=storable(ref.facts),
        )

    def ref(self) -> ArtifactRef:
        """The artifact as an engine job's input; an upload stays one (see `services.inputs`)."""
        return ArtifactRef(
            key=self.key,
            mime=self.mime,
            size_bytes=self.size_bytes,
            role="input" if self.role == "input" else "item",
            facts=dict(self.facts),
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a job's answer must go: the outbox row. One per job.

    `attempts` counts the tries that failed (it sets the back-off); `unknown_outcomes` the sends of
    which nobody knows whether they arrived: after the first the answer is sent once more, after
    the second never again.
    """

    job_id: str
    account_id: str
    platform: str
    address: Mapping[str, Any]
    private: bool
    state: DeliveryState
    attempts: int = 0
    unknown_outcomes: int = 0
    next_attempt_at: datetime | None = None
    message_id: str | None = None


class PostingKind(StrEnum):
    """Why a ledger entry was written. Only these three: a ledger is easier to trust when dull."""

    RESERVE = "reserve"  # + estimate, at admission
    SETTLE = "settle"  # measured minus reserved (never above 0), when the job is done
    RELEASE = "release"  # minus the whole reservation, when the member got nothing


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One signed posting, append-only. `event_id` is unique (`<job>:reserve`), so that a repeated
    step posts nothing. `counted_at` is the job's admission time for all its postings: a job's
    reservation and settlement leave the rolling window together."""

    event_id: str
    account_id: str
    community_id: str
    job_id: str
    kind: PostingKind
    gpu_ms: int
    jobs: int  # +1 on reserve, -1 on release, 0 on settle
    counted_at: datetime


@dataclass(frozen=True, slots=True)
class Limits:
    """What a member may use in a community. None means no limit.

    `gpu_ms` and `jobs` hold for `window_s` back from now; `active_jobs` is how many of the
    member's jobs run at once (more wait in the queue), `waiting_jobs` how many may wait;
    `community_gpu_ms` is all members' use together. `weight` is the share in the fair order.
    """

    gpu_ms: int | None = 600_000
    jobs: int | None = None
    window_s: int = 86_400
    active_jobs: int = 3
    waiting_jobs: int = 50
    community_gpu_ms: int | None = None
    weight: float = 1.0
    roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # role -> overrides


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used inside the rolling window."""

    gpu_ms: int
    jobs: int
    community_gpu_ms: int
    oldest_counted_at: datetime | None  # when the earliest posting still counted was made
