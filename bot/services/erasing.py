"""Erasing jobs: content and media for good, while the ledger keeps what they cost.

Who may is the caller's to check: `history` for members, `cases` for moderators, `retention` for
time that has passed.
"""

from __future__ import annotations

import structlog

from bot.core.domain import Artifact
from bot.core.ports import UnitOfWorkFactory
from bot.services.transactions import repeated
from generators.artifacts import ArtifactStore

log = structlog.get_logger(__name__)


class Eraser:
    """Erases jobs that have ended."""

    def __init__(self, uow: UnitOfWorkFactory, artifacts: ArtifactStore) -> None:
        self._uow, self._artifacts = uow, artifacts

    async def erase(self, *job_ids: str) -> None:
        """Erase these, in one transaction, and their bytes after it."""

        async def once() -> list[Artifact]:
            async with self._uow() as uow:
                gone = [artifact for job_id in job_ids for artifact in await uow.jobs.erase(job_id)]
                await uow.commit()
                return gone

        await self.forget(await repeated(once))

    async def forget(self, gone: list[Artifact]) -> None:
        """Let go of the bytes of artifacts whose rows were erased and committed."""
        for artifact in gone:
            try:
                await self._artifacts.forget(artifact.key, owner=artifact.account_id)
            except Exception:  # the row is gone, so nobody can fetch it; the bytes are only litter
                log.exception("the bytes of an erased job stay behind", job_id=artifact.job_id)
