"""A whole gateway without its ends: real services and loops over a real store, an engine in memory
whose worker the test plays, and a platform that remembers what it was shown.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from bot.core.chat import Invocation, Origin, Reply, Update
from bot.core.domain import Delivery, DeliveryState, Job, Limits
from bot.core.ports import Platform, UnitOfWork
from bot.core.signing import Signer
from bot.metrics import Metrics
from bot.services import Services
from bot.services.delivery import DeliveryService
from bot.services.dispatch import Dispatcher
from bot.services.history import HistoryService
from bot.services.house import House
from bot.services.jobs import JobDraft, JobService
from bot.services.models import ModelOffers
from bot.services.moderation import ModerationService
from bot.services.outbox import Pace
from bot.services.pictures import PictureService
from bot.services.quota import QuotaService
from bot.services.status import StudioStatus
from bot.store.database import Store, open_store
from generators.artifacts import FolderStore
from generators.engine.memory import MemoryEngine, MemoryLease
from generators.engine.port import ArtifactRef, Capacity, EngineResult, Lease, Started
from generators.registry import ModelEntry

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

MODELS = ("paint", "ink")


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Errors are what these tests are made of; drawing each one's traceback takes seconds."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


class Crash(BaseException):
    """`kill -9` at this very point: nothing may catch it."""


class ManualClock:
    """Time as the test has it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Faults:
    """Called at each begin and commit of a transaction; raises where a test has asked for it."""

    def __init__(self) -> None:
        self.calm()

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self.at: Callable[[str], None] = lambda point: None
        self.fired = False

    def fail_next(self, many: int, error: BaseException, *, points: tuple[str, ...]) -> None:
        """Raise `error` at the next `many` of these points, then be quiet."""
        left = count(many - 1, -1)

        def at(point: str) -> None:
            if point in points:
                if next(left) < 0:
                    self.calm()
                    return
                raise error

        self.at = at

    def crash_after(self, points: int) -> None:
        """Die at the point that comes after so many, and stay dead."""
        left = count(points, -1)

        def at(point: str) -> None:
            if next(left) <= 0:
                self.fired = True
                raise Crash

        self.at = at


@dataclass
class Wall:
    """A platform that edits one message per job. `script` decides what each delivery meets: it may
    raise before (nothing arrived) or return an error to be raised after the answer arrived."""

    name: str = "wall"
    arrived: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    shown: list[tuple[str, str]] = field(default_factory=list)  # ("update" | "answer", job id)
    updates: list[Update] = field(default_factory=list)
    script: Callable[[Delivery], Awaitable[BaseException | None] | None] = lambda delivery: None
    on_update: Callable[[Update], Awaitable[None]] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, handle: Any) -> None:
        await asyncio.Event().wait()

    async def update(self, delivery: Delivery, update: Update) -> None:
        if self.on_update is not None:
            await self.on_update(update)
        self.updates.append(update)
        self.shown.append(("update", update.job_id))
        self.changed.set()

    async def deliver(self, delivery: Delivery, reply: Reply) -> str:
        verdict = self.script(delivery)
        after = await verdict if verdict is not None else None
        self.arrived[delivery.job_id].append(reply)
        self.shown.append(("answer", delivery.job_id))
        self.changed.set()
        if after is not None:
            raise after
        return f"message-{delivery.job_id}"

    async def until(self, condition: Callable[[Wall], bool]) -> None:
        """Wait until what was shown fulfils the condition."""
        while not condition(self):
            self.changed.clear()
            await self.changed.wait()


class Radio(Wall):
    """A platform that can only send: everything that arrives is heard."""

    def repeatable(self, delivery: Delivery, reply: Reply) -> bool:
        return False


