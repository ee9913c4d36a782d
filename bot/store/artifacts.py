"""Artifact rows in SQL: which stored bytes belong to which job and person."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from bot.core.domain import Artifact
from bot.store.rows import artifact_from, artifact_row
from bot.store.schema import table_of
from bot.store.tables import ArtifactRow
from bot.store.transaction import Transaction

_artifacts = table_of(ArtifactRow)


class SqlArtifacts:
    """The port `ArtifactRows`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def add(self, artifacts: Sequence[Artifact]) -> None:
        """Insert; ids are fresh."""
        if artifacts:
            await self._tx.add(_artifacts, *(artifact_row(artifact) for artifact in artifacts))

    async def get(self, artifact_id: str) -> Artifact | None:
        """One by its id."""
        row = await self._tx.one(sa.select(_artifacts).where(_artifacts.c.id == artifact_id))
        return None if row is None else artifact_from(row)

    async def held(self, account_id: str, keys: Sequence[str]) -> set[str]:
        """Those of the keys under which an account's artifacts lie."""
        if not keys:
            return set()
        rows = await self._tx.all(
            sa.select(_artifacts.c.key).where(
                _artifacts.c.account_id == account_id, _artifacts.c.key.in_(keys)
            )
        )
        return {row.key for row in rows}

    async def of_jobs(self, job_ids: Sequence[str]) -> dict[str, tuple[Artifact, ...]]:
        """The artifacts of each job, in order; jobs without any get an empty tuple."""
        found: dict[str, list[Artifact]] = {job_id: [] for job_id in job_ids}
        if job_ids:
            rows = await self._tx.all(
                sa.select(_artifacts)
                .where(_artifacts.c.job_id.in_(job_ids))
                .order_by(_artifacts.c.job_id, _artifacts.c.position)
            )
            for row in rows:
                found[row.job_id].append(artifact_from(row))
        return {job_id: tuple(artifacts) for job_id, artifacts in found.items()}
