"""/history: my past jobs as cards, newest first, searched by their prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot.commands import Offered
from bot.core import answers
from bot.core.chat import (
    Action,
    Button,
    Command,
    Invocation,
    Option,
    Options,
    Reply,
    Text,
)
from bot.core.domain import Artifact, Job
from bot.core.i18n import replies
from bot.core.options import format_text
from bot.core.params import MAX_PAGE, PAGE

if TYPE_CHECKING:
    from bot.services import Services

_PAGE: Final = 5  # cards; what one message of any platform can hold

_TITLE = Text(en="Your history", zh="你的历史")
_EMPTY = Text(
    en="Nothing here yet. Try /imagine red heart.", zh="这里还什么都没有。试试 /imagine red heart。"
)
_NOTHING_FOUND = Text(en="Nothing matches “{search}”.", zh="没有与“{search}”匹配的内容。")
_NO_MORE = Text(en="There is nothing older.", zh="没有更早的内容了。")
_MORE = Text(en="More: {typed}", zh="更多：{typed}")


def command(offered: Offered) -> Command:
    """The declaration; the other commands tell how a job would be typed."""

    async def run(services: Services, invocation: Invocation, options: Options) -> Reply:
        locale = invocation.origin.locale
        search, page = options["search"] or "", options["page"]
        # Pages are few and small: reading from the top keeps `page:` simple and always right.
        seen = (page - 1) * _PAGE
        jobs = await services.history.page(invocation.origin, limit=seen + _PAGE + 1, search=search)
        more = len(jobs) > seen + _PAGE
        following = format_text(
            offered.commands["history"], {"search": search or None, "page": page + 1}
        )
        hint = _MORE.in_(locale).format(typed=following) if more and page < MAX_PAGE else ""
        shown = jobs[seen : seen + _PAGE]
        if not shown:
            empty = _NOTHING_FOUND if search else _EMPTY if page == 1 else _NO_MORE
            return Reply(text=empty.in_(locale).format(search=search), ephemeral=True)
        return _page(services, shown, locale, hint, older=more and not search)

    async def older(services: Services, invocation: Invocation, job: Job) -> Reply:
        locale = invocation.origin.locale
        jobs = await services.history.page(
            invocation.origin, limit=_PAGE + 1, before=(job.created_at, job.id)
        )
        if not jobs:
            return Reply(text=_NO_MORE.in_(locale), ephemeral=True)
        return _page(services, jobs[:_PAGE], locale, "", older=len(jobs) > _PAGE)

    def _page(
        services: Services,
        jobs: list[tuple[Job, tuple[Artifact, ...]]],
        locale: str,
        hint: str,
        *,
        older: bool,
    ) -> Reply:
        return Reply(
            title=_TITLE.in_(locale),
            text=hint,
            cards=answers.cards(
                services.signer, jobs, offered.commands, now=services.clock(), locale=locale
            ),
            buttons=((_older_button(services, jobs[-1][0], locale),),) if older else (),
            ephemeral=True,
        )

    return Command(
        name="history",
        summary=Text(en="Look at what you have made", zh="查看你做过的内容"),
        run=run,
        options=(
            Option(
                name="search",
                description=Text(en="Words that occur in the prompt.", zh="提示词中出现的文字。"),
                maximum=200,
                rest=True,
            ),
            PAGE,
        ),
        examples=("/history", "/history heart"),
        # The button hangs on the last job of a page, which is where the next one begins.
        actions={"older": Action(older)},
    )


def _older_button(services: Services, last: Job, locale: str) -> Button:
    return answers.button(
        services.signer, last.id, "older", replies.OLDER, replies.OLDER_SAYS, locale
    )
