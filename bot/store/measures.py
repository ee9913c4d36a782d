"""Blocks and grants in SQL, and the audit log beside them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from bot.core.house import AuditEntry, Block, Grant, Measures
from bot.store.house_tables import BlockRow, GrantRow
from bot.store.schema import table_of
from bot.store.tables import AuditRow
from bot.store.transaction import Transaction

_blocks = table_of(BlockRow)
_grants = table_of(GrantRow)
_audit = table_of(AuditRow)

_NOW = sa.bindparam("now", type_=_blocks.c.until.type)
_IN_FORCE = sa.or_(_blocks.c.until.is_(None), _blocks.c.until > _NOW)
_GRANTED = (
    sa.select(sa.func.coalesce(sa.func.sum(_grants.c.gpu_ms), 0))
    .where(
        _grants.c.account_id == sa.bindparam("account"),
        _grants.c.community_id == sa.bindparam("community"),
        _grants.c.expires_at > _NOW,
    )
    .scalar_subquery()
)
_ONE = sa.select(sa.literal(1).label("one")).subquery("one")
_OF_MEMBER = sa.select(_GRANTED.label("granted"), _blocks).select_from(
    _ONE.outerjoin(
        _blocks,
        sa.and_(
            _blocks.c.account_id == sa.bindparam("account"),
            _blocks.c.community_id.in_([sa.bindparam("community"), ""]),
            _IN_FORCE,
        ),
    )
)
"""One row at least, one for each block: admission asks this every time, so it is one question."""


class SqlMeasures:
    """The port `MeasureStore`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def of(self, account_id: str, community_id: str, *, now: datetime) -> Measures:
        """What holds for a member."""
        rows = await self._tx.all(_OF_MEMBER, account=account_id, community=community_id, now=now)
        blocks = tuple(_block(row) for row in rows if row.account_id is not None)
        return Measures(blocks, int(rows[0].granted))

    async def block(self, block: Block) -> None:
        """Put in force, in place of an earlier one."""
        values = asdict(block)
        if not await self._tx.add_new(_blocks, values):
            await self._tx.change(
                _of(block.account_id, block.community_id, sa.update(_blocks)).values(
                    reason=block.reason, blocked_at=block.blocked_at, until=block.until
                )
            )

    async def unblock(self, account_id: str, community_id: str) -> bool:
        """Take back; False where there was none."""
        return await self._tx.change(_of(account_id, community_id, sa.delete(_blocks))) > 0

    async def blocked(self, community_id: str, *, now: datetime, limit: int) -> list[Block]:
        """Whom the community blocks, the latest first."""
        rows = await self._tx.all(
            sa.select(_blocks)
            .where(_blocks.c.community_id == community_id, _IN_FORCE)
            .order_by(_blocks.c.blocked_at.desc())
            .limit(limit),
            now=now,
        )
        return [_block(row) for row in rows]

    async def grant(self, grant: Grant) -> bool:
        """Add once."""
        return await self._tx.add_new(_grants, asdict(grant))


class SqlAuditLog:
    """The port `AuditLog`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def write(self, entry: AuditEntry) -> None:
        """Append."""
        details = dict(entry.details)
        await self._tx.add(_audit, {"id": uuid4().hex, **asdict(entry), "details": details})

    async def recent(self, community_id: str, *, limit: int) -> list[AuditEntry]:
        """The latest first."""
        rows = await self._tx.all(
            sa.select(_audit)
            .where(_audit.c.community_id == community_id)
            .order_by(_audit.c.at.desc(), _audit.c.id)
            .limit(limit)
        )
        return [
            AuditEntry(
                row.at, row.account_id, row.community_id, row.action, row.subject, row.details
            )
            for row in rows
        ]


def _of(account_id: str, community_id: str, statement: Any) -> Any:
    return statement.where(
        _blocks.c.account_id == account_id, _blocks.c.community_id == community_id
    )


def _block(row: sa.Row[Any]) -> Block:
    return Block(row.account_id, row.community_id, row.reason, row.blocked_at, row.until)
