"""/unblock: let a member who was blocked make things again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.chat import Command, Invocation, Option, Options, OptionType, Reply, Role, Text

if TYPE_CHECKING:
    from bot.services import Services

_UNBLOCKED = Text(en="{name} can make things here again.", zh="{name} 又可以在这里生成内容了。")


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    name = await services.house.members.unblock(invocation, options["member"])
    return Reply(text=_UNBLOCKED.in_(invocation.origin.locale).format(name=name), ephemeral=True)


COMMAND = Command(
    name="unblock",
    summary=Text(en="Take a block back", zh="取消屏蔽成员"),
    run=_run,
    role=Role.MODERATOR,
    options=(
        Option(
            name="member",
            type=OptionType.MEMBER,
            required=True,
            description=Text(en="Who was blocked.", zh="被屏蔽的成员。"),
        ),
    ),
    examples=("/unblock member:@anna",),
)
