"""The pages: conversation, history, help, the owner's link, and the language switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from bot.core.signing import OneTimeTokens
from bot.errors import NotFound
from bot.platforms.web.api import Entrance
from bot.platforms.web.forms import makers, script, takers, typed, visible
from bot.platforms.web.guard import Guard, Refused, read_form
from bot.platforms.web.hub import Hub
from bot.platforms.web.rendering import Meter, Pages, meter
from bot.platforms.web.texts import TEXTS
from bot.platforms.web.turns import CONVERSATION_LENGTH, Turn, Turns, cursor, read_cursor
from bot.platforms.web.visitors import LANGUAGE_COOKIE, Visitor, Visitors

if TYPE_CHECKING:
    from bot.services import Services

HISTORY_LENGTH: Final = 24
MAX_SEARCH: Final = 200
YEAR_S: Final = 365 * 86_400
MAX_EXAMPLES: Final = 6


class PageHandlers:
    """One method per page."""

    def __init__(
        self,
        services: Services,
        entrance: Entrance,
        turns: Turns,
        pages: Pages,
        hub: Hub,
        visitors: Visitors,
        owner_links: OneTimeTokens,
        guard: Guard,
    ) -> None:
        self._services = services
        self._entrance = entrance
        self._turns = turns
        self._pages = pages
        self._hub = hub
        self._visitors = visitors
        self._owner_links = owner_links
        self._guard = guard

    async def studio(self, request: web.Request, visitor: Visitor) -> web.Response:
        """The conversation and the composer."""
        # The mark is taken before reading: an answer that comes in between is then fetched once
        # more rather than missed.
        mark = self._hub.mark(visitor.identity)
        turns = await self._turns.recent(visitor)
        commands = visible(self._entrance.commands, visitor)
        # Commands take turns, so that each kind of thing one can make is among the first.
        examples = [
            (typed(command, example), command.summary.in_(visitor.locale))
            for place in range(MAX_EXAMPLES)
            for command in makers(commands)
            for example in command.examples[place : place + 1]
        ]
        return self._pages.page(
            "studio.html",
            visitor,
            await self.meter(visitor),
            current="studio",
            turns=turns,
            full=len(turns) >= CONVERSATION_LENGTH,
            examples=examples[:MAX_EXAMPLES],
            script=script(
                visitor,
                commands,
                mark=mark,
                max_upload_bytes=self._services.pictures.limits.max_bytes,
            ),
        )

    async def history(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Ended jobs, newest first, page by page."""
        search = request.query.get("q", "")[:MAX_SEARCH].replace("\0", "").strip()
        search = search.encode("utf-8", "ignore").decode()
        favorites = request.query.get("favorites") == "1"
        before = read_cursor(request.query.get("before", ""))
        found = await self._services.history.page(
            visitor.origin(),
            limit=HISTORY_LENGTH + 1,
            before=before,
            favorites=favorites,
            search=search,
        )
        shown = found[:HISTORY_LENGTH]
        last = shown[-1][0] if len(found) > HISTORY_LENGTH else None
        return self._pages.page(
            "history.html",
            visitor,
            await self.meter(visitor),
            current="history",
            turns=[await self._turns.ended(job, artifacts, visitor) for job, artifacts in shown],
            search=search,
            favorites=favorites,
            paged=before is not None,
            older=cursor(last) if last else "",
            script=script(visitor, takers(visible(self._entrance.commands, visitor))),
        )

    async def help(self, request: web.Request, visitor: Visitor) -> web.Response:
        """What `/help` says, as a page."""
        reply = await self._entrance.handle(
            self._entrance.invocation(visitor, command="help", text="")
        )
        turn = Turn(key="help", state="said", reply=reply)
        return self._pages.page(
            "help.html", visitor, await self.meter(visitor), current="help", turn=turn
        )

    async def owner(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Where the owner link leads. Looking spends nothing: only the button does, so a link
        preview cannot use up the link."""
        token = request.query.get("token", "")
        return self._pages.page("owner.html", visitor, None, current="", token=token[:500])

    async def become_owner(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Spend the link and go to the studio as its owner."""
        fields = await read_form(request)
        self._owner_links.redeem(fields.get("token", ""))
        response = web.Response(status=303, headers={"Location": "/"})
        self._guard.remember(request, response, self._visitors.as_owner(visitor))
        return response

    async def language(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Remember the language chosen and go back to where the switch was."""
        fields = await read_form(request)
        language = fields.get("language", "")
        if language not in ("en", "zh"):
            raise Refused(400, "bad_request")
        response = web.Response(status=303, headers={"Location": _own_path(fields.get("next", ""))})
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, samesite="Lax", path="/")
        return response

    async def missing(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Any other address."""
        sentence = TEXTS["missing_lead"]
        raise NotFound(sentence.en, sentence.zh)

    async def meter(self, visitor: Visitor) -> Meter | None:
        """The visitor's quota."""
        return meter(await self._services.quota.view(visitor.origin()), visitor.locale)


def _own_path(path: str) -> str:
    """A path of this site to go to; anything that a browser could take for another site is `/`."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if plain and path.isascii() and path.isprintable() else "/"
