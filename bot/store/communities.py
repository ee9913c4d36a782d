"""Communities in SQL: which the studio is in, which it has left, and forgetting those."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.core.house import CaseState, Community
from bot.store.house_tables import BlockRow, CaseRow, GrantRow
from bot.store.schema import table_of
from bot.store.tables import LEFT, CommunityRow, SettingRow
from bot.store.transaction import Transaction

_communities = table_of(CommunityRow)
_cases = table_of(CaseRow)
_OF_THEIR_OWN = tuple(table_of(row) for row in (SettingRow, BlockRow, GrantRow))


class SqlCommunities:
    """The port `CommunityStore`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def get(self, community_id: str) -> Community | None:
        """One by its id."""
        row = await self._tx.one(sa.select(_communities).where(_communities.c.id == community_id))
        return None if row is None else _community(row)

    async def here(self, platform: str) -> list[Community]:
        """The platform's communities that were not left."""
        rows = await self._tx.all(
            sa.select(_communities).where(
                _communities.c.platform == platform,
                _communities.c.left_at.is_(None),
                _communities.c.personal_account_id.is_(None),
            )
        )
        return [_community(row) for row in rows]

    async def set_left(
        self, platform: str, external_ids: Sequence[str], at: datetime | None
    ) -> int:
        """Start or stop the clock."""
        left = _communities.c.left_at
        return await self._tx.change(
            sa.update(_communities)
            .where(_communities.c.platform == platform)
            .where(_communities.c.external_id.in_(list(external_ids)))
            .where(_communities.c.personal_account_id.is_(None))
            .where(left.is_not(None) if at is None else left.is_(None))
            .values(left_at=at)
        )

    async def left_before(self, at: datetime, *, limit: int) -> list[Community]:
        """Those left longest ago, first."""
        rows = await self._tx.all(
            sa.select(_communities)
            .where(LEFT, _communities.c.left_at < at)
            .order_by(_communities.c.left_at)
            .limit(limit)
        )
        return [_community(row) for row in rows]

    async def forget(self, community_id: str, *, at: datetime) -> None:
        """Erase what is the community's own and stop the clock."""
        for table in _OF_THEIR_OWN:
            await self._tx.change(sa.delete(table).where(table.c.community_id == community_id))
        of_here = sa.update(_cases).where(_cases.c.community_id == community_id)
        await self._tx.change(of_here.values(reason=""))
        await self._tx.change(
            of_here.where(_cases.c.state == CaseState.OPEN.value).values(
                state=CaseState.DISMISSED.value, resolution="forgotten", closed_at=at
            )
        )
        await self._tx.change(
            sa.update(_communities)
            .where(_communities.c.id == community_id)
            .values(name="", left_at=None)
        )


def _community(row: sa.Row[Any]) -> Community:
    return Community(
        id=row.id,
        platform=row.platform,
        external_id=row.external_id,
        name=row.name,
        personal=row.personal_account_id is not None,
        left_at=row.left_at,
    )
