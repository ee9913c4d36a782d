"""What the page's script calls: invoke, read turns again, listen.

An invocation's id comes from the browser, so that one repeated after a lost connection has no
second effect; it is bound to the visitor, so that nobody can repeat another's.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.chat import Command, Invocation, Reply, Upload
from bot.core.options import format_text
from bot.core.ports import Handle
from bot.errors import NotFound
from bot.platforms.web.forms import makers, typed, visible
from bot.platforms.web.guard import Refused, read_json
from bot.platforms.web.hub import Hub, encode
from bot.platforms.web.rendering import Pages, meter, meter_json
from bot.platforms.web.texts import TEXTS
from bot.platforms.web.turns import Turn, Turns
from bot.platforms.web.uploads import read_asked
from bot.platforms.web.visitors import Visitor

if TYPE_CHECKING:
    from bot.services import Services

log = structlog.get_logger(__name__)

SIGN_OF_LIFE_S: Final = 15.0
SLOW_CLIENT_S: Final = 10.0
_SLASH = re.compile(r"\s*[/／]\s?")


class Asked(BaseModel):
    """The body of `POST /api/invoke`: one of a typed line, a filled form, or a button. A line may
    have `options` beside it: the pictures of the history that go along."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: uuid.UUID = Field(description="Made by the browser, once per intention.")
    line: str | None = None
    command: str | None = Field(default=None, max_length=100)
    options: dict[str, str | bool | int | float | None] = {}
    action: str | None = Field(default=None, max_length=200)
    compact: bool = Field(default=False, description="Draw the answer as the gallery does.")


class Entrance:
    """Makes invocations out of what visitors do and hands them to the router."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = tuple(commands)
        self._handle: Handle | None = None

    def open(self, handle: Handle) -> None:
        """From now on invocations go here."""
        self._handle = handle

    def close(self) -> None:
        """Take no more invocations."""
        self._handle = None

    async def handle(self, invocation: Invocation) -> Reply:
        """The router's reply. Raises Refused while the studio is starting or stopping."""
        if self._handle is None:
            raise Refused(503, "starting")
        return await self._handle(invocation)

    def invocation(
        self,
        visitor: Visitor,
        *,
        invocation_id: uuid.UUID | None = None,
        command: str = "",
        text: str | None = None,
        options: Mapping[str, Any] | None = None,
        action: str | None = None,
        uploads: Mapping[str, Upload] | None = None,
    ) -> Invocation:
        """An invocation by this visitor, answered to all their tabs."""
        return Invocation(
            id=f"web:{visitor.identity}:{invocation_id or uuid.uuid4()}",
            origin=visitor.origin(),
            command=command,
            text=text,
            options=options or {},
            action=action,
            uploads=uploads or {},
            address={"identity": visitor.identity},
        )

    def example(self) -> str:
        """A command that works, for who has not found one yet."""
        examples = (typed(c, c.examples[0]) for c in makers(self.commands) if c.examples)
        return next(examples, "/help")


