"""A whole studio without a platform and without a worker: the real router, commands and services
over the in-memory store. `finish` plays the worker's part."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from bot.commands import load_commands
from bot.core.chat import Invocation, Origin, Reply
from bot.core.domain import Artifact, Job, JobState, Limits
from bot.core.signing import Signer
from bot.router import Router
from bot.services import Services
from bot.services.history import HistoryService
from bot.services.house import House
from bot.services.jobs import JobService
from bot.services.models import ModelOffers
from bot.services.moderation import ModerationService
from bot.services.pictures import PictureService
from bot.services.quota import QuotaService
from bot.services.status import StudioStatus
from bot.store.memory import MemoryStore
from generators.artifacts import ArtifactStore, open_store
from generators.engine.port import ArtifactRef, EngineResult
from generators.registry import ModelEntry

KEY = b"the studio's key, 32 bytes long!"

MODELS = (
    ModelEntry(name="emoji", generator="diffusion", licence="Apache-2.0", default=True),
    ModelEntry(name="turbo", generator="diffusion", licence="Other"),
    ModelEntry(name="lexicon", generator="gpt2", licence="Apache-2.0", default=True),
    ModelEntry(name="lanczos", generator="lanczos"),
)

MORE_MODELS = (
    ModelEntry(name="gan", generator="gan"),
    ModelEntry(name="vae", generator="vae"),
    ModelEntry(name="super_resolution", generator="super_resolution"),
    ModelEntry(name="audio_gan", generator="audio_gan"),
)

ANNA = Origin(
    platform="web",
    community_external_id="anna",
    personal=True,
    identity_external_id="anna",
    display_name="Anna",
)


@dataclass
class Studio:
    """The studio and what a test does to it."""

    anna: ClassVar[Origin] = ANNA  # alone with the studio

    folder: Path
    limits: Limits = field(default_factory=Limits)
    models: tuple[ModelEntry, ...] = MODELS
    now: datetime = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.artifacts: ArtifactStore = open_store(str(self.folder))
        self.stopped: list[str] = []
        self.platforms: dict[str, Any] = {}
        self.status = StudioStatus(self.clock)
        self._ids = itertools.count(1)
        self.start()

    def start(self) -> None:
        """Build everything anew over the same store, as a restart would."""
        offers = ModelOffers(self.models)
        quota = QuotaService(self.store.unit_of_work, self.clock, self.limits)
        moderation = ModerationService()
        house = House.over(self.store.unit_of_work, self.clock, self.artifacts, self.platforms)
        jobs = JobService(
            self.store.unit_of_work,
            self.clock,
            offers,
            quota,
            moderation,
            self.artifacts,
            house.rules,
            on_admitted=lambda: None,
            on_ended=lambda job_id: None,
            stop=self._stop,
        )
        history = HistoryService(self.store.unit_of_work, self.artifacts, house.withdrawal)
        self.commands = load_commands(offers)
        self.services = Services(
            jobs=jobs,
            quota=quota,
            history=history,
            moderation=moderation,
            pictures=PictureService(self.store.unit_of_work),
            models=offers,
            artifacts=self.artifacts,
            signer=Signer(KEY),
            clock=self.clock,
            status=self.status,
            house=house,
        )
        self.router = Router(self.services, self.commands)

    def clock(self) -> datetime:
        return self.now

    async def _stop(self, job_id: str) -> None:
        self.stopped.append(job_id)

    # --- what members do ---

    @staticmethod
    def in_guild(name: str, **more: Any) -> Origin:
        """A member of a community that others read along in."""
        origin = Origin(
            platform="discord",
            community_external_id="guild",
            personal=False,
            identity_external_id=name,
            display_name=name.title(),
        )
        return replace(origin, **more)

    async def say(self, line: str, by: Origin = ANNA, id: str = "", **more: Any) -> Reply:
        """Type a line such as `/imagine red heart`."""
        name, _, text = line.removeprefix("/").partition(" ")
        return await self.handle(Invocation(self._id(id), by, command=name, text=text, **more))

    async def fill(self, command: str, options: Mapping[str, Any], by: Origin = ANNA) -> Reply:
        """Send a form, or what a platform parsed itself."""
        return await self.handle(Invocation(self._id(""), by, command=command, options=options))

    async def press(self, action: str, job_id: str, by: Origin = ANNA, id: str = "") -> Reply:
        """Press a button that the studio signed."""
        data = self.services.signer.button(action, job_id)
        return await self.handle(Invocation(self._id(id), by, action=data))

    async def handle(self, invocation: Invocation) -> Reply:
        self.now += timedelta(seconds=1)  # no two things happen at once
        return await self.router.handle(invocation)

    def _id(self, given: str) -> str:
        return given or f"event-{next(self._ids)}"

    # --- what happened ---

    @property
    def jobs(self) -> list[Job]:
        return list(self.store.tables.jobs.values())

    def job(self, reply: Reply) -> Job:
        """The job a reply promises."""
        assert reply.ticket is not None, reply.text
        return self.store.tables.jobs[reply.ticket.job_id]

    @property
    def charged_gpu_ms(self) -> int:
        return sum(entry.gpu_ms for entry in self.store.tables.ledger.values())

    async def present(self, job_id: str, by: Origin = ANNA) -> Reply:
        """The answer as it is delivered."""
        job, artifacts = await self.services.jobs.for_member(by, job_id)
        present = self.commands[job.command].present
        assert present is not None
        return present(self.services, job, artifacts, by.locale)

    async def items(self, job_id: str, by: Origin = ANNA) -> list[Artifact]:
        _, artifacts = await self.services.jobs.for_member(by, job_id)
        return [artifact for artifact in artifacts if artifact.role == "item"]

    # --- the worker's part ---

    async def send(self, job_id: str) -> None:
        """Mark a job as handed to the engine, as the dispatcher does."""
        async with self.store.unit_of_work() as uow:
            await uow.jobs.move(
                job_id, JobState.SENT, only_from=[JobState.QUEUED], values={"sent_at": self.now}
            )
            await uow.commit()

    async def finish(self, job_id: str, gpu_ms: int = 800, texts: tuple[str, ...] = ()) -> None:
        """End a job with pictures (and a grid), or with texts."""
        job = self.store.tables.jobs[job_id]
        refs = [
            await self._put(text.encode(), "text/plain", job, {"text": text[:500]})
            for text in texts
        ]
        if not texts:
            sides = {"width": 64, "height": 64}
            pictures = [png(64, shade) for shade in range(job.count)]
            refs = [await self._put(data, "image/png", job, sides) for data in pictures]
            grid = await self._put(png(128, 99), "image/png", job, {"width": 128, "height": 128})
            if job.count > 1:
                refs.append(grid.model_copy(update={"role": "grid"}))
        result = EngineResult(job_id=job_id, state="done", artifacts=tuple(refs), gpu_ms=gpu_ms)
        assert await self.services.jobs.complete(result)

    async def finish_with(self, job_id: str, *media: tuple[str, str]) -> None:
        """End a job with media of these types and roles, in order."""
        job = self.store.tables.jobs[job_id]
        refs = []
        for mime, role in media:
            ref = await self._put(f"{mime} {role}".encode(), mime, job, {})
            refs.append(ref.model_copy(update={"role": role}))
        result = EngineResult(job_id=job_id, state="done", artifacts=tuple(refs), gpu_ms=800)
        assert await self.services.jobs.complete(result)

    async def fail(self, job_id: str, error: str | None = None) -> None:
        """End a job without anything to show."""
        result = EngineResult(job_id=job_id, state="failed", error=error)
        assert await self.services.jobs.complete(result)

    async def made(self, line: str, by: Origin = ANNA, texts: tuple[str, ...] = ()) -> Job:
        """Type a line and let the worker finish it."""
        job = self.job(await self.say(line, by))
        await self.finish(job.id, texts=texts)
        return self.store.tables.jobs[job.id]

    async def _put(
        self, data: bytes, mime: str, job: Job, facts: dict[str, int | float | str]
    ) -> ArtifactRef:
        key = await self.artifacts.put(data, owner=job.account_id)
        return ArtifactRef(key=key, mime=mime, size_bytes=len(data), facts=facts)


def png(side: int, shade: int) -> bytes:
    """A real picture, one for each shade."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), shade).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path / "artifacts")


@pytest.fixture
def workshop(tmp_path: Path) -> Studio:
    """A studio with a model for everything."""
    return Studio(tmp_path / "artifacts", models=MODELS + MORE_MODELS)
