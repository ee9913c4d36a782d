"""The pictures that commands work on: those of one's history to choose from, and any one of them by
what a command would call it. Used by `platform`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from bot.core import answers
from bot.core.domain import Artifact
from bot.core.i18n import replies
from bot.errors import NotFound
from bot.platforms.web.media import answer_bytes
from bot.platforms.web.pieces import pieces
from bot.platforms.web.rendering import Pages
from bot.platforms.web.turns import cursor, read_cursor
from bot.platforms.web.visitors import Visitor
from generators.artifacts import ArtifactMissing
from generators.engine.port import ArtifactRef

if TYPE_CHECKING:
    from bot.services import Services

JOBS_LENGTH: Final = 24
ENOUGH: Final = 24  # pictures, after which no further jobs are looked at
MAX_LOOKS: Final = 5
MAX_REFERENCE: Final = 100


class Pictures:
    """Answers the picker."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    async def one(self, request: web.Request, visitor: Visitor) -> web.Response:
        """The picture that an `image` option means (`last`, a job's id with `#2` or `@image`, an
        artifact's id). Raises NotFound or BadOption as a command would."""
        reference = request.query.get("of", "")[:MAX_REFERENCE]
        found = await self._services.pictures.picture(visitor.origin(), reference, "of")
        if not isinstance(found, ArtifactRef):  # only files are anything else
            raise TypeError(type(found).__name__)
        try:
            data = await self._services.artifacts.get(found.key)
        except ArtifactMissing as error:
            raise NotFound(replies.GONE.en, replies.GONE.zh) from error
        return answer_bytes(request, data, found.mime, found.key, lasting=False)

    async def page(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Pictures as a fragment, newest first, and where older ones begin (empty at the end)."""
        before = read_cursor(request.query.get("before", ""))
        found: list[tuple[Artifact, str]] = []
        older = ""
        for _ in range(MAX_LOOKS):
            jobs = await self._services.history.page(
                visitor.origin(), limit=JOBS_LENGTH + 1, before=before
            )
            shown = jobs[:JOBS_LENGTH]
            for job, artifacts in shown:
                title = answers.title_of(job)
                made = pieces(artifacts)
                found += [(one.main, title) for one in made if one.kind == "image"]
            older = cursor(shown[-1][0]) if len(jobs) > JOBS_LENGTH else ""
            if len(found) >= ENOUGH or not older:
                break
            before = read_cursor(older)
        html = self._pages.fragment("pictures.html", visitor, pictures=found)
        return web.json_response({"html": html, "older": older})
