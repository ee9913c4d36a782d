"""Composition root of the gateway: settings -> store -> engine -> services -> platforms.

The one place that knows every room. `run` serves until a signal; `serve` is the same for tests and
other programs. Members can give commands as soon as the web server listens, long before a worker
has loaded its models: jobs simply wait in SQL.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from bot import settings as settings_module
from bot.actions import shared_menus
from bot.commands import load_commands
from bot.core.chat import Command
from bot.core.ports import Platform
from bot.core.signing import Signer
from bot.errors import SettingsError
from bot.http import HttpServer, Probe, RouteSource
from bot.lock import sole_user
from bot.metrics import Metrics
from bot.router import Router
from bot.services import Services
from bot.services.case_posting import CasePosting
from bot.services.delivery import DeliveryService
from bot.services.dispatch import Dispatcher
from bot.services.history import HistoryService
from bot.services.house import House
from bot.services.jobs import JobService
from bot.services.models import ModelOffers
from bot.services.moderation import ModerationService
from bot.services.pictures import PictureService
from bot.services.quota import QuotaService
from bot.services.retention import Retention
from bot.services.status import StudioStatus
from bot.settings import Settings
from bot.store.database import Store, open_store
from generators import logs
from generators.artifacts import open_store as open_artifacts
from generators.engine import attach
from generators.engine.local import LocalEngine
from generators.engine.port import Engine
from generators.registry import ModelEntry, read_registry

if TYPE_CHECKING:
    from bot.platforms.discord.platform import DiscordPlatform
    from bot.platforms.web.platform import WebPlatform

log = structlog.get_logger(__name__)

MODEL_CHILD = "generators.runner"


@dataclass(frozen=True, slots=True)
class Studio:
    """A running gateway, as seen by whoever started it."""

    services: Services
    store: Store
    engine: Engine
    urls: tuple[str, ...]
    owner_link: str  # empty where the browser studio is switched off


def run(
    settings: Settings,
    *,
    worker: bool,
    model_child: str = MODEL_CHILD,
    announce: Callable[[Studio], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises SettingsError where the start is not possible.

    `worker`: start one on this machine; without, wait for an `atelier worker` to join.
    `model_child`: the module that runs the models (benchmarks put one without models there).
    """
    logs.configure(settings.generators.log_format, settings.generators.log_level, process="gateway")

    async def until_told() -> None:
        told = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        async with serve(settings, worker=worker, model_child=model_child) as studio:
            (announce or _announce)(studio)
            await told.wait()
            log.info("stopping")

    asyncio.run(until_told())


@asynccontextmanager
async def serve(
    settings: Settings, *, worker: bool = True, model_child: str = MODEL_CHILD
) -> AsyncIterator[Studio]:
    """A running gateway; leaving it stops everything, work in flight stays in SQL."""
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_user(settings.data_dir))
        store = open_store(settings.database_url)
        stack.push_async_callback(store.close)
        await store.migrate()
        metrics = Metrics()
        engine = await stack.enter_async_context(
            await _engine(settings, stack, worker=worker, model_child=model_child)
        )
        parts = _compose(settings, store, engine, metrics)
        tasks: list[asyncio.Task[None]] = []
        server = HttpServer(
            settings.web.bind,
            registry=metrics.registry,
            sources=parts.sources(),
            probes=_probes(store, tasks),
            metrics_bind=settings.studio.metrics_bind,
        )
        await stack.enter_async_context(server)
        link = parts.web.owner_link(_reachable(server.urls[0])) if parts.web else ""
        async with asyncio.TaskGroup() as group:
            tasks += [
                group.create_task(parts.dispatcher.run(), name="dispatcher"),
                group.create_task(parts.delivery.run(), name="delivery"),
                *(group.create_task(one.run(), name=type(one).__name__) for one in parts.keepers),
                *(
                    group.create_task(platform.run(parts.router.handle), name=platform.name)
                    for platform in parts.platforms.values()
                ),
            ]
            try:
                yield Studio(parts.services, store, engine, tuple(server.urls), link)
            finally:
                for task in tasks:
                    task.cancel()


@dataclass(frozen=True, slots=True)
class _Parts:
    services: Services
    router: Router
    dispatcher: Dispatcher
    delivery: DeliveryService
    keepers: tuple[CasePosting, Retention]
    platforms: Mapping[str, Platform]
    web: WebPlatform | None
    discord: DiscordPlatform | None

    def sources(self) -> list[RouteSource]:
        """Who serves over HTTP; the browser studio last, since it answers whatever is left."""
        return [source for source in (self.discord, self.web) if source is not None]