class Api:
    """Handlers that answer with JSON or a stream."""

    def __init__(
        self, services: Services, entrance: Entrance, turns: Turns, pages: Pages, hub: Hub
    ) -> None:
        self._services = services
        self._entrance = entrance
        self._turns = turns
        self._pages = pages
        self._hub = hub

    async def invoke(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Run a command, a form or a button; answers when everything promised is committed."""
        body, uploads = await read_asked(request, self._services.pictures.limits.max_bytes)
        asked = _asked(body)
        invocation, said = self._invocation(asked, uploads, visitor)
        if invocation is None:
            sentence = TEXTS["say_command"].format(example=self._entrance.example())
            reply = Reply(text=sentence.in_(visitor.locale), error=True)
        else:
            reply = await self._entrance.handle(invocation)
        turn = await self._turn(asked, said, reply, visitor)
        return web.json_response(
            {
                "placement": _placement(asked, reply),
                "key": turn.key,
                "job": turn.job_id,
                "state": turn.state,
                "prompt": turn.prompt,
                "html": self._pages.turn(turn, visitor, compact=asked.compact),
                "text": reply.text,
                "error": reply.error,
                "quota": await self._quota(visitor),
            }
        )

    async def form(self, request: web.Request, visitor: Visitor) -> web.Response:
        """The command of a line as a form, filled in as far as the line goes."""
        body = await read_json(request)
        line = body.get("line") if isinstance(body, dict) else None
        name, text = split_line(line if isinstance(line, str) else "") or ("", "")
        known = visible(self._entrance.commands, visitor)
        found = [command for command in known if command.name == name] or makers(known)
        if not found:
            raise Refused(404, "bad_request")
        turn = self._turns.form(found[0], text, f"form-{uuid.uuid4().hex}")
        return web.json_response({"html": self._pages.turn(turn, visitor)})

    async def turns(self, request: web.Request, visitor: Visitor) -> web.Response:
        """The end of the conversation again, for a tab that was away."""
        mark = self._hub.mark(visitor.identity)
        turns = await self._turns.recent(visitor)
        return web.json_response(
            {
                "mark": mark,
                "turns": [self._turn_json(turn, visitor) for turn in turns],
                "quota": await self._quota(visitor),
            }
        )

    async def turn(self, request: web.Request, visitor: Visitor) -> web.Response:
        """One job's turn, for a tab that hears of a job begun in another."""
        turn = await self._turns.of_job(visitor, request.match_info["job_id"])
        return web.json_response(self._turn_json(turn, visitor))

    async def events(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        """The stream of updates and answers, until the tab goes away or falls too far behind."""
        tab = self._hub.open(visitor)
        if tab is None:
            raise Refused(503, "too_many_streams")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        try:
            await response.prepare(request)
            chunk: bytes | None = encode("hello", {"mark": self._hub.mark(visitor.identity)})
            while chunk is not None:
                async with asyncio.timeout(SLOW_CLIENT_S):
                    await response.write(chunk)
                try:
                    async with asyncio.timeout(SIGN_OF_LIFE_S):
                        chunk = await tab.next()
                except TimeoutError:
                    chunk = encode("alive", {})
        except TimeoutError:
            log.info("dropped a slow tab", identity=visitor.identity)
        except ConnectionError:
            pass  # the tab was closed
        finally:
            self._hub.leave(tab)
        return response

    async def answer(self, visitor: Visitor, job_id: str, reply: Reply) -> dict[str, Any] | None:
        """A delivered answer as an event for this visitor's tabs; None where it was erased."""
        try:
            job, _ = await self._services.jobs.for_member(visitor.origin(), job_id)
        except NotFound:
            return None
        turn = await self._turns.with_reply(job, reply)
        return self._turn_json(turn, visitor) | {"quota": await self._quota(visitor)}

    def _turn_json(self, turn: Turn, visitor: Visitor) -> dict[str, Any]:
        return {
            "key": turn.key,
            "state": turn.state,
            "prompt": turn.prompt,
            "html": self._pages.turn(turn, visitor),
        }

    async def _quota(self, visitor: Visitor) -> dict[str, Any] | None:
        view = await self._services.quota.view(visitor.origin())
        return meter_json(meter(view, visitor.locale))

    def _invocation(
        self, asked: Asked, uploads: Mapping[str, Upload], visitor: Visitor
    ) -> tuple[Invocation | None, str]:
        """The invocation, and the line to show above its answer; None for a line that is none."""
        if asked.action is not None:
            made = self._entrance.invocation(visitor, invocation_id=asked.id, action=asked.action)
            return made, ""
        if asked.command is not None:
            made = self._entrance.invocation(
                visitor,
                invocation_id=asked.id,
                command=asked.command,
                options=asked.options,
                uploads=uploads,
            )
            return made, self._filled_in(asked.command, asked.options)
        parts = split_line(asked.line or "")
        if parts is None:
            return None, (asked.line or "").strip()
        name, text = parts
        made = self._entrance.invocation(
            visitor,
            invocation_id=asked.id,
            command=name,
            text=text,
            options=asked.options,
            uploads=uploads,
        )
        return made, (asked.line or "").strip()

    def _filled_in(self, name: str, options: Mapping[str, Any]) -> str:
        """A form as a line: the command's words, or where it takes none, all that was filled in."""
        command = next((one for one in self._entrance.commands if one.name == name), None)
        if command is not None and not any(option.rest for option in command.option_list()):
            given = {key: value for key, value in options.items() if value not in ("", None)}
            return format_text(command, given)
        words = next((value for value in options.values() if isinstance(value, str)), "")
        return f"/{name} {words}".rstrip()

    async def _turn(self, asked: Asked, said: str, reply: Reply, visitor: Visitor) -> Turn:
        """The reply as a turn; one that belongs to a job is drawn with what is known of it."""
        shown = said.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        job_id = reply.ticket.job_id if reply.ticket else None
        if job_id is not None:
            turn = await self._turns.of_job(visitor, job_id)
            return replace(turn, asked=shown) if shown else turn
        key = f"said-{asked.id.hex}"
        if asked.action is not None and (reply.replaces_message or reply.media):
            _, job_id = self._services.signer.read(asked.action)
            try:
                job, _ = await self._services.jobs.for_member(visitor.origin(), job_id)
            except NotFound:  # the button hung on something else: a report
                return Turn(key=key, state="said", reply=reply)
            turn = await self._turns.with_reply(job, reply)
            return turn if reply.replaces_message else replace(turn, key=key)
        return Turn(key=key, state="said", reply=reply, asked=shown)


def split_line(line: str) -> tuple[str, str] | None:
    """The command's name and what follows; None where the line does not begin with a slash.

    >>> split_line("/imagine red heart")
    ('imagine', 'red heart')
    """
    slash = _SLASH.match(line)
    if slash is None:
        return None
    name, *text = line[slash.end() :].strip().split(None, 1)[:2] or [""]
    return name.lower(), "".join(text)


def _asked(body: Any) -> Asked:
    try:
        asked = Asked.model_validate(body)
    except ValidationError as error:
        raise Refused(400, "bad_request") from error
    given = [one for one in (asked.line, asked.command, asked.action) if one is not None]
    if len(given) != 1:
        raise Refused(400, "bad_request")
    return asked


def _placement(asked: Asked, reply: Reply) -> str:
    """Where the page puts the reply: a new turn, in the place of the turn the button hung on, a
    dialog, a passing note; or the turn goes away."""
    if reply.form is not None:
        return "form"
    if asked.action is None or reply.ticket is not None:
        return "append"
    if reply.removes_message:
        return "remove"
    if reply.replaces_message:
        return "replace"
    shows_more = reply.media or reply.fields or reply.cards or reply.buttons
    return "append" if shows_more else "note"
