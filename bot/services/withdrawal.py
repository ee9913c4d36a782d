"""Taking an answer back from the chat it was shown in, before it is erased: the erasing forgets
where it is.

Who may is the caller's to check: `history` for members, `cases` for moderators.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from bot.core.domain import Delivery
from bot.core.ports import Platform, UnitOfWorkFactory, Withdraws
from bot.errors import DeliveryRetry, NotAllowed

log = structlog.get_logger(__name__)


class Withdrawal:
    """Removes answers from where they were delivered, on platforms that can (`Withdraws`)."""

    def __init__(self, uow: UnitOfWorkFactory, platforms: Mapping[str, Platform]) -> None:
        """`platforms` by name may be filled later."""
        self._uow, self._platforms = uow, platforms

    async def take_back(self, job_id: str, *, asked_on: str | None = None) -> None:
        """Remove the answer to a job; that there is none any more is no error. Repeatable. Raises
        NotAllowed where it cannot be removed yet: erased now, it would stay there for good. Who
        asks on another platform (`asked_on`) is not kept from erasing by one out of reach, which
        may be so for ever."""
        async with self._uow(write=False) as uow:
            delivery: Delivery | None = await uow.deliveries.get(job_id)
        if delivery is None or delivery.message_id is None:
            return
        platform: object = self._platforms.get(delivery.platform)
        if not isinstance(platform, Withdraws):
            return
        try:
            await platform.withdraw(delivery)
        except DeliveryRetry as error:
            if asked_on not in (None, delivery.platform):
                log.warning("an erased answer stays in its chat", job_id=job_id, error=str(error))
                return
            raise NotAllowed(
                "The message cannot be removed right now, so nothing was deleted. Please press"
                " again in a minute.",
                "现在无法移除该消息，因此什么都没有删除。请一分钟后再按一次。",
            ) from error
