"""What the buttons under a report do. They carry the case's id where others carry a job's; who may
press them is checked by `services.cases`. Used by the router only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bot.core.chat import Invocation, Reply
from bot.services import case_answers
from bot.services.cases import CaseView

if TYPE_CHECKING:
    from bot.services import Services

CaseRun = Callable[[Any, Invocation, str], Awaitable[Reply]]


async def _delete(services: Services, invocation: Invocation, case_id: str) -> Reply:
    view = await services.house.cases.delete(invocation.origin, case_id)
    return _decided(services, invocation, view)


async def _block(services: Services, invocation: Invocation, case_id: str) -> Reply:
    view = await services.house.cases.block(invocation.origin, case_id)
    await services.jobs.cancel_all(view.case.subject_account_id, view.case.community_id)
    return _decided(services, invocation, view)


async def _dismiss(services: Services, invocation: Invocation, case_id: str) -> Reply:
    view = await services.house.cases.dismiss(invocation.origin, case_id)
    return _decided(services, invocation, view)


def _decided(services: Services, invocation: Invocation, view: CaseView) -> Reply:
    locale = invocation.origin.locale
    outside = invocation.origin.personal
    shown = case_answers.reply(services.signer, view, services.clock(), locale, outside=outside)
    return replace(shown, replaces_message=True)


CASE_ACTIONS: Final[Mapping[str, CaseRun]] = {
    case_answers.DELETE: _delete,
    case_answers.BLOCK: _block,
    case_answers.DISMISS: _dismiss,
}
