"""The small doors between the gateway's rooms. Each says what an implementer must not do.

`Handle` and `Platform` stand between chat and the core; `UnitOfWork` between the services and the
store. Every port has an in-memory twin that ships (`bot.store.memory`) and that tests use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from bot.core.chat import Invocation, Origin, Reply, Update
from bot.core.domain import (
    Artifact,
    Delivery,
    DeliveryState,
    Job,
    JobState,
    LedgerEntry,
    Member,
    Usage,
)
from bot.core.house import Identity
from bot.core.house_ports import AuditLog, CaseStore, CommunityStore, MeasureStore

Handle = Callable[[Invocation], Awaitable[Reply]]
"""What the router offers to platforms. Never raises for what a member did wrong: that is a Reply
with `error` set. When it returns, everything the Reply promises is committed."""

Clock = Callable[[], datetime]
"""Now, as an aware UTC datetime; tests pass their own."""


class Platform(Protocol):
    """A place where people meet.

    An implementer must not import commands or the store, must not keep a job's state of its own,
    and must escape everything it shows.
    """

    name: str

    async def run(self, handle: Handle) -> None:
        """Serve until cancelled. Trouble with the platform must not end the studio: reconnect, or
        log what is wrong and return (a revoked token)."""
        ...

    async def update(self, delivery: Delivery, update: Update) -> None:
        """Show progress where the answer will be. Best effort: throttled as the platform demands,
        dropped when busy, never raising."""
        ...

    async def deliver(self, delivery: Delivery, reply: Reply) -> str:
        """Show the final answer; returns the platform's id of it. Editing a known message is
        repeatable. Raises DeliveryRetry or DeliveryGone."""
        ...


@runtime_checkable
class SendsOnce(Protocol):
    """A platform that cannot always edit has this too. Without it, every `deliver` may be repeated
    and shows the answer once all the same (it edits a known message, or carries a nonce)."""

    def repeatable(self, delivery: Delivery, reply: Reply) -> bool:
        """Whether delivering this reply twice would still show it once. Where it is False, that a
        send has begun is recorded first (`DeliveryState.SENDING`), so that a crash repeats it at
        most once."""
        ...


@runtime_checkable
class Notifies(Protocol):
    """A platform that can speak up unasked: a case in the moderators' channel."""

    async def notify(self, channel_external_id: str, reply: Reply, *, nonce: str) -> str:
        """Post a message and return its id. The same nonce (at most 25 characters) again, soon
        after, shows nothing twice. Raises DeliveryRetry, or DeliveryGone where the channel is gone
        or closed to us."""
        ...


@runtime_checkable
class Withdraws(Protocol):
    """A platform that can take an answer back: its owner or a moderator deletes it."""

    async def withdraw(self, delivery: Delivery) -> None:
        """Remove the delivered answer from where it is; one that is gone already is no error, nor
        is a place that is closed to us. Repeatable. Raises DeliveryRetry."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a member stands in the fair order of a community.

    `last_finish_tag` is the largest among the member's jobs, those that ended included and
    cancelled ones left out, 0 where there is none. Forgetting it when a job ends would starve
    others: whoever asks for one job at a time would always enter at the virtual time.
    `virtual_time` is the start tag of the job dispatched last: where newcomers enter.
    """

    waiting: int  # queued jobs
    running: int  # sent or running ones
    last_finish_tag: float
    virtual_time: float


class Conflict(Exception):
    """The transaction lost a race or a deadlock and was rolled back: nothing happened, and running
    it again is right. Raised when leaving a unit of work; `services.transactions` repeats."""


class AccountStore(Protocol):
    async def resolve(self, origin: Origin, *, now: datetime) -> Member:
        """The member behind an invocation; account, identity, community and membership are made
        on first sight, and role, names and language are kept up to date. The member stays locked
        until the transaction ends, so that two gateways cannot admit past a limit."""
        ...

    async def find(self, origin: Origin) -> Member:
        """The person and the place as a reader sees them; nothing is made. Role, platform roles and
        language are the origin's; an id is empty where the studio has not met the one or the other,
        and so equals nobody's."""
        ...

    async def member(self, account_id: str, community_id: str) -> Member | None:
        """The member as last seen: what the dispatcher reads `active_jobs` limits for."""
        ...

    async def identities(self, platform: str, account_ids: Sequence[str]) -> dict[str, Identity]:
        """How these accounts appear on a platform, by account id; who does not is left out."""
        ...

    async def by_identity(self, platform: str, external_id: str) -> Identity | None: ...

    async def lock_community(self, community_id: str) -> None:
        """Hold the community until the transaction ends, so that its own limit holds too."""
        ...


