"""What the buttons under every command's answers do: cancel, favourite, delete, show.

Each is safe to press twice: a redelivered press changes nothing more. Used by the router only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core import answers
from bot.core.chat import Action, Command, Invocation, Menu, Reply, Text
from bot.core.domain import Job, JobState
from bot.core.i18n import replies
from bot.errors import NotFound

if TYPE_CHECKING:
    from bot.services import Services

Run = Callable[[Any, Invocation, Job], Awaitable[Reply]]


def shared_actions(commands: Mapping[str, Command]) -> Mapping[str, Action]:
    """The actions by name, for jobs of all these commands."""
    return {
        "cancel": Action(_cancel),
        "delete": Action(_delete),
        "fav": Action(_favorite(commands, on=True)),
        "unfav": Action(_favorite(commands, on=False)),
        "show": Action(_show(commands), owner_only=False),
    }


def shared_menus() -> tuple[Menu, ...]:
    """What the menu of a message offers, in its order; the actions are those above."""
    return (
        Menu(Text(en="Upscale", zh="放大"), action="upscale"),
        Menu(Text(en="Show prompt", zh="查看提示词"), action="details"),
        Menu(Text(en="Report", zh="举报"), action="report"),
    )


async def _cancel(services: Services, invocation: Invocation, job: Job) -> Reply:
    cancelled = await services.jobs.cancel(invocation.origin, job.id)
    said = replies.CANCELLED if cancelled.state is JobState.CANCELLED else replies.CANCELLING
    return Reply(text=said.in_(invocation.origin.locale), ephemeral=True)


async def _delete(services: Services, invocation: Invocation, job: Job) -> Reply:
    await services.history.delete(invocation.origin, job.id)
    text = replies.DELETED.in_(invocation.origin.locale)
    return Reply(text=text, ephemeral=True, removes_message=True)


def _favorite(commands: Mapping[str, Command], *, on: bool) -> Run:
    """Set, not toggle: the button names the state it leads to."""

    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        await services.history.set_favorite(invocation.origin, job.id, on)
        return replace(await _answer(services, commands, invocation, job), replaces_message=True)

    return run


def _show(commands: Mapping[str, Command]) -> Run:
    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        return replace(await _answer(services, commands, invocation, job), ephemeral=True)

    return run


async def _answer(
    services: Services, commands: Mapping[str, Command], invocation: Invocation, job: Job
) -> Reply:
    """The job's answer as its command presents it, read afresh."""
    job, artifacts = await services.jobs.for_member(invocation.origin, job.id)
    command = commands.get(job.command)
    if command is None or command.present is None:
        raise NotFound(replies.GONE.en, replies.GONE.zh)
    if not job.state.ended:
        position, eta_s = await services.jobs.place(job)
        text = answers.place_text(position, eta_s, invocation.origin.locale)
        cancel = answers.cancel_button(services.signer, job.id, invocation.origin.locale)
        return Reply(text=text, buttons=((cancel,),))
    return command.present(services, job, artifacts, invocation.origin.locale)
