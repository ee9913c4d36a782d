"""Reads the rules of the house and changes them, each change audited in its transaction.

What must hold exactly is read inside admission's transaction; what only colours an answer (the
language, a default model) is remembered for a moment, so that no button costs a question to SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from weakref import WeakValueDictionary

from bot.core.chat import Invocation, Origin, Role
from bot.core.domain import Member
from bot.core.i18n import replies
from bot.core.ports import Clock, UnitOfWork, UnitOfWorkFactory
from bot.errors import NotAllowed
from bot.services import limits
from bot.services.house_rules import KEYS, STUDIO, HouseRules, read
from bot.services.transactions import repeated

SETTINGS: Final = (*KEYS, limits.SETTING)
_LIVE = timedelta(seconds=30)  # what another gateway changed holds here after at most this
_NOWHERE = "-"  # no community has this id
_MAX_REMEMBERED = 10_000

_Place = tuple[str, str]  # a platform and a community's id there
Change = Callable[[Any], Any]
"""From a stored value (None: nothing) to the one to be stored. Raises UserError."""


class RuleBook:
    """The rules of every community."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow, self._clock = uow, clock
        self._known: dict[_Place, tuple[datetime, HouseRules]] = {}
        self._reading: WeakValueDictionary[_Place, asyncio.Lock] = WeakValueDictionary()

    async def of(self, origin: Origin) -> HouseRules:
        """The rules where the origin is, at most a moment old."""
        at = (origin.platform, origin.community_external_id)
        if (known := self._remembered(at)) is not None:
            return known
        lock = self._reading.setdefault(at, asyncio.Lock())
        async with lock:  # of many who ask at once, one reads
            if (known := self._remembered(at)) is not None:
                return known
            now = self._clock()
            rules, _ = await self.view(origin)
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[at] = (now + _LIVE, rules)
            return rules

    def _remembered(self, at: _Place) -> HouseRules | None:
        known = self._known.get(at)
        return known[1] if known is not None and known[0] > self._clock() else None

    async def spoken(self, invocation: Invocation) -> Invocation:
        """The invocation in the language of its community, where that has decided for one."""
        language = (await self.of(invocation.origin)).language
        if not language or invocation.origin.locale.lower().startswith(language):
            return invocation
        return replace(invocation, origin=replace(invocation.origin, locale=language))

    async def view(self, origin: Origin) -> tuple[HouseRules, Mapping[str, Any]]:
        """The rules as they are now, and what of them was decided at the place itself, raw."""
        async with self._uow(write=False) as uow:
            member = await uow.accounts.find(origin)
            return await _read(uow, origin, member)

    async def change(
        self, origin: Origin, changes: Mapping[str, Change]
    ) -> tuple[HouseRules, Mapping[str, Any]]:
        """Change settings by key, all of them or none, and return what holds then: those of the
        community, or the whole studio's where its host speaks from a place of their own. Raises
        NotAllowed for who may not, and whatever a change raises."""
        check_may_rule(origin)

        async def once() -> tuple[HouseRules, Mapping[str, Any]]:
            async with self._uow() as uow:
                member = await uow.accounts.resolve(origin, now=self._clock())
                place = ruled_place(origin, member)
                if place != STUDIO:
                    await uow.accounts.lock_community(place)
                for key, change in changes.items():
                    before = await uow.settings.get(place, key)
                    after = change(before)
                    if after != before:
                        await uow.settings.put(place, key, after, by=member.account_id)
                view = await _read(uow, origin, member)
                await uow.commit()
                return view

        view = await repeated(once)
        if origin.personal:
            self._known.clear()
        else:
            self._known.pop((origin.platform, origin.community_external_id), None)
        return view


def check_may_rule(origin: Origin) -> None:
    """Raise NotAllowed unless the origin decides over the place it is in: moderators over their
    community, the host over the whole studio."""
    needed = Role.OWNER if origin.personal else Role.MODERATOR
    if not origin.role.at_least(needed):
        text = replies.RULES_NEED_COMMUNITY if origin.personal else replies.RULES_NEED_MODERATOR
        raise NotAllowed(text.en, text.zh)


def ruled_place(origin: Origin, member: Member) -> str:
    """The community that decisions made here are about; the whole studio for its host. One that the
    studio has not met is not the studio, though the ids of both are empty."""
    return STUDIO if origin.personal else member.community_id or _NOWHERE


async def _read(
    uow: UnitOfWork, origin: Origin, member: Member
) -> tuple[HouseRules, Mapping[str, Any]]:
    place = ruled_place(origin, member)
    found = await uow.settings.get_many([STUDIO, member.community_id], SETTINGS)
    decided = {key: value for (at, key), value in found.items() if at == place}
    return read(found, member.community_id), decided
