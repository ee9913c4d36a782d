"""What the buttons under every command's answers and the menu of a message do: cancel, favourite,
delete, show, details, a private copy, a larger picture, a report.

Each is safe to press twice: a redelivered press changes nothing more. Used by the router only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core import answers
from bot.core.chat import Action, Command, Form, Invocation, Menu, Reply, Text
from bot.core.details import details
from bot.core.domain import Job, JobState
from bot.core.i18n import replies
from bot.errors import NotFound
from bot.services import relatives

if TYPE_CHECKING:
    from bot.services import Services

Run = Callable[[Any, Invocation, Job], Awaitable[Reply]]

_NOT_YET = Text(
    en="There is nothing to copy yet: this has not ended.",
    zh="还没有可以复制的内容：任务尚未结束。",
)
_NO_PICTURE = Text(
    en="There is no picture in this answer to enlarge.", zh="这个结果里没有可以放大的图片。"
)
_WHICH = Text(en="Which picture?", zh="放大哪一张？")
_REPORT = Text(en="Report to the moderators", zh="向管理员举报")


def shared_actions(commands: Mapping[str, Command]) -> Mapping[str, Action]:
    """The actions by name, for jobs of all these commands."""
    return {
        "cancel": Action(_cancel),
        "delete": Action(_delete),
        "fav": Action(_favorite(commands, on=True)),
        "unfav": Action(_favorite(commands, on=False)),
        "show": Action(_show(commands), owner_only=False),
        "details": Action(_details(commands), owner_only=False),
        "copy": Action(_copy(commands), owner_only=False),
        "upscale": Action(_upscale(commands), owner_only=False),
        "report": Action(_report(commands), owner_only=False),
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


def _details(commands: Mapping[str, Command]) -> Run:
    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        return details(commands.get(job.command), job, invocation.origin.locale)

    return run


def _copy(commands: Mapping[str, Command]) -> Run:
    """The answer to keep. Buttons go along with one's own only: in a direct message nobody else's
    job can be reached."""

    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        if not job.state.ended:
            raise NotFound(_NOT_YET.en, _NOT_YET.zh)
        answer = await _answer(services, commands, invocation, job)
        own = await services.jobs.owns(invocation.origin, job)
        buttons = answer.buttons if own else ()
        return replace(answer, direct=True, ephemeral=True, buttons=buttons)

    return run


def _upscale(commands: Mapping[str, Command]) -> Run:
    """The picture, larger; where there are several, the question which."""

    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        _, artifacts = await services.jobs.for_member(invocation.origin, job.id)
        pictures = [one for one in answers.items_of(artifacts) if one.mime.startswith("image/")]
        if not pictures:
            raise NotFound(_NO_PICTURE.en, _NO_PICTURE.zh)
        command = commands.get(job.command)
        if len(pictures) == 1 or command is None or "u1" not in command.actions:
            return await relatives.enlarge(1)(services, invocation, job)
        locale = invocation.origin.locale
        row = relatives.enlarge_row(services, job, len(pictures), locale)
        return Reply(text=_WHICH.in_(locale), buttons=(row,), ephemeral=True)

    return run


def _report(commands: Mapping[str, Command]) -> Run:
    """Ask what is wrong; the answer goes to /report."""

    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        command = commands["report"]
        reason = next(one for one in command.option_list() if one.rest)
        form = Form(
            title=_REPORT.in_(invocation.origin.locale),
            command=command.name,
            fields=((reason, ""),),
            hidden={"job": job.id},
        )
        return Reply(form=form, ephemeral=True)

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