def _compose(settings: Settings, store: Store, engine: Engine, metrics: Metrics) -> _Parts:
    """Build every service once, in the order they need each other."""
    uow, clock = store.unit_of_work, _now
    artifacts = open_artifacts(settings.generators.artifacts)
    entries = tuple(read_registry(settings.generators.models_path).entries.values())
    models = ModelOffers(entries)
    moderation = ModerationService()
    quota = QuotaService(uow, clock, settings.studio.limits())
    platforms: dict[str, Platform] = {}
    house = House.over(uow, clock, artifacts, platforms)
    # Jobs, dispatch and delivery wake each other; the first two names are bound a few lines down.
    jobs = JobService(
        uow,
        clock,
        models,
        quota,
        moderation,
        artifacts,
        house.rules,
        on_admitted=lambda: dispatcher.wake(),
        on_ended=lambda job_id: dispatcher.ended_in_queue(job_id),
        stop=lambda job_id: dispatcher.cancel(job_id),
    )
    services = Services(
        jobs=jobs,
        quota=quota,
        history=HistoryService(uow, artifacts, house.withdrawal),
        moderation=moderation,
        pictures=PictureService(uow, settings.studio.upload_limits()),
        models=models,
        artifacts=artifacts,
        signer=Signer(settings_module.secret_key(settings)),
        clock=clock,
        status=StudioStatus(clock),
        house=house,
    )
    commands = load_commands(models)
    web = _web(settings, services, commands, entries)
    discord = _discord(settings, services, commands, metrics)
    for platform in (web, discord):
        if platform is not None:
            platforms[platform.name] = platform
    delivery = DeliveryService(
        uow,
        platforms,
        {name: command.present for name, command in commands.items()},
        services,
        metrics=metrics,
    )
    dispatcher = Dispatcher(
        uow,
        engine,
        jobs,
        quota,
        clock,
        delivery.publish,
        status=services.status,
        metrics=metrics,
        on_ended=delivery.wake,
        max_strikes=settings.generators.max_strikes,
    )
    keepers = (
        CasePosting(uow, clock, house.cases, platforms, services.signer, metrics),
        Retention(uow, clock, house.eraser, metrics),
    )
    router = Router(services, commands)
    return _Parts(services, router, dispatcher, delivery, keepers, platforms, web, discord)


def _web(
    settings: Settings,
    services: Services,
    commands: Mapping[str, Command],
    entries: Sequence[ModelEntry],
) -> WebPlatform | None:
    if not settings.web.studio:
        return None
    # Only now, so that a studio without pages runs without the libraries that draw them.
    from bot.platforms.web.platform import WebPlatform

    return WebPlatform(
        settings.web,
        services,
        tuple(commands.values()),
        locale=settings.studio.locale,
        models=entries,
        runs=settings.data_dir / "runs",
    )


def _discord(
    settings: Settings, services: Services, commands: Mapping[str, Command], metrics: Metrics
) -> DiscordPlatform | None:
    if settings.discord.token is None:
        return None
    # Only now, so that a studio without a token runs without discord.py.
    try:
        from bot.platforms.discord.platform import DiscordPlatform
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"ATELIER_DISCORD_TOKEN is set, but {error.name} is not installed: install "
            "atelier[discord], or take the token out of the settings."
        ) from None

    return DiscordPlatform(
        settings.discord,
        services,
        tuple(commands.values()),
        shared_menus(),
        metrics=metrics,
        gallery_url=settings.web.public_url if settings.web.studio else "",
        intake=settings.data_dir / "discord-intake.jsonl",
    )


async def _engine(
    settings: Settings, stack: AsyncExitStack, *, worker: bool, model_child: str
) -> LocalEngine:
    if worker:
        return LocalEngine(settings.generators, runner=model_child)
    spawn = await stack.enter_async_context(attach.listening(settings.data_dir))
    return LocalEngine(settings.generators, spawn=spawn)


def _probes(store: Store, tasks: Sequence[asyncio.Task[None]]) -> Mapping[str, Probe]:
    """What `/readyz` asks. A worker is not asked for: without one, commands are still taken."""

    async def database() -> str | None:
        return None if await store.is_current() else "its tables are of another version"

    async def loops() -> str | None:
        if not tasks:
            return "starting"
        ended = [task.get_name() for task in tasks if task.done()]
        return f"ended: {', '.join(ended)}" if ended else None

    return {"database": database, "loops": loops}


def _announce(studio: Studio) -> None:
    """Tell the person at the terminal where the studio is, and how to become its owner."""
    lines = [f"The studio is open at {_reachable(studio.urls[0])}"]
    if studio.owner_link:
        lines.append(f"Owner link (once, keep it to yourself): {studio.owner_link}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _reachable(url: str) -> str:
    """An address one can open: the unspecified one means this machine."""
    return url.replace("//0.0.0.0", "//127.0.0.1").replace("//[::]", "//[::1]")


def _now() -> datetime:
    return datetime.now(UTC)
