"""Whether a member may make something here: blocks, allowed channels and roles. Pure; used by
`Admission` inside its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.core.chat import Origin, Role
from bot.core.house import Measures
from bot.core.i18n import formats
from bot.errors import NotAllowed
from bot.services.house_rules import HouseRules, Named

_MAX_LISTED = 5


def check(origin: Origin, rules: HouseRules, measures: Measures) -> None:
    """Raise NotAllowed with what is in the way."""
    _check_blocks(measures)
    if origin.personal:
        return
    _check_channel(origin, rules.channels)
    _check_roles(origin, rules.roles)


def _check_blocks(measures: Measures) -> None:
    if not measures.blocks:
        return
    # The one that lasts longest says when it is over.
    ends = [block.until for block in measures.blocks if block.until is not None]
    if len(ends) < len(measures.blocks):
        raise NotAllowed(
            "You may not make things here: a moderator has blocked you.",
            "你不能在这里生成内容：管理员已将你屏蔽。",
        )
    until = max(ends)
    raise NotAllowed(
        f"You may not make things here until {formats.moment(until, 'en')}: a moderator has blocked"
        " you.",
        f"在 {formats.moment(until, 'zh')}之前你不能在这里生成内容：管理员已将你屏蔽。",
    )


def _check_channel(origin: Origin, allowed: Sequence[Named]) -> None:
    here = {origin.channel_external_id, origin.parent_channel_external_id}
    if allowed and not here.intersection(channel.id for channel in allowed):
        listed = _listed(allowed, "#")
        raise NotAllowed(
            f"Things are made in other channels of this community: {listed}.",
            f"请到本社区的其他频道生成内容：{listed}。",
        )


def _check_roles(origin: Origin, allowed: Sequence[Named]) -> None:
    if not allowed or origin.role.at_least(Role.MODERATOR):
        return
    if not set(origin.platform_roles).intersection(role.id for role in allowed):
        listed = _listed(allowed, "@")
        raise NotAllowed(
            f"Making things here takes one of these roles: {listed}.",
            f"在这里生成内容需要以下身份之一：{listed}。",
        )


def _listed(places: Sequence[Named], sign: str) -> str:
    names = [f"{sign}{place}" for place in places[:_MAX_LISTED]]
    return ", ".join(names) + (", …" if len(places) > _MAX_LISTED else "")
