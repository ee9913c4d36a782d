"""Parts that answers have in common: the queued notice, rows of buttons, history cards. Pure.

Used by commands and the router. Words come from `core.i18n`; what the buttons do is in
`bot.actions` (for all commands) and in the command that declares them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.core.chat import Button, ButtonStyle, Card, Command, Form, JobTicket, Reply, Text
from bot.core.domain import Artifact, Job, JobState
from bot.core.i18n import formats, replies
from bot.core.options import format_text
from bot.core.signing import Signer
from generators import catalog

Row = tuple[Button, ...]

_TITLE_CHARACTERS = 100


def button(
    signer: Signer,
    job_id: str,
    action: str,
    label: Text | str,
    says: Text,
    locale: str,
    *,
    style: ButtonStyle = ButtonStyle.SECONDARY,
    pressed: bool | None = None,
) -> Button:
    """A signed button that hangs on a job."""
    return Button(
        label=label if isinstance(label, str) else label.in_(locale),
        data=signer.button(action, job_id),
        description=says.in_(locale),
        style=style,
        pressed=pressed,
    )


def numbered(
    signer: Signer,
    job: Job,
    letter: str,
    label: str,
    says: Text,
    count: int,
    locale: str,
    *,
    style: ButtonStyle = ButtonStyle.SECONDARY,
) -> Row:
    """A button for each of `count` items: actions `u1`, `u2`..., `{n}` in label and name."""
    return tuple(
        button(
            signer,
            job.id,
            f"{letter}{n}",
            label.format(n=n),
            says.format(n=n),
            locale,
            style=style,
        )
        for n in range(1, count + 1)
    )


def favorite_button(signer: Signer, job: Job, locale: str) -> Button:
    """A toggle. It names the state it leads to, so that pressing it twice is pressing it once."""
    action = "unfav" if job.favorite else "fav"
    says = replies.UNFAVORITE_SAYS if job.favorite else replies.FAVORITE_SAYS
    return button(signer, job.id, action, replies.FAVORITE, says, locale, pressed=job.favorite)


def delete_button(signer: Signer, job: Job, locale: str) -> Button:
    """Erases the job's content and the message."""
    return button(
        signer,
        job.id,
        "delete",
        replies.DELETE,
        replies.DELETE_SAYS,
        locale,
        style=ButtonStyle.DANGER,
    )


def cancel_button(signer: Signer, job_id: str, locale: str) -> Button:
    """Stops a live job."""
    return button(signer, job_id, "cancel", replies.CANCEL, replies.CANCEL_SAYS, locale)


def show_button(signer: Signer, job: Job, locale: str) -> Button:
    """Shows a past answer again, with everything that hung on it."""
    return button(signer, job.id, "show", replies.SHOW, replies.SHOW_SAYS, locale)


def reroll_button(signer: Signer, job: Job, locale: str) -> Button:
    """The same options with a new seed."""
    return button(signer, job.id, "reroll", replies.REROLL, replies.REROLL_SAYS, locale)


def remix_button(signer: Signer, job: Job, locale: str) -> Button:
    """The same options, in a form."""
    return button(signer, job.id, "remix", replies.REMIX, replies.REMIX_SAYS, locale)


def row_among_others(signer: Signer, job: Job, locale: str) -> Row:
    """What one wants of an answer that others see too: how it was made, told to oneself alone, and
    a copy as a direct message."""
    details = button(signer, job.id, "details", replies.DETAILS, replies.DETAILS_SAYS, locale)
    copy = button(signer, job.id, "copy", replies.COPY, replies.COPY_SAYS, locale)
    return replace(details, among_others=True), replace(copy, among_others=True)


def place_text(position: int, eta_s: float | None, locale: str) -> str:
    """Where a job stands in the queue, in words; position 1 is next, 0 was sent already."""
    place = (replies.RUNNING, replies.QUEUED_NEXT, replies.QUEUED_AT)[min(max(position, 0), 2)]
    sentences = [place.in_(locale).format(position=position)]
    if eta_s is not None:
        time = formats.duration(eta_s, locale)
        sentences.append(replies.QUEUED_ETA.in_(locale).format(time=time))
    return ("" if locale.lower().startswith("zh") else " ").join(sentences)


def queued(signer: Signer, ticket: JobTicket, locale: str, *, private: bool = False) -> Reply:
    """The first answer to an admitted job; the real one follows as a delivery."""
    return Reply(
        text=place_text(ticket.position, ticket.eta_s, locale),
        ticket=ticket,
        buttons=((cancel_button(signer, ticket.job_id, locale),),),
        ephemeral=private,
    )


