"""How a case is shown to moderators: in their channel, in /cases, and after each decision."""

from __future__ import annotations

from datetime import datetime

from bot.core import answers
from bot.core.chat import Button, ButtonStyle, Card, Field, Reply, Text
from bot.core.house import CaseState
from bot.core.i18n import formats, replies
from bot.core.signing import Signer
from bot.services.cases import CaseView

DELETE, BLOCK, DISMISS = "mdelete", "mblock", "mdismiss"
"""Actions on a case: their buttons carry its id where others carry a job's."""

_TITLE = Text(en="Report on {what}", zh="举报：{what}")
_DELETED_ANSWER = Text(en="a deleted answer", zh="已删除的内容")
_REASON = Text(en="Reason", zh="原因")
_MADE_BY = Text(en="Made by", zh="作者")
_REPORTED_BY = Text(en="Reported by", zh="举报人")
_REPORTED = Text(en="Reported", zh="举报时间")
_COMMUNITY = Text(en="Community", zh="社区")
_SO_FAR = Text(en="Decided", zh="处理结果")
_SOMEBODY = Text(en="somebody who is gone", zh="已离开的人")
_WAS_DELETED = Text(en="the answer was deleted", zh="内容已删除")
_IS_BLOCKED = Text(en="its maker is blocked", zh="作者已被屏蔽")
_DISMISSED = Text(en="nothing was wrong", zh="没有问题")

_BLOCK = Text(en="🚫 Block", zh="🚫 屏蔽作者")
_BLOCK_SAYS = Text(en="Let its maker make nothing here any more", zh="不再允许作者在这里生成内容")
_DELETE_SAYS = Text(en="Delete the reported answer for good", zh="永久删除被举报的内容")
_DISMISS = Text(en="✅ Nothing wrong", zh="✅ 没有问题")
_DISMISS_SAYS = Text(en="Close this report and change nothing", zh="关闭举报，不做更改")


def reply(
    signer: Signer, view: CaseView, now: datetime, locale: str, *, outside: bool = False
) -> Reply:
    """A case as a message of its own."""
    return Reply(
        title=title(view, locale),
        fields=fields(view, now, locale),
        buttons=buttons(signer, view, locale, outside=outside),
    )


def card(
    signer: Signer, view: CaseView, now: datetime, locale: str, *, outside: bool = False
) -> Card:
    """A case in a list."""
    facts = [f"{field.label}: {field.value}" for field in fields(view, now, locale)]
    return Card(
        job_id=view.case.id,  # what the card goes by in a list: unique, where jobs may repeat
        title=title(view, locale),
        text=" · ".join(facts),
        media=(),
        buttons=buttons(signer, view, locale, outside=outside),
    )


def title(view: CaseView, locale: str) -> str:
    """What was reported."""
    what = _DELETED_ANSWER.in_(locale) if view.job is None else answers.title_of(view.job)
    return _TITLE.in_(locale).format(what=what)


def fields(view: CaseView, now: datetime, locale: str) -> tuple[Field, ...]:
    """What one needs to decide, and what was decided."""
    people = {_MADE_BY: view.subject, _REPORTED_BY: view.reporter}
    rows = [(_REASON, view.case.reason)] if view.case.reason else []
    for label, who in people.items():
        rows.append((label, who.display_name if who else _SOMEBODY.in_(locale)))
    rows.append((_REPORTED, formats.ago(view.case.opened_at, now, locale)))
    if view.community.name:
        rows.append((_COMMUNITY, view.community.name))
    if decided := _decided(view):
        comma = "，" if locale.lower().startswith("zh") else ", "
        rows.append((_SO_FAR, comma.join(text.in_(locale) for text in decided)))
    return tuple(Field(label.in_(locale), value) for label, value in rows)


def buttons(
    signer: Signer, view: CaseView, locale: str, *, outside: bool = False
) -> tuple[answers.Row, ...]:
    """What can still be done; `outside` of the community, its answers cannot be looked at."""
    case_id, row = view.case.id, []
    if view.job is not None:
        if not outside:
            row.append(answers.show_button(signer, view.job, locale))
        row.append(
            _button(signer, case_id, DELETE, replies.DELETE, _DELETE_SAYS, locale, danger=True)
        )
    if view.block is None:
        row.append(_button(signer, case_id, BLOCK, _BLOCK, _BLOCK_SAYS, locale, danger=True))
    if view.case.state is CaseState.OPEN:
        row.append(_button(signer, case_id, DISMISS, _DISMISS, _DISMISS_SAYS, locale))
    return (tuple(row),) if row else ()


def _button(
    signer: Signer,
    case_id: str,
    action: str,
    label: Text,
    says: Text,
    locale: str,
    *,
    danger: bool = False,
) -> Button:
    style = ButtonStyle.DANGER if danger else ButtonStyle.SECONDARY
    return answers.button(signer, case_id, action, label, says, locale, style=style)


def _decided(view: CaseView) -> list[Text]:
    decided = []
    if view.job is None:
        decided.append(_WAS_DELETED)
    if view.block is not None:
        decided.append(_IS_BLOCKED)
    if view.case.state is CaseState.DISMISSED:
        decided.append(_DISMISSED)
    return decided
