"""Who is behind an invocation: accounts, identities, communities and members in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from bot.core.chat import Origin
from bot.core.domain import Member
from bot.core.house import Identity
from bot.core.ports import Conflict
from bot.core.storable import storable_text
from bot.store.schema import table_of
from bot.store.tables import AccountRow, CommunityRow, IdentityRow, MemberRow
from bot.store.transaction import Transaction

_accounts = table_of(AccountRow)
_identities = table_of(IdentityRow)
_communities = table_of(CommunityRow)
_members = table_of(MemberRow)

_IS_PERSON = (
    _identities.c.platform == sa.bindparam("platform"),
    _identities.c.external_id == sa.bindparam("person"),
)
_IS_PLACE = (
    _communities.c.platform == sa.bindparam("platform"),
    _communities.c.external_id == sa.bindparam("place"),
)
_BEHIND = (
    sa.select(
        _members.c.account_id,
        _members.c.community_id,
        _members.c.role,
        _members.c.platform_roles,
        _identities.c.display_name,
        _accounts.c.locale,
        _communities.c.name.label("community_name"),
    )
    .select_from(_identities)
    .join(_accounts, _accounts.c.id == _identities.c.account_id)
    .join(_members, _members.c.account_id == _identities.c.account_id)
    .join(_communities, _communities.c.id == _members.c.community_id)
    .where(*_IS_PERSON, *_IS_PLACE)
    .with_for_update(key_share=True, of=_members)
)
"""All that is known of a member, locked."""

_KNOWN = sa.select(
    sa.select(_identities.c.account_id).where(*_IS_PERSON).scalar_subquery().label("account_id"),
    sa.select(_communities.c.id).where(*_IS_PLACE).scalar_subquery().label("community_id"),
)
"""The person and the place, each or neither."""


class SqlAccounts:
    """The port `AccountStore`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def resolve(self, origin: Origin, *, now: datetime) -> Member:
        """The member, made on first sight, kept up to date, and locked until the end."""
        self._tx.check_writable()
        row = await self._tx.one(_BEHIND, **_keys(origin))
        if row is None:
            await self._join(origin, now)
            row = await self._tx.one(_BEHIND, **_keys(origin))
            if row is None:
                raise Conflict("another transaction is making this member")
        await self._refresh(origin, row)
        return _member_now(origin, row.account_id, row.community_id)

    async def find(self, origin: Origin) -> Member:
        """The person and the place without making or locking anything."""
        row = await self._tx.one(_KNOWN, **_keys(origin))
        if row is None:
            return _member_now(origin, "", "")
        return _member_now(origin, row.account_id or "", row.community_id or "")

    async def member(self, account_id: str, community_id: str) -> Member | None:
        """The member as last seen."""
        row = await self._tx.one(
            sa.select(_members, _accounts.c.locale)
            .join(_accounts, _accounts.c.id == _members.c.account_id)
            .where(_members.c.account_id == account_id, _members.c.community_id == community_id)
        )
        if row is None:
            return None
        return Member(account_id, community_id, row.role, tuple(row.platform_roles), row.locale)

    async def identities(self, platform: str, account_ids: Sequence[str]) -> dict[str, Identity]:
        """How these accounts appear on a platform, by account id."""
        rows = await self._tx.all(
            sa.select(_identities).where(
                _identities.c.platform == platform, _identities.c.account_id.in_(list(account_ids))
            )
        )
        return {row.account_id: _identity(row) for row in rows}

    async def by_identity(self, platform: str, external_id: str) -> Identity | None:
        """Who is behind an id of the platform's."""
        row = await self._tx.one(
            sa.select(_identities).where(*_IS_PERSON),
            platform=platform,
            person=storable_text(external_id),
        )
        return None if row is None else _identity(row)

    async def lock_community(self, community_id: str) -> None:
        """Hold the community until the end (SQLite has one writer anyway)."""
        self._tx.check_writable()
        if self._tx.dialect == "postgresql":
            await self._tx.one(
                sa.select(_communities.c.id)
                .where(_communities.c.id == community_id)
                .with_for_update(key_share=True)
            )

    async def _join(self, origin: Origin, now: datetime) -> None:
        """Make whatever of account, identity, community and membership is missing."""
        account_id = await self._account(origin, now)
        community = {
            "id": uuid4().hex,
            "platform": origin.platform,
            "external_id": storable_text(origin.community_external_id),
            "name": storable_text(origin.community_name),
            "personal_account_id": account_id if origin.personal else None,
            "created_at": now,
            "left_at": None,
        }
        await self._tx.add_new(_communities, community)
        found = await self._tx.one(sa.select(_communities.c.id).where(*_IS_PLACE), **_keys(origin))
        if found is None:
            raise Conflict("another transaction is making this community")
        await self._tx.add_new(
            _members,
            {
                "account_id": account_id,
                "community_id": found.id,
                "role": str(origin.role),
                "platform_roles": list(origin.platform_roles),
                "joined_at": now,
            },
        )

    async def _account(self, origin: Origin, now: datetime) -> str:
        found = await self._tx.one(
            sa.select(_identities.c.account_id).where(*_IS_PERSON), **_keys(origin)
        )
        if found is not None:
            return str(found.account_id)
        account_id = uuid4().hex
        await self._tx.add(
            _accounts, {"id": account_id, "locale": origin.locale, "created_at": now}
        )
        identity = {
            "platform": origin.platform,
            "external_id": storable_text(origin.identity_external_id),
            "account_id": account_id,
            "display_name": storable_text(origin.display_name),
            "created_at": now,
        }
        if not await self._tx.add_new(_identities, identity):
            raise Conflict("another transaction made this identity first")
        return account_id

    async def _refresh(self, origin: Origin, row: sa.Row[Any]) -> None:
        """Write down what changed since the member was last seen; mostly nothing did."""
        tx, name = self._tx, storable_text(origin.display_name)
        community_name = storable_text(origin.community_name)
        if (row.role, tuple(row.platform_roles)) != (str(origin.role), origin.platform_roles):
            await tx.change(
                sa.update(_members)
                .where(_members.c.account_id == row.account_id)
                .where(_members.c.community_id == row.community_id)
                .values(role=str(origin.role), platform_roles=list(origin.platform_roles))
            )
        if name and row.display_name != name:
            await tx.change(
                sa.update(_identities)
                .where(_identities.c.platform == origin.platform)
                .where(_identities.c.external_id == storable_text(origin.identity_external_id))
                .values(display_name=name)
            )
        if row.locale != origin.locale:
            await tx.change(
                sa.update(_accounts)
                .where(_accounts.c.id == row.account_id)
                .values(locale=origin.locale)
            )
        if community_name and row.community_name != community_name:
            await tx.change(
                sa.update(_communities)
                .where(_communities.c.id == row.community_id)
                .values(name=community_name)
            )


def _keys(origin: Origin) -> dict[str, str]:
    return {
        "platform": origin.platform,
        "person": storable_text(origin.identity_external_id),
        "place": storable_text(origin.community_external_id),
    }


def _identity(row: sa.Row[Any]) -> Identity:
    return Identity(row.platform, row.external_id, row.account_id, row.display_name)


def _member_now(origin: Origin, account_id: str, community_id: str) -> Member:
    return Member(account_id, community_id, str(origin.role), origin.platform_roles, origin.locale)
