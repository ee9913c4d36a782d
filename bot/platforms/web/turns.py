"""What was asked and what was answered, as one thing the page shows: a turn.

A turn is the same whether it comes from the history, from a running job or from a reply just
given, so that all of them are drawn by the same template. Used by `pages`, `api` and `platform`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bot.core import answers
from bot.core.chat import Command, Form, JobTicket, Reply
from bot.core.domain import Artifact, Job, JobState
from bot.core.options import format_text, parse_text
from bot.errors import BadOption
from bot.platforms.web.forms import in_order
from bot.platforms.web.media import plain_mime
from bot.platforms.web.visitors import Visitor
from generators import catalog
from generators.artifacts import ArtifactMissing

if TYPE_CHECKING:
    from bot.services import Services

CONVERSATION_LENGTH: Final = 20
MAX_TEXT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Turn:
    """`key` names it in the page: the job's id, or one of its own. `state` is a job's state, or
    `said` for an answer without a job. `prompt` describes the media to who cannot see them;
    `title` is how commands head the answer, left out where the page shows what was asked anyway.
    `texts` holds whole texts by artifact id, `inputs` names the pictures that were worked on."""

    key: str
    state: str
    reply: Reply
    asked: str = ""
    prompt: str = ""
    title: str = ""
    job_id: str | None = None
    modality: str = ""
    count: int = 1
    texts: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()

    @property
    def waiting(self) -> bool:
        """Whether the answer is still to come."""
        return self.job_id is not None and not JobState(self.state).ended


class Turns:
    """Reads turns for a visitor through the services; permission is theirs to check."""

    def __init__(self, services: Services, commands: Sequence[Command]) -> None:
        self._services = services
        self._commands = {command.name: command for command in commands}
        self._presenters = {
            command.name: command.present for command in commands if command.present is not None
        }

    async def recent(self, visitor: Visitor) -> list[Turn]:
        """The end of the conversation, oldest first, jobs on their way last."""
        origin = visitor.origin()
        # Running jobs first: one that ends in between is then seen twice rather than not at all.
        live = await self._services.jobs.live(origin)
        ended = await self._services.history.page(origin, limit=CONVERSATION_LENGTH)
        turns = {
            job.id: await self.ended(job, artifacts, visitor) for job, artifacts in reversed(ended)
        }
        for job, position, eta_s in live:
            if job.id not in turns:
                turns[job.id] = await self.on_its_way(job, position, eta_s, visitor)
        return list(turns.values())

    async def of_job(self, visitor: Visitor, job_id: str) -> Turn:
        """One job's turn. Raises NotFound unless the visitor may see it."""
        job, artifacts = await self._services.jobs.for_member(visitor.origin(), job_id)
        if job.state.ended:
            return await self.ended(job, artifacts, visitor)
        position, eta_s = await self._services.jobs.place(job)
        return await self.on_its_way(job, position, eta_s, visitor)

    async def ended(self, job: Job, artifacts: tuple[Artifact, ...], visitor: Visitor) -> Turn:
        """A job that is over, with the same answer that was delivered, in today's language."""
        spoken = replace(job, locale=visitor.locale)
        return await self.with_reply(job, self._answer(spoken, artifacts))

    async def on_its_way(
        self, job: Job, position: int, eta_s: float | None, visitor: Visitor
    ) -> Turn:
        """A job that waits or runs, with a way to cancel it."""
        ticket = JobTicket(job_id=job.id, position=position, eta_s=eta_s)
        return await self.with_reply(
            job, answers.queued(self._services.signer, ticket, visitor.locale)
        )

    async def with_reply(self, job: Job, reply: Reply) -> Turn:
        """A job with a given answer."""
        return Turn(
            key=job.id,
            state=job.state.value,
            reply=reply,
            asked=self._asked(job),
            prompt=answers.prompt_of(job),
            title=answers.title_of(job),
            job_id=job.id,
            modality=_modality(job),
            count=job.count,
            texts=await self._texts(reply.media),
            inputs=tuple(f"{job.id}@{name}" for name in job.inputs),
        )

    def form(self, command: Command, typed: str, key: str) -> Turn:
        """All options of a command to be filled in, beginning with what was typed already."""
        try:
            given = parse_text(command, typed)
        except BadOption:
            given = {}
        options = in_order(command.option_list())
        fields = tuple((option, given.get(option.name, "")) for option in options)
        form = Form(title=f"/{command.name}", command=command.name, fields=fields)
        return Turn(key=key, state="said", reply=Reply(form=form))

    def _answer(self, job: Job, artifacts: tuple[Artifact, ...]) -> Reply:
        present = self._presenters.get(job.command)
        if present is not None:
            return present(self._services, job, artifacts, job.locale)
        if job.state is not JobState.DONE:
            return answers.ended_badly(self._services.signer, job, job.locale)
        return Reply(title=answers.title_of(job), media=artifacts)

    def _asked(self, job: Job) -> str:
        """The job as one would type it."""
        command = self._commands.get(job.command)
        if command is None:
            return f"/{job.command} {answers.prompt_of(job)}".rstrip()
        unsaid = {"model", "seed", "private", *job.inputs}  # drawn values, and pictures are shown
        options = answers.options_of(command, job)
        return format_text(command, {k: v for k, v in options.items() if k not in unsaid})

    async def _texts(self, media: Sequence[Artifact]) -> dict[str, str]:
        """Texts of which the artifact's facts tell only the beginning."""
        texts: dict[str, str] = {}
        for one in media:
            told = str(one.facts.get("text", "")).encode()
            if plain_mime(one) != "text/plain" or len(told) >= one.size_bytes:
                continue
            try:
                data = await self._services.artifacts.get(one.key)
            except ArtifactMissing:
                continue
            texts[one.id] = data[:MAX_TEXT_BYTES].decode(errors="replace")
        return texts


def cursor(job: Job) -> str:
    """Where a page of the history ends, for the address of the next one."""
    return f"{job.created_at.astimezone(UTC).isoformat()},{job.id}"


def read_cursor(text: str) -> tuple[datetime, str] | None:
    """Where a page of the history begins: the last seen job's time and id. None for nonsense."""
    moment, _, job_id = text.partition(",")
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (when, job_id[:64]) if when.tzinfo is not None else None


def _modality(job: Job) -> str:
    try:
        return catalog.spec(job.generator).modality
    except LookupError:
        return ""
