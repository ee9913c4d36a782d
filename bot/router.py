"""From an invocation to a reply: finds the command or the button's action, checks, runs, answers.

Handed to platforms as `core.ports.Handle`. What a member did wrong comes back as a reply for them
alone, in their language; what we did wrong is logged with the invocation and shown as one sentence
with a reference to that line. Nothing is ever raised but cancellation.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from bot.actions import shared_actions
from bot.case_actions import CASE_ACTIONS
from bot.core.chat import Action, Command, Invocation, Reply, Role, Text
from bot.core.domain import Job
from bot.core.i18n import replies
from bot.core.options import files, parse_text, validate
from bot.core.suggest import did_you_mean, shown
from bot.errors import NotAllowed, NotFound, UnknownCommand, UserError

if TYPE_CHECKING:
    from bot.services import Services

log = structlog.get_logger(__name__)


class Router:
    """Routes invocations of all platforms. Keeps no state: any number may be handled at once."""

    def __init__(self, services: Services, commands: Mapping[str, Command]) -> None:
        self._services = services
        self._commands = commands
        self._shared = shared_actions(commands)
        self._guests = _guest_actions(commands)

    async def handle(self, invocation: Invocation) -> Reply:
        """Answer one invocation; when this returns, what the reply promises is committed."""
        with structlog.contextvars.bound_contextvars(
            invocation_id=invocation.id,
            platform=invocation.origin.platform,
            community=invocation.origin.community_external_id,
            **_what(invocation),
        ):
            try:
                invocation = await self._services.house.rules.spoken(invocation)
                if invocation.action is not None:
                    return await self._press(invocation, invocation.action)
                return await self._run(invocation)
            except UserError as error:
                log.info("refused", error=type(error).__name__, sentence=str(error))
                text = error.text(invocation.origin.locale)
            except Exception:  # of any command: who typed it gets a sentence, we the traceback
                reference = secrets.token_hex(4)
                log.exception("an invocation failed", reference=reference)
                text = replies.INTERNAL.in_(invocation.origin.locale).format(reference=reference)
            return Reply(text=text, error=True, ephemeral=True)

    async def _run(self, invocation: Invocation) -> Reply:
        command = self._command(invocation.command)
        _check_role(command, invocation.origin.role)
        raw = invocation.options
        if invocation.text is not None:
            raw = {**raw, **parse_text(command, invocation.text)}
        raw = {**raw, **files(command, invocation.uploads)}
        return await command.run(self._services, invocation, validate(command, raw))

    async def _press(self, invocation: Invocation, data: str) -> Reply:
        name, job_id = self._services.signer.read(data)
        if name in CASE_ACTIONS:
            return await CASE_ACTIONS[name](self._services, invocation, job_id)
        job, _ = await self._services.jobs.for_member(invocation.origin, job_id)
        action = self._action(name, job)
        if action.owner_only:
            await self._check_owner(invocation, job)
        return await action.run(self._services, invocation, job)

    def _command(self, typed: str) -> Command:
        name = typed.strip().removeprefix("/").casefold()
        command = self._commands.get(name)
        if command is None:
            hint = did_you_mean(name, self._commands, prefix="/")
            text = replies.UNKNOWN_COMMAND
            raise UnknownCommand(
                text.en.format(name=shown(name), hint=hint.en),
                text.zh.format(name=shown(name), hint=hint.zh),
            )
        return command

    def _action(self, name: str, job: Job) -> Action:
        command = self._commands.get(job.command)
        own = command.actions.get(name) if command is not None else None
        action = own or self._shared.get(name) or self._guests.get(name)
        if action is None:
            raise NotFound(replies.OLD_BUTTON.en, replies.OLD_BUTTON.zh)
        return action

    async def _check_owner(self, invocation: Invocation, job: Job) -> None:
        if invocation.origin.role.at_least(Role.MODERATOR):
            return
        if not await self._services.jobs.owns(invocation.origin, job):
            raise NotAllowed(replies.NOT_YOURS.en, replies.NOT_YOURS.zh)


def _what(invocation: Invocation) -> Mapping[str, str]:
    """What is asked for, for the log: the command, or the button without its signature."""
    if invocation.action is None:
        return {"command": shown(invocation.command)}
    return {"button": shown(invocation.action.rpartition(":")[0])}


def _check_role(command: Command, role: Role) -> None:
    if role.at_least(command.role):
        return
    text: Text = (
        replies.NEEDS_OWNER if command.role is Role.OWNER else replies.NEEDS_MODERATOR
    ).format(name=command.name)
    raise NotAllowed(text.en, text.zh)


def _guest_actions(commands: Mapping[str, Command]) -> Mapping[str, Action]:
    """Actions of commands that have no jobs of their own: a page of the history hangs its buttons
    on the jobs it shows, whatever command made them."""
    actions: dict[str, Action] = {}
    for command in commands.values():
        if command.present is not None:
            continue
        taken = actions.keys() & command.actions.keys()
        if taken:
            raise ValueError(f"/{command.name} takes the name of another action: {sorted(taken)}")
        actions.update(command.actions)
    return actions
