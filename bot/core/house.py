"""What a community decided about itself and its members, as frozen values. Pure.

Blocks, grants and cases name the people they are about; the audit log names who decided. Times are
aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Community:
    """Where people meet. `left_at`: the studio was sent away, and its content here is erased some
    time after (`services.communities`)."""

    id: str
    platform: str
    external_id: str
    name: str
    personal: bool
    left_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """An account on one platform."""

    platform: str
    external_id: str
    account_id: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Block:
    """A member may make nothing in a community; in the empty one: nowhere in the studio. `until`
    None: until somebody takes it back."""

    account_id: str
    community_id: str
    reason: str
    blocked_at: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """GPU time on top of a member's limit in a community, until it expires."""

    id: str
    account_id: str
    community_id: str
    gpu_ms: int
    granted_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Measures:
    """What holds for one member now."""

    blocks: tuple[Block, ...] = ()
    granted_gpu_ms: int = 0


class CaseState(StrEnum):
    OPEN = "open"
    UPHELD = "upheld"  # moderators acted
    DISMISSED = "dismissed"  # nothing was wrong


@dataclass(frozen=True, slots=True)
class Case:
    """A report on a job, for the community's moderators.

    `posted_at` and `message_id` tell that the moderators' channel has it; until then it is tried
    again at `next_attempt_at` (`attempts` counts the tries that failed). `resolution` is what was
    done: `deleted`, `blocked`, `dismissed`, or `forgotten` with its community."""

    id: str
    community_id: str
    reporter_account_id: str
    subject_account_id: str
    job_id: str | None
    reason: str
    state: CaseState
    opened_at: datetime
    next_attempt_at: datetime
    attempts: int = 0
    posted_at: datetime | None = None
    message_id: str | None = None
    closed_at: datetime | None = None
    resolution: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who decided what. `subject` is what it is about: a setting's key, an account, a job."""

    at: datetime
    account_id: str
    community_id: str
    action: str
    subject: str
    details: Mapping[str, Any] = field(default_factory=dict)