def ended_badly(signer: Signer, job: Job, locale: str) -> Reply:
    """The answer of a job that failed or was cancelled: why, and the way to try again."""
    text = _why(job, locale)
    if job.state is JobState.FAILED:
        text = replies.FAILED.in_(locale).format(why=text, job=job.id)
    again = [reroll_button(signer, job, locale)]
    if prompt_of(job):
        again.append(remix_button(signer, job, locale))
    return Reply(
        title=title_of(job),
        text=text,
        error=job.state is JobState.FAILED,
        buttons=(tuple(again),),
        ephemeral=job.private,
    )


def prompt_of(job: Job) -> str:
    """What the member asked for in words; empty where they did not, whatever a generator takes for
    a prompt then."""
    prompt = str(job.params.get("prompt") or "")
    return "" if prompt == _own_defaults(job).get("prompt") else prompt


def title_of(job: Job) -> str:
    """The prompt on one line, cut where it is long; the command where there is none."""
    prompt = " ".join(prompt_of(job).split())
    if len(prompt) > _TITLE_CHARACTERS:
        return prompt[: _TITLE_CHARACTERS - 1].rstrip() + "…"
    return prompt or f"/{job.command}"


def items_of(artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """The things asked for, in order, without their other formats, plots and contact sheet."""
    return tuple(artifact for artifact in media_of(artifacts) if artifact.role == "item")


def media_of(artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """What was made, in order: each item, its other formats, its plot, and last the contact sheet;
    not what was uploaded for it."""
    made = (artifact for artifact in artifacts if artifact.role != "input")
    return tuple(sorted(made, key=lambda artifact: artifact.position))


def run_s(job: Job) -> float:
    """How long the job ran, in seconds; 0 where it never did."""
    if job.started_at is None or job.finished_at is None:
        return 0.0
    return (job.finished_at - job.started_at).total_seconds()


def options_of(command: Command, job: Job) -> dict[str, Any]:
    """The options that would make this job again, by name. What was left open is left out, and what
    is as the generator has it anyway; a picture it worked on is named by this job."""
    usual = _own_defaults(job)
    options: dict[str, Any] = {
        name: value
        for name, value in job.params.items()
        if name not in usual or value != usual[name]
    }
    options |= {name: f"{job.id}@{name}" for name in job.inputs}
    options |= {"model": job.model, "seed": job.seed, "count": job.count}
    if job.private:
        options["private"] = True
    if command.recall is not None:
        options |= command.recall(job)
    return {name: value for name, value in options.items() if value not in (None, "")}


def typed(command: Command | None, job: Job) -> str:
    """The job as one would type it."""
    if command is None:
        return f"/{job.command}"
    return format_text(command, options_of(command, job))


def form(command: Command, job: Job, fields: Collection[str], title: str) -> Form:
    """The job's options to be changed: `fields` are shown, the others go along unseen."""
    given = options_of(command, job)
    declared = command.option_list()
    return Form(
        title=title,
        command=command.name,
        fields=tuple(
            (option, str(given.get(option.name, "")))
            for option in declared
            if option.name in fields
        ),
        hidden={
            option.name: given[option.name]
            for option in declared
            if option.name in given and option.name not in fields
        },
    )


def card(
    signer: Signer,
    job: Job,
    artifacts: Iterable[Artifact],
    *,
    typed: str,
    now: datetime,
    locale: str,
) -> Card:
    """A past job in a list; `typed` is the command that would make it again."""
    facts = [typed, formats.ago(job.finished_at or job.created_at, now, locale)]
    if job.state is not JobState.DONE:
        facts.append(_why(job, locale))
    return Card(
        job_id=job.id,
        title=title_of(job),
        text=" · ".join(facts),
        media=tuple(one for one in media_of(artifacts) if one.role != "grid"),
        buttons=(
            (
                show_button(signer, job, locale),
                favorite_button(signer, job, locale),
                delete_button(signer, job, locale),
            ),
        ),
    )


def cards(
    signer: Signer,
    jobs: Iterable[tuple[Job, tuple[Artifact, ...]]],
    commands: Mapping[str, Command],
    *,
    now: datetime,
    locale: str,
) -> tuple[Card, ...]:
    """Past jobs in a list, each as one would type it again."""
    return tuple(
        card(
            signer,
            job,
            artifacts,
            typed=typed(commands.get(job.command), job),
            now=now,
            locale=locale,
        )
        for job, artifacts in jobs
    )


def _own_defaults(job: Job) -> Mapping[str, Any]:
    """What the job's generator takes for params that were left out."""
    if job.generator not in catalog.names():
        return {}
    fields = catalog.spec(job.generator).params.model_fields
    return {name: field.default for name, field in fields.items() if not field.is_required()}


def _why(job: Job, locale: str) -> str:
    """Why a job has no result."""
    if job.state is JobState.CANCELLED:
        return replies.CANCELLED.in_(locale)
    if job.error is None:
        return replies.FAILED_INSIDE.in_(locale)
    return Text(en=job.error, zh=job.error_zh or job.error).in_(locale)
