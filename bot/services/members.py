"""What moderators decide about one member: blocks and grants of GPU time. Audited.

A member is named by the platform's id of them; the host of the studio, who speaks from a place of
their own, names anybody as `platform:id` and decides for the whole studio.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from bot.core.chat import Invocation, Origin, Role
from bot.core.domain import Member
from bot.core.house import AuditEntry, Block, Grant, Identity
from bot.core.i18n import replies
from bot.core.ports import Clock, UnitOfWork, UnitOfWorkFactory
from bot.errors import NotAllowed, NotFound
from bot.services.admission import origin_key
from bot.services.rule_book import check_may_rule, ruled_place
from bot.services.transactions import repeated

MAX_GRANT_MS: Final = 24 * 3600 * 1000
MAX_LISTED: Final = 25


@dataclass(frozen=True, slots=True)
class Blocked:
    """A block and how its member is called here."""

    block: Block
    name: str


class MemberService:
    """Blocks and grants."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow, self._clock = uow, clock

    async def block(
        self, invocation: Invocation, named: str, *, reason: str = "", days: int | None = None
    ) -> Blocked:
        """Let a member make nothing here, for some days or until `unblock`. Raises NotAllowed for
        who may not and for members one cannot block, NotFound for nobody."""
        check_may_rule(invocation.origin)

        async def once() -> Blocked:
            async with self._uow() as uow:
                moderator = await uow.accounts.resolve(invocation.origin, now=self._clock())
                target = await self._target(uow, invocation, named)
                place = ruled_place(invocation.origin, moderator)
                block = await self.put_block(
                    uow, moderator, target.account_id, place, reason=reason, days=days
                )
                await uow.commit()
                return Blocked(block, target.display_name or named)

        return await repeated(once)

    async def put_block(
        self,
        uow: UnitOfWork,
        moderator: Member,
        account_id: str,
        community_id: str,
        *,
        reason: str,
        days: int | None = None,
    ) -> Block:
        """Block inside a transaction, whose moderator was checked. Raises NotAllowed for oneself
        and for other moderators."""
        if account_id == moderator.account_id:
            raise NotAllowed("You cannot block yourself.", "你不能屏蔽自己。")
        known = await uow.accounts.member(account_id, community_id)
        if known is not None and Role(known.role).at_least(Role.MODERATOR):
            raise NotAllowed("Moderators cannot be blocked.", "不能屏蔽管理员。")
        now = self._clock()
        until = None if days is None else now + timedelta(days=days)
        block = Block(account_id, community_id, reason, now, until)
        await uow.measures.block(block)
        details = {"reason": reason, "until": until and until.isoformat()}
        await self._audit(uow, moderator, community_id, "block", account_id, details)
        return block

    async def unblock(self, invocation: Invocation, named: str) -> str:
        """Take a block back; returns the member's name. Raises NotFound where there is none."""
        check_may_rule(invocation.origin)

        async def once() -> str:
            async with self._uow() as uow:
                moderator = await uow.accounts.resolve(invocation.origin, now=self._clock())
                target = await self._target(uow, invocation, named)
                place = ruled_place(invocation.origin, moderator)
                if not await uow.measures.unblock(target.account_id, place):
                    raise NotFound("They are not blocked here.", "此人在这里没有被屏蔽。")
                await self._audit(uow, moderator, place, "unblock", target.account_id, {})
                await uow.commit()
                return target.display_name or named

        return await repeated(once)

    async def blocked(self, origin: Origin) -> list[Blocked]:
        """Who is blocked here, the latest first."""
        check_may_rule(origin)
        async with self._uow(write=False) as uow:
            place = ruled_place(origin, await uow.accounts.find(origin))
            blocks = await uow.measures.blocked(place, now=self._clock(), limit=MAX_LISTED)
            known = await uow.accounts.identities(
                origin.platform, [block.account_id for block in blocks]
            )
        names = {
            account_id: one.display_name or one.external_id for account_id, one in known.items()
        }
        return [Blocked(block, names.get(block.account_id, "?")) for block in blocks]

    async def grant(
        self, invocation: Invocation, named: str, gpu_ms: int, *, days: int
    ) -> tuple[Grant, str]:
        """GPU time on top of a member's limit in this community, for some days; the same invocation
        again grants no more. Returns it with the member's name. Raises NotAllowed, NotFound."""
        check_may_rule(invocation.origin)
        if invocation.origin.personal:
            text = replies.ONLY_IN_COMMUNITIES
            raise NotAllowed(text.en, text.zh)

        async def once() -> tuple[Grant, str]:
            async with self._uow() as uow:
                now = self._clock()
                moderator = await uow.accounts.resolve(invocation.origin, now=now)
                target = await self._target(uow, invocation, named)
                grant = Grant(
                    id=hashlib.sha256(origin_key(invocation).encode()).hexdigest()[:32],
                    account_id=target.account_id,
                    community_id=moderator.community_id,
                    gpu_ms=gpu_ms,
                    granted_at=now,
                    expires_at=now + timedelta(days=days),
                )
                if await uow.measures.grant(grant):
                    details = {"gpu_ms": gpu_ms, "until": grant.expires_at.isoformat()}
                    await self._audit(
                        uow, moderator, grant.community_id, "grant", target.account_id, details
                    )
                await uow.commit()
                return grant, target.display_name or named

        return await repeated(once)

    async def _target(self, uow: UnitOfWork, invocation: Invocation, named: str) -> Identity:
        """Who is meant. Somebody the studio has not met gets an account where the platform says who
        they are: one can be blocked before one has done anything."""
        origin = invocation.origin
        platform, _, external_id = named.partition(":")
        if not origin.personal or not external_id:
            platform, external_id = origin.platform, named
        found = await uow.accounts.by_identity(platform, external_id)
        if found is not None:
            return found
        name = invocation.names.get(external_id)
        if name is None or origin.personal:
            raise NotFound(
                "The studio has not met anybody of that id.", "工作室没有见过这个编号的人。"
            )
        stranger = replace(
            origin,
            identity_external_id=external_id,
            display_name=name,
            role=Role.MEMBER,
            platform_roles=(),
        )
        member = await uow.accounts.resolve(stranger, now=self._clock())
        return Identity(platform, external_id, member.account_id, name)

    async def _audit(
        self,
        uow: UnitOfWork,
        moderator: Member,
        community_id: str,
        action: str,
        subject: str,
        details: dict[str, Any],
    ) -> None:
        await uow.audit.write(
            AuditEntry(self._clock(), moderator.account_id, community_id, action, subject, details)
        )
