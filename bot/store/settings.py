"""Small JSON values per community in SQL, every change of which is in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from bot.store.schema import table_of
from bot.store.tables import AuditRow, SettingRow
from bot.store.transaction import Transaction

_settings = table_of(SettingRow)
_audit = table_of(AuditRow)

_VALUES = sa.select(_settings).where(
    _settings.c.community_id.in_(sa.bindparam("places", expanding=True)),
    _settings.c.key.in_(sa.bindparam("keys", expanding=True)),
)


class SqlSettings:
    """The port `SettingStore`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def get(self, community_id: str, key: str) -> Any | None:
        """The value, or None."""
        return (await self.get_many([community_id], [key])).get((community_id, key))

    async def get_many(
        self, community_ids: Sequence[str], keys: Sequence[str]
    ) -> dict[tuple[str, str], Any]:
        """The values there are, by (community id, key)."""
        rows = await self._tx.all(_VALUES, places=list(community_ids), keys=list(keys))
        return {(row.community_id, row.key): row.value for row in rows}

    async def of_key(self, key: str) -> dict[str, Any]:
        """Every community's value of one key, by community id."""
        rows = await self._tx.all(sa.select(_settings).where(_settings.c.key == key))
        return {row.community_id: row.value for row in rows}

    async def put(self, community_id: str, key: str, value: Any, *, by: str) -> None:
        """Store, and write down who did. None clears the value."""
        before = await self.get(community_id, key)
        at_key = (_settings.c.community_id == community_id, _settings.c.key == key)
        if value is None:
            await self._tx.change(sa.delete(_settings).where(*at_key))
        elif not await self._tx.add_new(
            _settings, {"community_id": community_id, "key": key, "value": value}
        ):
            await self._tx.change(sa.update(_settings).where(*at_key).values(value=value))
        await self._tx.add(
            _audit,
            {
                "id": uuid4().hex,
                "at": datetime.now(UTC),
                "account_id": by,
                "community_id": community_id,
                "action": "setting",
                "subject": key,
                "details": {"before": before, "after": value},
            },
        )
