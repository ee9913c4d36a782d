"""What every command that makes something does alike: from options to a draft, from a draft to the
first answer, the same again, the same changed, and how the finished thing is shown.

Commands call these; what is theirs alone (which params, which buttons) they pass in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from bot.core import answers
from bot.core.chat import Choice, Command, Invocation, Options, Reply, Text
from bot.core.domain import Artifact, Job, JobState
from bot.core.i18n import formats
from bot.core.params import PRIVATE, SEED
from bot.services.admission import JobDraft
from bot.services.inputs import Input
from generators import catalog

if TYPE_CHECKING:
    from bot.services import Services
    from bot.services.models import ModelOffers

Run = Callable[[Any, Invocation, Job], Awaitable[Reply]]

_OWN = {"model", "count", SEED.name, PRIVATE.name}  # options that no generator takes as params
_REMIX = Text(en="Remix", zh="修改后重新生成")
_CAPTION = Text(en="{model} · seed {seed} · {time}", zh="{model} · 种子 {seed} · {time}")


def model_choices(
    offers: ModelOffers, modality: str, *needs: str
) -> Callable[[], tuple[Choice, ...]]:
    """The models on offer that can do all of this, asked for whenever a form is drawn."""

    def choices() -> tuple[Choice, ...]:
        return tuple(
            Choice(value=offer.name, label=offer.name) for offer in offers.capable(modality, *needs)
        )

    return choices


def draft(
    command: str,
    invocation: Invocation,
    options: Options,
    *,
    modality: str = "image",
    needs: tuple[str, ...] = ("prompt",),
    inputs: Mapping[str, Input] | None = None,
    params: Mapping[str, Any] | None = None,
    effort: int = 1,
) -> JobDraft:
    """What the options ask for. `params` replaces those that are read off the options: all that
    were given and are nobody else's."""
    given = {name: value for name, value in options.items() if value not in (None, "")}
    if params is None:
        params = {
            name: value
            for name, value in given.items()
            if name not in _OWN and name not in (inputs or {})
        }
    return JobDraft(
        command=command,
        model=given.get("model"),
        modality=modality,
        needs=needs,
        params=params,
        seed=given.get("seed"),
        count=given.get("count", 1),
        inputs=inputs or {},
        private=invocation.private or bool(given.get("private")),
        effort=effort,
    )


async def pictures(
    services: Services, invocation: Invocation, options: Options, *names: str
) -> dict[str, Input]:
    """The pictures that these `image` options name, those left out left out."""
    return {
        name: await services.pictures.picture(invocation.origin, options[name], name)
        for name in names
        if options.get(name) is not None
    }


async def admit(services: Services, invocation: Invocation, draft: JobDraft) -> Reply:
    """Queue the work and say where it stands."""
    ticket = await services.jobs.admit(invocation, draft)
    locale = invocation.origin.locale
    return answers.queued(services.signer, ticket, locale, private=ticket.private)


def known_params(job: Job) -> dict[str, Any]:
    """The params that the member or a button set; the model's defaults stay the model's."""
    return {name: value for name, value in job.params.items() if value not in (None, "")}


def can(job: Job, capability: str) -> bool:
    """Whether the generator that made the job can do this."""
    return job.generator in catalog.names() and (
        capability in catalog.spec(job.generator).capabilities
    )


def again(job: Job, **changes: Any) -> JobDraft:
    """The same job once more, with a new seed unless one is given."""
    modality = catalog.spec(job.generator).modality if job.generator in catalog.names() else ""
    values: dict[str, Any] = {
        "command": job.command,
        "model": job.model,
        "modality": modality,
        "params": known_params(job),
        "seed": None,
        "count": job.count,
        "inputs": job.inputs,
        "parent_job_id": job.parent_job_id,
        "private": job.private,
    }
    return JobDraft(**values | changes)


async def reroll(services: Services, invocation: Invocation, job: Job) -> Reply:
    """An action: the same again, with other randomness."""
    return await admit(services, invocation, again(job))


def remix(commands: Mapping[str, Command], fields: Collection[str]) -> Run:
    """An action: the job's options in a form; `fields` are those that are shown."""

    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        title = _REMIX.in_(invocation.origin.locale)
        return Reply(form=answers.form(commands[job.command], job, fields, title), ephemeral=True)

    return run


def present(
    services: Services,
    job: Job,
    artifacts: tuple[Artifact, ...],
    locale: str,
    *,
    rows: Callable[[int], tuple[answers.Row, ...]] = lambda items: (),
    changes: bool = True,
) -> Reply:
    """The answer to a job that ended: its media, what it was made with, rows of buttons for its
    items (given how many there are), and the buttons that every answer has. `changes`: whether a
    new seed or other words would make another thing of it."""
    if job.state is not JobState.DONE:
        return answers.ended_badly(services.signer, job, locale)
    media = answers.media_of(artifacts)
    signer = services.signer
    again = (
        answers.reroll_button(signer, job, locale),
        answers.remix_button(signer, job, locale),
    )
    keep = (
        answers.favorite_button(signer, job, locale),
        answers.delete_button(signer, job, locale),
    )
    last = (*again, *keep) if changes else keep
    more = answers.row_among_others(signer, job, locale)
    return Reply(
        title=answers.title_of(job),
        text=caption(job, locale),
        media=media,
        buttons=(*(row for row in rows(len(answers.items_of(media))) if row), last, more),
        ephemeral=job.private,
    )


def caption(job: Job, locale: str) -> str:
    """What made it, and how long that took."""
    return _CAPTION.in_(locale).format(
        model=job.model, seed=job.seed, time=formats.duration(answers.run_s(job), locale)
    )
