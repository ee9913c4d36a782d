"""/favorites: the past jobs I starred, as cards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bot.commands import Offered
from bot.core import answers
from bot.core.chat import Command, Invocation, Options, Reply, Text
from bot.core.options import format_text
from bot.core.params import MAX_PAGE, PAGE

if TYPE_CHECKING:
    from bot.services import Services

_PAGE: Final = 5

_TITLE = Text(en="Your favourites", zh="你的收藏")
_EMPTY = Text(
    en="No favourites yet. Press ⭐ under an answer to keep it here.",
    zh="还没有收藏。点按结果下方的 ⭐ 即可收藏。",
)
_NO_MORE = Text(en="There are no more favourites.", zh="没有更多收藏了。")
_MORE = Text(en="More: {typed}", zh="更多：{typed}")


def command(offered: Offered) -> Command:
    """The declaration; the other commands tell how a job would be typed."""

    async def run(services: Services, invocation: Invocation, options: Options) -> Reply:
        locale, page = invocation.origin.locale, options["page"]
        seen = (page - 1) * _PAGE
        jobs = await services.history.page(
            invocation.origin, limit=seen + _PAGE + 1, favorites=True
        )
        shown = jobs[seen : seen + _PAGE]
        if not shown:
            return Reply(text=(_EMPTY if page == 1 else _NO_MORE).in_(locale), ephemeral=True)
        typed = format_text(offered.commands["favorites"], {"page": page + 1})
        more = len(jobs) > seen + _PAGE and page < MAX_PAGE
        return Reply(
            title=_TITLE.in_(locale),
            text=_MORE.in_(locale).format(typed=typed) if more else "",
            cards=answers.cards(
                services.signer, shown, offered.commands, now=services.clock(), locale=locale
            ),
            ephemeral=True,
        )

    return Command(
        name="favorites",
        summary=Text(en="Look at your favourites", zh="查看你的收藏"),
        run=run,
        options=(replace(PAGE, rest=True),),
        examples=("/favorites", "/favorites 2"),
    )
