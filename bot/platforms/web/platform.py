"""The browser studio as a platform: what `bot.app` builds, runs and gives to the web server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bot.core.chat import Command, Reply, Update
from bot.core.domain import Delivery
from bot.core.ports import Handle
from bot.core.signing import OneTimeTokens
from bot.errors import DEFAULT_LANGUAGE
from bot.platforms.web.api import Api, Entrance
from bot.platforms.web.assets import Assets
from bot.platforms.web.guard import Guard
from bot.platforms.web.hosts import Hosts
from bot.platforms.web.hub import Hub
from bot.platforms.web.media import Media
from bot.platforms.web.pages import PageHandlers
from bot.platforms.web.pictures import Pictures
from bot.platforms.web.rendering import Pages
from bot.platforms.web.settings import WebSettings
from bot.platforms.web.showcase import Showcase
from bot.platforms.web.training import Training
from bot.platforms.web.turns import Turns
from bot.platforms.web.uploads import MAX_REQUEST_BYTES
from bot.platforms.web.visitors import GuestLimiter, Visitors
from generators.registry import ModelEntry

if TYPE_CHECKING:
    from bot.services import Services

OWNER_LINK_FOR: Final = timedelta(days=7)
PREVIEW_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
MAX_PREVIEW_BYTES: Final = 128 * 1024


class WebPlatform:
    """A `core.ports.Platform` and a `bot.http.RouteSource` in one.

    An answer is in SQL before it is delivered, so delivering means telling the tabs that are open;
    with none open, the answer is simply there on the next load.
    """

    name = "web"

    def __init__(
        self,
        settings: WebSettings,
        services: Services,
        commands: Sequence[Command],
        *,
        locale: str = DEFAULT_LANGUAGE,
        models: Iterable[ModelEntry] = (),
        runs: Path | None = None,
    ) -> None:
        """`locale`: the language for browsers that ask for none of ours. `models`: the registry's
        entries, for their samples and cards. `runs`: the folder of training runs, None for none."""
        clock = services.clock
        self._hosts = Hosts(settings.bind, settings.public_url)
        self._owner_links = OneTimeTokens(services.signer, "owner-link", clock)
        self._hub = Hub()
        self._entrance = Entrance(commands)
        self._assets = Assets()
        self._media = Media(services)
        visitors = Visitors(services.signer, clock, locale=locale)
        limiter = GuestLimiter(settings.guests_per_hour, clock)
        turns = Turns(services, commands)
        pages = Pages(self._assets)
        self._guard = Guard(self._hosts, visitors, limiter, pages)
        self._pictures = Pictures(services, pages)
        self._showcase = Showcase(services, models, pages)
        self._training = Training(services, runs, pages) if runs is not None else None
        self._api = Api(services, self._entrance, turns, pages, self._hub)
        self._pages = PageHandlers(
            services,
            self._entrance,
            turns,
            pages,
            self._hub,
            visitors,
            self._owner_links,
            self._guard,
        )

    @property
    def commands(self) -> tuple[Command, ...]:
        """What members may be offered here."""
        return self._entrance.commands

    # --- core.ports.Platform ---

    async def run(self, handle: Handle) -> None:
        """Take invocations until cancelled. The pages themselves are served by `bot.http`."""
        self._entrance.open(handle)
        self._hub.reopen()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.close()

    async def update(self, delivery: Delivery, update: Update) -> None:
        """Show progress in the tabs that are open."""
        tabs = self._hub.tabs(str(delivery.address.get("identity", "")))
        if not tabs:
            return
        data = _update_json(update)
        for tab in tabs:
            tab.update(update.job_id, data)

    async def deliver(self, delivery: Delivery, reply: Reply) -> str:
        """Show the answer in the tabs that are open. Repeating it changes nothing: a page shows a
        job once. Returns the job's id."""
        identity = str(delivery.address.get("identity", ""))
        mark = self._hub.advance(identity)
        for tab in self._hub.tabs(identity):
            tab.forget(delivery.job_id)
            data = await self._api.answer(tab.visitor, delivery.job_id, reply)
            if data is not None:
                tab.post("answer", data | {"mark": mark}, mark=mark)
        return delivery.job_id

    # --- bot.http.RouteSource ---

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Every address of the studio; each passes the guard."""
        page, api = self._guard.page, self._guard.api
        training: tuple[web.AbstractRouteDef, ...] = ()
        if self._training is not None:
            training = (
                web.get("/runs", page(self._training.page)),
                web.get("/api/runs", api(self._training.news)),
                web.get("/runs/{run}/{file:.+}", api(self._training.file)),
            )
        return (
            web.get("/", page(self._pages.studio)),
            web.get("/history", page(self._pages.history)),
            web.get("/help", page(self._pages.help)),
            web.get("/owner", page(self._pages.owner)),
            web.post("/owner", page(self._pages.become_owner)),
            web.post("/language", page(self._pages.language)),
            web.post("/api/invoke", api(self._api.invoke, max_bytes=MAX_REQUEST_BYTES)),
            web.post("/api/form", api(self._api.form)),
            web.get("/api/turns", api(self._api.turns)),
            web.get("/api/turns/{job_id:[0-9a-f]{32}}", api(self._api.turn)),
            web.get("/api/pictures", api(self._pictures.page)),
            web.get("/pictures", api(self._pictures.one)),
            web.get("/api/events", api(self._api.events), allow_head=False),
            web.get("/artifacts/{artifact_id:[0-9a-f]{32}}", api(self._media.serve)),
            web.get("/shared/{token:[\\w.-]{1,400}}", page(self._media.shared)),
            web.get("/models", page(self._showcase.page)),
            web.get("/models/{model}/{file:.+}", api(self._showcase.file)),
            *training,
            web.get("/static/{version}/{name}", self._guard.asset(self._assets.serve)),
            web.get("/{anything:.*}", page(self._pages.missing)),
        )

    async def close(self) -> None:
        """End the streams; tabs connect again by themselves and fetch what they missed."""
        self._entrance.close()
        self._hub.close()

    def owner_link(self, base_url: str = "") -> str:
        """A link that makes the browser in which its button is pressed the owner's, once, within
        a week and until the next start. `base_url` where the settings do not tell (port 0)."""
        token = self._owner_links.issue(valid_for=OWNER_LINK_FOR)
        base = base_url or str(self._hosts.url)
        return f"{base.rstrip('/')}/owner?token={token}"


def _update_json(update: Update) -> dict[str, Any]:
    preview = None
    if (
        update.preview is not None
        and update.preview_mime in PREVIEW_TYPES
        and len(update.preview) <= MAX_PREVIEW_BYTES
    ):
        preview = f"data:{update.preview_mime};base64,{base64.b64encode(update.preview).decode()}"
    return {
        "key": update.job_id,
        "state": update.state,
        "position": update.position,
        "eta_s": update.eta_s,
        "step": update.inference_step,
        "total": update.total_steps,
        "text": update.text,
        "preview": preview,
    }