class Studio:
    """Everything between a platform and a worker. `restart` is what a new process would be."""

    def __init__(self, store: Store, folder: Path, limits: Limits | None = None) -> None:
        self.store, self.clock, self.faults = store, ManualClock(), Faults()
        self.engine = MemoryEngine()
        self.wall, self.radio = Wall(), Radio("radio")
        self.platforms: dict[str, Platform] = {"wall": self.wall, "radio": self.radio}
        self._folder = folder
        self._limits = limits or Limits(gpu_ms=None, active_jobs=1000, waiting_jobs=1000)
        self._numbers = count(1)
        self.pace = Pace(first_retry_s=1.0)
        self.restart()

    def restart(self) -> None:
        """A new process over what is on the disk: all objects anew."""
        self.metrics = Metrics()
        self.status = StudioStatus(self.clock)
        self.quota = QuotaService(self.uow, self.clock, self._limits)
        artifacts = FolderStore(self._folder)
        offers = ModelOffers(
            ModelEntry(name=name, generator="diffusion", default=name == MODELS[0])
            for name in MODELS
        )
        moderation = ModerationService()
        house = House.over(self.uow, self.clock, artifacts)
        self.jobs = JobService(
            self.uow,
            self.clock,
            offers,
            self.quota,
            moderation,
            artifacts,
            house.rules,
            on_admitted=lambda: self.dispatcher.wake(),
            on_ended=lambda job_id: self.dispatcher.ended_in_queue(job_id),
            stop=lambda job_id: self.dispatcher.cancel(job_id),
        )
        self.services = Services(
            jobs=self.jobs,
            quota=self.quota,
            history=HistoryService(self.uow, artifacts),
            moderation=moderation,
            pictures=PictureService(self.uow),
            models=offers,
            artifacts=artifacts,
            signer=Signer(b"k" * 32),
            clock=self.clock,
            status=self.status,
            house=house,
        )
        self.delivery = DeliveryService(
            self.uow, self.platforms, {}, self.services, metrics=self.metrics, pace=self.pace
        )
        self.dispatcher = Dispatcher(
            self.uow,
            self.engine,
            self.jobs,
            self.quota,
            self.clock,
            self.delivery.publish,
            status=self.status,
            metrics=self.metrics,
            on_ended=self.delivery.wake,
            gather_s=0.0,
        )

    @asynccontextmanager
    async def uow(self, *, write: bool = True) -> AsyncIterator[UnitOfWork]:
        """The store's transactions, with the test's faults in them."""
        self.faults.at("begin")
        async with self.store.unit_of_work(write=write) as uow:
            commit = uow.commit

            async def faulty() -> None:
                self.faults.at("commit")
                await commit()
                self.faults.at("committed")

            uow.commit = faulty  # type: ignore[method-assign]
            yield uow

    # --- members ---

    async def ask(
        self,
        member: str = "ann",
        *,
        steps: int = 4,
        model: str = MODELS[0],
        items: int = 1,
        platform: str = "wall",
        event: str | None = None,
        locale: str = "en",
        roles: tuple[str, ...] = (),
    ) -> str:
        """A member asks for a picture; `steps` and `model` decide which jobs fit together."""
        invocation = Invocation(
            id=event or f"event-{next(self._numbers)}",
            origin=_origin(member, platform, locale, roles),
            command="imagine",
            address={"member": member},
        )
        params = {"prompt": "a red heart", "num_inference_steps": steps}
        draft = JobDraft("imagine", model, "image", params, seed=7, count=items)
        self.clock.advance(0.001)
        return (await self.jobs.admit(invocation, draft)).job_id

    async def cancel(self, member: str, job_id: str, platform: str = "wall") -> Job:
        """A member cancels."""
        return await self.jobs.cancel(_origin(member, platform, "en"), job_id)

    async def set_limits(self, community_of: str, value: Mapping[str, Any]) -> None:
        """A moderator sets the limits where this job was asked for."""
        async with self.store.unit_of_work() as uow:
            job = await uow.jobs.get(community_of)
            assert job is not None
            await uow.settings.put(job.community_id, "limits", dict(value), by=job.account_id)
            await uow.commit()

    # --- the worker ---

    def ready(self, slots: int = 8, **facts: Any) -> None:
        """A worker says that it is ready for so many jobs."""
        self.dispatcher.news.take(
            Capacity(worker_id="w", state="ready", slots=slots, held=0, **facts)
        )

    async def lease(self, limit: int = 100) -> list[MemoryLease]:
        """The worker takes what was sent."""
        leases: list[Any] = await self.engine.source().fetch(limit)
        return leases

    def begins(self, *leases: Lease, batch_size: int = 1) -> None:
        """The worker says that it began these."""
        for lease in leases:
            self.dispatcher.news.take(
                Started(job_id=lease.job.id, worker_id="w", batch_size=batch_size)
            )

    async def take_results(self) -> None:
        """The gateway takes what results there are."""
        stream = self.engine.results()
        for _ in range(len(self.engine.unacknowledged)):
            result, acknowledge = await anext(stream)
            await self.dispatcher.completion.settle(result, acknowledge)
        await stream.aclose()  # type: ignore[attr-defined]

    async def work_off(self, gpu_ms: int = 100) -> int:
        """Send, run and complete until nothing is left to send; returns how many jobs ran."""
        ran = 0
        while True:
            while await self.dispatcher.dispatch_once():
                pass
            leases = await self.lease()
            if not leases:
                return ran
            self.begins(*leases)
            await self.dispatcher.news.record_once()
            for lease in leases:
                await lease.done(done(lease.job.id, gpu_ms))
            await self.take_results()
            ran += len(leases)

    async def deliver(self) -> None:
        """Deliver what is due now, or until a delivery meets the death of its process."""
        while await self.delivery.start_due():
            tasks = set(self.delivery._busy.values())
            await self.delivery.settle()
            if any(task.exception() for task in tasks):
                return

    # --- what SQL says ---

    async def job(self, job_id: str) -> Job:
        async with self.store.unit_of_work(write=False) as uow:
            job = await uow.jobs.get(job_id)
        assert job is not None
        return job

    async def outbox(self, job_id: str) -> Delivery:
        async with self.store.unit_of_work(write=False) as uow:
            delivery = await uow.deliveries.get(job_id)
        assert delivery is not None
        return delivery

    async def used(self, job_id: str) -> int:
        """What the ledger says the job cost, in gpu_ms."""
        async with self.store.unit_of_work(write=False) as uow:
            return sum(entry.gpu_ms for entry in await uow.ledger.of_job(job_id))

    async def delivered(self, job_id: str) -> bool:
        return (await self.outbox(job_id)).state is DeliveryState.DELIVERED


def done(job_id: str, gpu_ms: int = 100) -> EngineResult:
    """A worker's good result: one small picture."""
    picture = ArtifactRef(key="ab" * 32, mime="image/png", size_bytes=3)
    return EngineResult(job_id=job_id, state="done", artifacts=(picture,), gpu_ms=gpu_ms)


def _origin(member: str, platform: str, locale: str, roles: tuple[str, ...] = ()) -> Origin:
    return Origin(
        platform=platform,
        community_external_id="hall",
        personal=False,
        identity_external_id=member,
        display_name=member,
        locale=locale,
        platform_roles=roles,
    )


@pytest.fixture(params=["memory", "sqlite"])
async def studio(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Studio]:
    """A studio on each kind of store."""
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'studio.db'}"
    store = open_store(url)
    await store.migrate()
    yield Studio(store, tmp_path / "artifacts")
    await store.close()


@pytest.fixture
def make_studio(tmp_path: Path) -> Callable[..., Studio]:
    """Studios in memory, with limits of one's own."""
    return lambda limits=None: Studio(open_store("memory:"), tmp_path / "artifacts", limits)


@pytest.fixture
def finished() -> Callable[..., EngineResult]:
    """Makes a worker's good result."""
    return done