class JobStore(Protocol):
    async def add(self, job: Job, delivery: Delivery) -> bool:
        """Insert both, or return False where a job with this origin_key exists already."""
        ...

    async def get(self, job_id: str) -> Job | None: ...

    async def get_many(self, job_ids: Sequence[str]) -> list[Job]: ...

    async def by_origin_key(self, origin_key: str) -> Job | None: ...

    async def standing(self, account_id: str, community_id: str) -> Standing:
        """All that admission asks of the line, at once."""
        ...

    async def fair_head(self, limit: int, *, skip: Sequence[tuple[str, str]] = ()) -> list[Job]:
        """The first queued jobs by (start_tag, created_at, id), without those of the skipped
        (account_id, community_id) pairs. Must cost the same at 100,000 queued jobs as at 10."""
        ...

    async def waiting_before(self, job: Job) -> int:
        """How many queued jobs come before this one in the fair order."""
        ...

    async def queued_count(self) -> int: ...

    async def in_flight(self) -> list[Job]:
        """All jobs that are sent or running."""
        ...

    async def live_of(self, account_id: str, community_id: str | None = None) -> list[Job]:
        """A member's (or an account's) queued, sent and running jobs, oldest first."""
        ...

    async def move(
        self,
        job_id: str,
        to: JobState,
        *,
        only_from: Sequence[JobState],
        values: Mapping[str, Any] | None = None,
    ) -> bool:
        """Compare and set: change state (and the given Job fields) only from these states.
        Returns whether it did; this is what makes completion idempotent."""
        ...

    async def request_cancel(self, job_id: str, at: datetime) -> None:
        """Write down when the cancel of a live job was asked for; the first time counts."""
        ...

    async def set_strikes(self, job_id: str, strikes: int) -> None: ...

    async def set_favorite(self, job_id: str, favorite: bool) -> None: ...

    async def history(
        self,
        account_id: str,
        community_ids: Sequence[str] | None,
        *,
        limit: int,
        before: tuple[datetime, str] | None = None,
        favorites: bool = False,
        search: str = "",
    ) -> list[Job]:
        """An account's ended jobs, newest first, page by page (`before` = last seen)."""
        ...

    async def erase(self, job_id: str) -> list[Artifact]:
        """Erase a job's content (params, error, artifacts) and hide it; the ledger keeps its id.
        Returns the artifacts whose bytes may now be forgotten."""
        ...

    async def to_erase(
        self,
        before: datetime,
        *,
        community_ids: Sequence[str] | None,
        excluding: Sequence[str] = (),
        favorites: bool,
        limit: int,
    ) -> list[str]:
        """Ids of jobs that ended before this moment and are not erased, the oldest first: of these
        communities, or with None of all but the excluded; favourites only where asked for."""
        ...

    async def recent_gpu_ms_per_item(
        self, model: str, command: str, *, limit: int = 50
    ) -> list[float]:
        """Measured cost per item of the latest done jobs of a command by a model, newest first."""
        ...

    async def recent_finish_times(self, *, limit: int = 50) -> list[datetime]:
        """When the latest jobs ended, newest first; queue ETA is read from this."""
        ...


class ArtifactRows(Protocol):
    async def add(self, artifacts: Sequence[Artifact]) -> None: ...

    async def get(self, artifact_id: str) -> Artifact | None: ...

    async def of_jobs(self, job_ids: Sequence[str]) -> dict[str, tuple[Artifact, ...]]: ...

    async def held(self, account_id: str, keys: Sequence[str]) -> set[str]:
        """Those of the keys under which an account's artifacts lie, whatever jobs they are of."""
        ...


class DeliveryStore(Protocol):
    async def get(self, job_id: str) -> Delivery | None: ...

    async def due(self, now: datetime, *, limit: int) -> list[Delivery]:
        """Deliveries that are pending or sending and whose next attempt is due, oldest first."""
        ...

    async def move(
        self,
        job_id: str,
        to: DeliveryState,
        *,
        only_from: Sequence[DeliveryState],
        values: Mapping[str, Any] | None = None,
    ) -> bool: ...

    async def set_address(self, job_id: str, address: Mapping[str, Any]) -> None:
        """Record where the waiting message is, once the platform knows."""
        ...


class Ledger(Protocol):
    async def post(self, entry: LedgerEntry) -> bool:
        """Append, or return False where this event was posted already."""
        ...

    async def usage(self, account_id: str, community_id: str, *, since: datetime) -> Usage: ...

    async def of_job(self, job_id: str) -> list[LedgerEntry]: ...


class SettingStore(Protocol):
    """Small JSON values per community; the empty community id is the whole studio."""

    async def get(self, community_id: str, key: str) -> Any | None: ...

    async def get_many(
        self, community_ids: Sequence[str], keys: Sequence[str]
    ) -> dict[tuple[str, str], Any]:
        """The values there are, by (community id, key)."""
        ...

    async def of_key(self, key: str) -> dict[str, Any]:
        """Every community's value of one key, by community id."""
        ...

    async def put(self, community_id: str, key: str, value: Any, *, by: str) -> None:
        """Store and write the audit log in the same transaction. None clears the value."""
        ...


class UnitOfWork(AbstractAsyncContextManager["UnitOfWork"], Protocol):
    """One transaction. Leaving without `commit` rolls back. Not shared between tasks."""

    accounts: AccountStore
    jobs: JobStore
    artifacts: ArtifactRows
    deliveries: DeliveryStore
    ledger: Ledger
    settings: SettingStore
    communities: CommunityStore
    measures: MeasureStore
    cases: CaseStore
    audit: AuditLog

    async def advance_virtual_time(self, to: float) -> None:
        """Move the fair order's virtual time forward (never back)."""
        ...

    async def commit(self) -> None: ...


class UnitOfWorkFactory(Protocol):
    """Begins transactions. `write=False` may read a slightly older state and never waits for a
    writer; calling a changing method in it is an error."""

    def __call__(self, *, write: bool = True) -> UnitOfWork: ...
