"""The ports `AccountStore` and `SettingStore` in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bot.core.chat import Origin
from bot.core.domain import Account, Member
from bot.core.house import AuditEntry, Community, Identity
from bot.store.memory_tables import Version


class MemoryAccounts:
    """People of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def resolve(self, origin: Origin, *, now: datetime) -> Member:
        """The member, made on first sight and kept up to date."""
        account_id = self._account(origin, now)
        community_id = self._community(origin)
        member = _member_now(origin, account_id, community_id)
        self._version.change("members")[account_id, community_id] = member
        return member

    async def find(self, origin: Origin) -> Member:
        """The person and the place without making anything."""
        tables = self._version.tables
        person = tables.identities.get((origin.platform, origin.identity_external_id))
        place = tables.places.get((origin.platform, origin.community_external_id))
        return _member_now(origin, person[0] if person else "", place or "")

    async def member(self, account_id: str, community_id: str) -> Member | None:
        """The member as last seen."""
        tables = self._version.tables
        found = tables.members.get((account_id, community_id))
        if found is None:
            return None
        return replace(found, locale=tables.accounts[account_id].locale)

    async def identities(self, platform: str, account_ids: Sequence[str]) -> dict[str, Identity]:
        """How these accounts appear on a platform, by account id."""
        return {
            account_id: Identity(where, external_id, account_id, name)
            for (where, external_id), (account_id, name) in self._version.tables.identities.items()
            if where == platform and account_id in account_ids
        }

    async def by_identity(self, platform: str, external_id: str) -> Identity | None:
        """Who is behind an id of the platform's."""
        found = self._version.tables.identities.get((platform, external_id))
        return None if found is None else Identity(platform, external_id, *found)

    async def lock_community(self, community_id: str) -> None:
        """There is one writer, so the community is held already."""
        self._version.check_writable()

    def _community(self, origin: Origin) -> str:
        """The community, made on first sight; its name is kept up to date."""
        place = (origin.platform, origin.community_external_id)
        community_id = self._version.tables.places.get(place) or uuid4().hex
        self._version.change("places")[place] = community_id
        communities = self._version.change("communities")
        known = communities.get(community_id)
        if known is None:
            known = Community(community_id, *place, origin.community_name, origin.personal)
        name = origin.community_name or known.name
        communities[community_id] = replace(known, name=name)
        return community_id

    def _account(self, origin: Origin, now: datetime) -> str:
        who = (origin.platform, origin.identity_external_id)
        known = self._version.tables.identities.get(who)
        account_id = uuid4().hex if known is None else known[0]
        name = origin.display_name or ("" if known is None else known[1])
        created_at = now if known is None else self._version.tables.accounts[account_id].created_at
        self._version.change("identities")[who] = (account_id, name)
        accounts = self._version.change("accounts")
        accounts[account_id] = Account(account_id, origin.locale, created_at)
        return account_id


class MemorySettings:
    """Settings of one version of the tables."""

    def __init__(self, version: Version) -> None:
        self._version = version

    async def get(self, community_id: str, key: str) -> Any | None:
        """The value, or None."""
        return self._version.tables.settings.get((community_id, key))

    async def get_many(
        self, community_ids: Sequence[str], keys: Sequence[str]
    ) -> dict[tuple[str, str], Any]:
        """The values there are, by (community id, key)."""
        settings = self._version.tables.settings
        wanted = ((community, key) for community in community_ids for key in keys)
        return {at: settings[at] for at in wanted if at in settings}

    async def of_key(self, key: str) -> dict[str, Any]:
        """Every community's value of one key, by community id."""
        settings = self._version.tables.settings
        return {community: value for (community, of), value in settings.items() if of == key}

    async def put(self, community_id: str, key: str, value: Any, *, by: str) -> None:
        """Store, and write down who did. None clears the value."""
        settings, log = self._version.change("settings"), self._version.change("audit_log")
        before = settings.pop((community_id, key), None)
        if value is not None:
            settings[community_id, key] = value
        details = {"before": before, "after": value}
        log[len(log)] = AuditEntry(datetime.now(UTC), by, community_id, "setting", key, details)


def _member_now(origin: Origin, account_id: str, community_id: str) -> Member:
    return Member(account_id, community_id, str(origin.role), origin.platform_roles, origin.locale)
