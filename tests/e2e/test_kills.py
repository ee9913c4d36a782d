"""`kill -9` of gateway, worker and model child at random moments, while many members ask for work.

Real processes, real HTTP, a model child that only pretends (`scripted_runner`). Members behave like
browsers: a request that got no answer is made again with the same id. In the end, every request is
one job, every job has one end and one answer, and the ledger sums to what was used.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from studio import Guest, StudioProcess

from bot.core.domain import Artifact, Delivery, DeliveryState, Job, JobState, LedgerEntry
from bot.store.database import Store, open_store

pytestmark = [pytest.mark.kill, pytest.mark.timeout(120)]

MEMBERS, JOBS_EACH, KILLS = 8, 10, 12
ENDS_S = 60  # after the last kill, everything has ended and is answered within this


class Members:
    """Those who ask, and what they were promised."""

    def __init__(self, guests: list[Guest]) -> None:
        self.guests = guests
        self.promised: dict[str, set[str]] = {}  # invocation -> the jobs it was answered with

    async def ask(self, guest: Guest, rng: random.Random) -> None:
        """One member's requests, some of which they cancel."""
        for _ in range(JOBS_EACH):
            steps, items = rng.randint(1, 3), rng.randint(1, 2)
            line = f'/write "steps:{steps} sleep:{rng.choice([0.01, 0.05, 0.1])}" count:{items}'
            await self._surely(guest, line)
            if rng.random() < 0.2:  # the answer may be that there is nothing to cancel
                await self._surely(guest, "/cancel")
            await asyncio.sleep(rng.uniform(0.0, 0.4))

    async def _surely(self, guest: Guest, line: str) -> None:
        """Say it until it is answered, each time with the same id; then say it once more."""
        invocation, answers = uuid.uuid4(), 0
        while answers < 2:
            try:
                said = await guest.say(line, invocation=invocation)
            except (aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(0.05)
                continue
            answers += 1
            if said.get("job"):
                self.promised.setdefault(str(invocation), set()).add(said["job"])


class Executioner:
    """Kills what the dice say, and starts the gateway again where that was hit."""

    def __init__(self, studio: StudioProcess, rng: random.Random) -> None:
        self._studio, self._rng = studio, rng
        self.victims: Counter[str] = Counter()

    async def strike(self) -> None:
        """One kill."""
        who = self._rng.choice(["gateway", "worker", "model"])
        if who == "gateway":
            offspring = psutil.Process(self._studio.pid).children(recursive=True)
            await self._studio.stop(signal.SIGKILL)
            self.victims[who] += 1
            await self._studio.start()
            await gone(offspring)  # a worker without a gateway ends by itself
            return
        depth = 0 if who == "worker" else 1
        with suppress(psutil.NoSuchProcess, IndexError):
            process = psutil.Process(self._studio.pid)
            for _ in range(depth + 1):
                process = process.children()[0]
            process.kill()
            self.victims[who] += 1


async def gone(processes: Iterable[psutil.Process]) -> None:
    """Wait until these have ended."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, list(processes), timeout=20)
    assert not alive


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[StudioProcess]:
    """A studio without quota, in its own folder."""
    studio = StudioProcess(
        tmp_path, QUOTA_GPU_SECONDS=0, ACTIVE_JOBS=4, WAITING_JOBS=100, HEARTBEAT_S=0.5
    )
    async with studio:
        yield studio


@pytest.fixture
async def store(studio: StudioProcess, tmp_path: Path) -> AsyncIterator[Store]:
    """The studio's database, read from outside."""
    store = open_store(f"sqlite:///{tmp_path / 'data' / 'atelier.sqlite3'}")
    yield store
    await store.close()


@pytest.fixture
async def guests(studio: StudioProcess) -> AsyncIterator[list[Guest]]:
    """Members with their browsers open."""
    guests = [Guest(studio) for _ in range(MEMBERS)]
    for guest in guests:
        await guest.__aenter__()
    yield guests
    for guest in guests:
        await guest.__aexit__(None, None, None)


class Truth:
    """What SQL says in the end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.jobs: dict[str, Job] = {}
        self.outbox: dict[str, Delivery] = {}
        self.artifacts: dict[str, tuple[Artifact, ...]] = {}
        self.ledger: dict[str, list[LedgerEntry]] = {}

    async def read(self, job_ids: Iterable[str]) -> None:
        """Read these jobs and all that hangs on them."""
        ids = list(job_ids)
        async with self._store.unit_of_work(write=False) as uow:
            self.jobs = {job.id: job for job in await uow.jobs.get_many(ids)}
            self.artifacts = await uow.artifacts.of_jobs(ids)
            for job_id in ids:
                delivery = await uow.deliveries.get(job_id)
                assert delivery is not None
                self.outbox[job_id] = delivery
                self.ledger[job_id] = await uow.ledger.of_job(job_id)

    @property
    def unanswered(self) -> list[str]:
        """The jobs whose answer is still owed."""
        return [
            job_id
            for job_id, delivery in self.outbox.items()
            if delivery.state is not DeliveryState.DELIVERED
        ]


async def until(
    condition: Callable[[], Awaitable[bool]], what: Callable[[], object], seconds: float
) -> None:
    """Look again and again, for so long."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"still waiting after {seconds} s: {what()}")


@pytest.mark.parametrize("seed", [2, 7])
async def test_every_job_ends_once_and_is_answered_once(
    studio: StudioProcess, store: Store, guests: list[Guest], seed: int
) -> None:
    rng = random.Random(seed)
    members, executioner = Members(guests), Executioner(studio, rng)
    asking = [
        asyncio.create_task(members.ask(guest, random.Random(f"{seed}-{number}")))
        for number, guest in enumerate(guests)
    ]
    for _ in range(KILLS):
        await asyncio.sleep(rng.uniform(0.1, 0.9))
        await executioner.strike()
    await asyncio.gather(*asking)

    assert all(len(jobs) == 1 for jobs in members.promised.values())
    job_ids = [job_id for jobs in members.promised.values() for job_id in jobs]
    assert len(set(job_ids)) == MEMBERS * JOBS_EACH
    truth = Truth(store)

    async def all_answered() -> bool:
        await truth.read(job_ids)
        return not truth.unanswered

    await until(all_answered, lambda: _states(truth), ENDS_S)
    assert executioner.victims.total() >= KILLS // 2
    _check_ends(truth)
    _check_the_log(studio, job_ids)
    for guest in guests:
        await _check_what_they_see(guest, truth)


def _check_ends(truth: Truth) -> None:
    for job_id, job in truth.jobs.items():
        assert job.state.ended
        postings = truth.ledger[job_id]
        assert len({entry.event_id for entry in postings}) == len(postings) == 2
        done = job.state is JobState.DONE
        used = min(job.gpu_ms or 0, job.reserved_gpu_ms) if done else 0
        assert sum(entry.gpu_ms for entry in postings) == used
        assert sum(entry.jobs for entry in postings) == int(done)
        assert len(truth.artifacts.get(job_id, ())) == (job.count if done else 0)
    states = Counter(job.state for job in truth.jobs.values())
    assert states[JobState.DONE] > len(truth.jobs) / 2  # it was a studio, not only a graveyard


def _check_the_log(studio: StudioProcess, job_ids: list[str]) -> None:
    """Each answer was settled once. (A death between commit and log line leaves no line.)"""
    settled: Counter[str] = Counter()
    for line in studio.log_file.read_text().splitlines():
        with suppress(json.JSONDecodeError):
            said: dict[str, Any] = json.loads(line)
            if said.get("event") == "answer settled":
                settled[said["job_id"]] += 1
    assert set(settled) <= set(job_ids)
    assert not settled or max(settled.values()) == 1


async def _check_what_they_see(guest: Guest, truth: Truth) -> None:
    turns = Counter(turn["key"] for turn in await guest.turns())
    assert max(turns.values()) == 1
    for turn in await guest.turns():
        assert turn["state"] == str(truth.jobs[turn["key"]].state)


def _states(truth: Truth) -> Counter[str]:
    return Counter(
        f"{job.state}/{truth.outbox[job_id].state}" for job_id, job in truth.jobs.items()
    )
