"""Everything a community decides and who sees to it, built in one place for `Services`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bot.core.ports import Clock, Platform, UnitOfWorkFactory
from bot.services.cases import CaseService
from bot.services.communities import CommunityService
from bot.services.erasing import Eraser
from bot.services.members import MemberService
from bot.services.rule_book import RuleBook
from bot.services.withdrawal import Withdrawal
from generators.artifacts import ArtifactStore

_NO_PLATFORMS: Mapping[str, Platform] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class House:
    """The services around the rules of the house."""

    rules: RuleBook
    members: MemberService
    cases: CaseService
    communities: CommunityService
    eraser: Eraser
    withdrawal: Withdrawal

    @classmethod
    def over(
        cls,
        uow: UnitOfWorkFactory,
        clock: Clock,
        artifacts: ArtifactStore,
        platforms: Mapping[str, Platform] = _NO_PLATFORMS,
    ) -> House:
        """Over a store; `platforms` by name may be filled later."""
        eraser, members = Eraser(uow, artifacts), MemberService(uow, clock)
        withdrawal = Withdrawal(uow, platforms)
        return cls(
            rules=RuleBook(uow, clock),
            members=members,
            cases=CaseService(uow, clock, eraser, members, withdrawal),
            communities=CommunityService(uow, clock),
            eraser=eraser,
            withdrawal=withdrawal,
        )
