"""Serves the training page, which only the owner sees: the runs as they are, again every few
seconds. Used by `platform`; what a run is, `runs` reads.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from bot.errors import NotAllowed
from bot.platforms.web.folders import answer_file
from bot.platforms.web.forms import script
from bot.platforms.web.rendering import Pages, meter
from bot.platforms.web.runs import Run, read_runs, run_files
from bot.platforms.web.texts import TEXTS
from bot.platforms.web.visitors import Visitor

if TYPE_CHECKING:
    from bot.services import Services


class Training:
    """The page, its news and its pictures."""

    def __init__(self, services: Services, folder: Path, pages: Pages) -> None:
        """`folder`: where runs lie, each in a folder of its own; it need not exist."""
        self._services = services
        self._folder = folder
        self._pages = pages

    async def page(self, request: web.Request, visitor: Visitor) -> web.Response:
        """All runs."""
        _for_the_owner(visitor)
        return self._pages.page(
            "runs.html",
            visitor,
            meter(await self._services.quota.view(visitor.origin()), visitor.locale),
            current="runs",
            runs=await self._runs(),
            folder=str(self._folder),
            script=script(visitor),
        )

    async def news(self, request: web.Request, visitor: Visitor) -> web.Response:
        """All runs as fragments, for a page that is open."""
        _for_the_owner(visitor)
        runs = await self._runs()
        fragments = [
            {"key": run.name, "html": self._pages.fragment("run.html", visitor, run=run)}
            for run in runs
        ]
        return web.json_response({"runs": fragments})

    async def file(self, request: web.Request, visitor: Visitor) -> web.FileResponse:
        """A picture or a sound of a run. Raises NotFound for whatever the page does not show."""
        _for_the_owner(visitor)
        names = request.match_info
        files = await asyncio.to_thread(run_files, self._folder, names["run"])
        return answer_file(files, names["file"])

    async def _runs(self) -> list[Run]:
        return await asyncio.to_thread(read_runs, self._folder)


def _for_the_owner(visitor: Visitor) -> None:
    if not visitor.owner:
        sentence = TEXTS["runs_refused"]
        raise NotAllowed(sentence.en, sentence.zh)
