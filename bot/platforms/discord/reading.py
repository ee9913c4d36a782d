"""What an interaction says, as an `Invocation`: pure, from the payload and the cached guild alone.

Files are only named here; `attachments` fetches them. Used by `interactions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import discord
from discord import InteractionType

from bot.core.chat import Command, Invocation, Menu, OptionType, Origin, Role, Text
from bot.core.signing import Signer
from bot.errors import NotAllowed, NotFound
from bot.platforms.discord import modals
from bot.platforms.discord.address import Address
from bot.platforms.discord.declare import FROM_SUFFIX

if TYPE_CHECKING:
    from bot.services import Services

_ATTACHMENT: Final = 11  # types of options, as Discord numbers them
_MENTIONABLE: Final = frozenset({6, 7, 8, 9})  # users, channels, roles, users or roles
_CHAT_INPUT: Final = 1
# What a button of ours does, for the one case in which that must be known before it was done: a
# press that is acknowledged late.
_EDITS: Final = frozenset({"fav", "unfav", "delete", "mdelete", "mblock", "mdismiss"})
_TELLS: Final = frozenset({"cancel", "show", "older", "details", "copy", "report"})

_NO_JOB = Text(
    en="This message is not an answer of the studio, so there is nothing to do with it.",
    zh="这条消息不是工作室的作品，因此无法操作。",
)
_OLD_MENU = Text(
    en="This entry of the menu is no longer offered. Discord will stop showing it soon.",
    zh="这个菜单项已不再提供，Discord 很快会将其移除。",
)


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that a member attached, as Discord describes it; nothing of it was read yet."""

    url: str
    size_bytes: int
    mime: str
    filename: str


@dataclass(frozen=True, slots=True)
class Asked:
    """An interaction as read. `files` still have to be fetched, by the name of their option.

    The rest is for an acknowledgement that cannot wait for the reply: whether the answer will
    probably be for the member `alone`, and whether it `edits` the message the button hangs on.
    """

    invocation: Invocation
    files: Mapping[str, Attached] = field(default_factory=dict)
    alone: bool = True
    edits: bool = False


class Reader:
    """Reads interactions. Knows the commands only to tell which answers are for all to see."""

    def __init__(
        self, services: Services, commands: Iterable[Command], menus: Iterable[Menu]
    ) -> None:
        self._signer: Signer = services.signer
        self._commands = {command.name: command for command in commands}
        self._menus = {menu.title.en: menu for menu in menus}

    def read(self, interaction: discord.Interaction) -> Asked:
        """A command, a menu entry, a button or a submitted form. Raises UserError for what cannot
        be answered otherwise."""
        if interaction.type is InteractionType.component:
            return self._press(interaction)
        if interaction.type is InteractionType.modal_submit:
            return self._submit(interaction)
        data = payload(interaction)
        if data.get("type", _CHAT_INPUT) == _CHAT_INPUT:
            return self._command(interaction, data)
        return self._menu(interaction, data)

    def _command(self, interaction: discord.Interaction, data: Mapping[str, Any]) -> Asked:
        given = data.get("options") or ()
        resolved = data.get("resolved") or {}
        options: dict[str, Any] = {}
        files: dict[str, Attached] = {}
        for option in given:
            name, value = str(option["name"]), option.get("value")
            if option["type"] == _ATTACHMENT:
                files[name] = attached(resolved["attachments"][value])
            else:
                options[self._meant(str(data["name"]), name)] = value
        private = options.get("private") is True
        return self._asked(
            interaction,
            command=str(data["name"]),
            options=options,
            files=files,
            names=_names(given, resolved),
            private=private,
            alone=private or not self._public(str(data["name"])),
        )

    def _menu(self, interaction: discord.Interaction, data: Mapping[str, Any]) -> Asked:
        menu = self._menus.get(str(data["name"]))
        if menu is None:
            raise NotFound(_OLD_MENU.en, _OLD_MENU.zh)
        messages = (data.get("resolved") or {}).get("messages") or {}
        job_id = self._job_of(messages.get(data.get("target_id")) or {})
        action = self._signer.button(menu.action, job_id)
        return self._asked(interaction, action=action, alone=menu.action in _TELLS)

    def _press(self, interaction: discord.Interaction) -> Asked:
        data = payload(interaction)
        # A menu of choices says with the value what a button says with its id.
        action = str(next(iter(data.get("values") or ()), data["custom_id"]))
        name = action.partition(":")[0]
        message = interaction.message
        private = message is not None and message.flags.ephemeral
        return self._asked(
            interaction,
            action=action,
            private=private,
            alone=private or name in _TELLS,
            edits=name in _EDITS,
        )

    def _submit(self, interaction: discord.Interaction) -> Asked:
        sent = modals.submission(payload(interaction), self._signer)
        message = interaction.message
        private = sent.options.get("private") is True or (
            message is not None and message.flags.ephemeral
        )
        return self._asked(
            interaction,
            command=sent.command,
            options=dict(sent.options),
            files={name: attached(file) for name, file in sent.attachments.items()},
            private=private,
            alone=private or not self._public(sent.command),
        )

    def _asked(
        self,
        interaction: discord.Interaction,
        *,
        private: bool = False,
        alone: bool = True,
        edits: bool = False,
        files: Mapping[str, Attached] | None = None,
        **what: Any,
    ) -> Asked:
        invocation = Invocation(
            id=str(interaction.id),
            origin=origin(interaction),
            address=address(interaction, ephemeral=private).to_json(),
            private=private,
            **what,
        )
        return Asked(invocation, files=files or {}, alone=alone, edits=edits)

    def _public(self, name: str) -> bool:
        """Whether others usually get to see what the command answers: what was made."""
        command = self._commands.get(name)
        return command is not None and command.category != "general"

    def _meant(self, name: str, option: str) -> str:
        """The core's name of an option; Discord has a second one for the words of an image."""
        image = option.removesuffix(FROM_SUFFIX)
        command = self._commands.get(name)
        if image == option or command is None:
            return option
        kinds = {one.name: one.type for one in command.option_list()}
        return image if kinds.get(image) is OptionType.IMAGE else option

    def _job_of(self, message: Mapping[str, Any]) -> str:
        """The job that a message of ours is the answer to, by the first button we signed."""
        for custom_id in _custom_ids(message.get("components") or ()):
            try:
                return self._signer.read(custom_id)[1]
            except NotAllowed:
                continue
        raise NotFound(_NO_JOB.en, _NO_JOB.zh)


