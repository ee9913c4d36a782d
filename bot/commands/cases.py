"""/cases: the reports that wait for a decision; of all communities for the host of the studio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.chat import Command, Invocation, Options, Reply, Role, Text
from bot.services import case_answers

if TYPE_CHECKING:
    from bot.services import Services

_TITLE = Text(en="Open reports", zh="未处理的举报")
_NONE = Text(en="There are no open reports.", zh="没有未处理的举报。")


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    locale, outside = invocation.origin.locale, invocation.origin.personal
    views = await services.house.cases.open(invocation.origin)
    if not views:
        return Reply(text=_NONE.in_(locale), ephemeral=True)
    return Reply(
        title=_TITLE.in_(locale),
        cards=tuple(
            case_answers.card(services.signer, view, services.clock(), locale, outside=outside)
            for view in views
        ),
        ephemeral=True,
    )


COMMAND = Command(
    name="cases",
    summary=Text(en="See the reports that wait for a decision", zh="查看等待处理的举报"),
    run=_run,
    role=Role.MODERATOR,
    examples=("/cases",),
)
