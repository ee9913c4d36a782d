"""/block: let a member make nothing here any more, or see who is blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.chat import (
    Command,
    Field,
    Invocation,
    Option,
    Options,
    OptionType,
    Reply,
    Role,
    Text,
)
from bot.core.i18n import formats

if TYPE_CHECKING:
    from bot.services import Services

_BLOCKED = Text(en="{name} can make nothing here any more.", zh="{name} 不能再在这里生成内容。")
_BLOCKED_UNTIL = Text(
    en="{name} can make nothing here until {until}.", zh="{name} 在 {until}之前不能在这里生成内容。"
)
_STOPPED = Text(en="Jobs of theirs that were stopped: {n}.", zh="已停止其任务：{n} 个。")
_LIST = Text(en="Who is blocked here", zh="这里被屏蔽的人")
_NOBODY = Text(
    en="Nobody is blocked here. /block member:… blocks somebody.", zh="这里没有人被屏蔽。"
)
_FOR_EVER = Text(en="until /unblock", zh="直到 /unblock")
_UNTIL = Text(en="until {until}", zh="到 {until}")


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    if not options["member"]:
        return await _list(services, invocation)
    locale, members = invocation.origin.locale, services.house.members
    blocked = await members.block(
        invocation, options["member"], reason=options["reason"] or "", days=options["days"]
    )
    block = blocked.block
    said = _BLOCKED if block.until is None else _BLOCKED_UNTIL
    until = "" if block.until is None else formats.moment(block.until, locale)
    sentences = [said.in_(locale).format(name=blocked.name, until=until)]
    stopped = await services.jobs.cancel_all(block.account_id, block.community_id)
    if stopped:
        sentences.append(_STOPPED.in_(locale).format(n=stopped))
    return Reply(text="\n".join(sentences), ephemeral=True)


async def _list(services: Services, invocation: Invocation) -> Reply:
    locale = invocation.origin.locale
    blocked = await services.house.members.blocked(invocation.origin)
    if not blocked:
        return Reply(text=_NOBODY.in_(locale), ephemeral=True)
    fields = []
    for one in blocked:
        until = one.block.until
        lasts = _FOR_EVER if until is None else _UNTIL.format(until=formats.moment(until, locale))
        facts = [one.block.reason, lasts.in_(locale)]
        fields.append(Field(one.name, " · ".join(fact for fact in facts if fact)))
    return Reply(title=_LIST.in_(locale), fields=tuple(fields), ephemeral=True)


COMMAND = Command(
    name="block",
    summary=Text(en="Block a member, or see who is blocked", zh="屏蔽成员，或查看被屏蔽的人"),
    run=_run,
    role=Role.MODERATOR,
    options=(
        Option(
            name="member",
            type=OptionType.MEMBER,
            description=Text(
                en="Who; a list of the blocked if left out.", zh="屏蔽谁；不写则列出被屏蔽的人。"
            ),
        ),
        Option(
            name="reason",
            maximum=500,
            rest=True,
            description=Text(en="Why; moderators see it.", zh="原因，仅管理员可见。"),
        ),
        Option(
            name="days",
            type=OptionType.INTEGER,
            minimum=1,
            maximum=3650,
            description=Text(
                en="For how many days; until /unblock if left out.",
                zh="多少天；不写则直到 /unblock。",
            ),
        ),
    ),
    examples=("/block", "/block member:@anna days:7 flooding the channel"),
)