def payload(interaction: discord.Interaction) -> Mapping[str, Any]:
    """The interaction's own data, as Discord sent it."""
    data: Any = interaction.data
    return data if isinstance(data, dict) else {}


def locale(interaction: discord.Interaction) -> str:
    """The language to answer in: `zh` for every kind of Chinese, else `en`."""
    return "zh" if str(interaction.locale.value).lower().startswith("zh") else "en"


def origin(interaction: discord.Interaction) -> Origin:
    """Who asks, and where. A guild is a community where the bot was added to it; for somebody who
    brought it along themselves, and in direct messages, it is the person's own."""
    user, guild_id = interaction.user, _community(interaction)
    personal = guild_id is None
    channel = interaction.channel
    parent = channel.parent_id if isinstance(channel, discord.Thread) else None
    guild = interaction.guild
    return Origin(
        platform="discord",
        community_external_id=str(user.id if guild_id is None else guild_id),
        personal=personal,
        identity_external_id=str(user.id),
        display_name=user.display_name,
        role=Role.MEMBER if personal else _role(interaction.permissions),
        platform_roles=() if personal else _roles(user),
        locale=locale(interaction),
        community_name="" if personal or guild is None else guild.name or "",
        channel_external_id=str(channel.id) if channel is not None else "",
        parent_channel_external_id=str(parent) if parent else "",
        age_restricted=_age_restricted(channel),
        watched=personal and not interaction.context.dm_channel,
    )


def address(interaction: discord.Interaction, *, ephemeral: bool = False) -> Address:
    """Where the answer goes, now and when the token is dead."""
    return Address(
        application_id=str(interaction.application_id),
        token=interaction.token,
        issued_at=interaction.created_at.isoformat(),
        channel_id=str(interaction.channel_id or ""),
        guild_id=str(interaction.guild_id) if interaction.guild_id else None,
        identity=str(interaction.user.id),
        limit_bytes=interaction.filesize_limit,
        ephemeral=ephemeral,
        locale=locale(interaction),
    )


def attached(file: Mapping[str, Any]) -> Attached:
    """An attachment object of the API, as far as we use it."""
    return Attached(
        url=str(file["url"]),
        size_bytes=int(file["size"]),
        mime=str(file.get("content_type") or ""),
        filename=str(file.get("filename") or ""),
    )


def _community(interaction: discord.Interaction) -> int | None:
    """The guild to which the bot was added, None for a person's own place."""
    by_member = interaction.is_user_integration() and not interaction.is_guild_integration()
    return None if by_member else interaction.guild_id


def _role(permissions: discord.Permissions) -> Role:
    """Whoever may manage the guild moderates here. The owner of the studio is never a chat's."""
    manages = permissions.manage_guild or permissions.administrator
    return Role.MODERATOR if manages else Role.MEMBER


def _roles(user: discord.User | discord.Member) -> tuple[str, ...]:
    # `Member.roles` leaves out what the cache does not hold, and over HTTP there is no cache.
    return tuple(str(role) for role in getattr(user, "_roles", ()))


def _age_restricted(channel: object) -> bool:
    """Whether Discord keeps minors out. A thread is as its channel is."""
    is_nsfw = getattr(channel, "is_nsfw", None)
    return bool(is_nsfw()) if is_nsfw is not None else False


def _names(given: Iterable[Mapping[str, Any]], resolved: Mapping[str, Any]) -> dict[str, str]:
    """What the members, channels and roles among the options are called, by their id."""
    names: dict[str, str] = {}
    for option in given:
        if option["type"] not in _MENTIONABLE:
            continue
        found = str(option.get("value"))
        member = (resolved.get("members") or {}).get(found) or {}
        user = (resolved.get("users") or {}).get(found) or {}
        other = {**(resolved.get("roles") or {}), **(resolved.get("channels") or {})}
        names[found] = str(
            member.get("nick")
            or user.get("global_name")
            or user.get("username")
            or (other.get(found) or {}).get("name")
            or found
        )
    return names


def _custom_ids(components: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Every custom_id of a message, containers and accessories included, top to bottom."""
    for component in components:
        if "custom_id" in component:
            yield str(component["custom_id"])
        for option in component.get("options") or ():
            yield str(option.get("value"))
        yield from _custom_ids(component.get("components") or ())
        if component.get("accessory"):
            yield from _custom_ids((component["accessory"],))
