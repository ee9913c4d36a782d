"""What members upload is stored before the job that works on it is admitted, and cleared away where
it was not: a refused request leaves nothing behind. Used by `Admission` only.

The bytes lie in the artifact store under the member's account; the job that was admitted holds
them by an artifact of the role `input`, so that deleting the job erases them. A picture of the
history is not held again: who deletes it means it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4
from weakref import WeakValueDictionary

import structlog

from bot.core.chat import Origin
from bot.core.domain import Artifact, Job
from bot.core.ports import Clock, UnitOfWork, UnitOfWorkFactory
from bot.services.transactions import repeated
from generators.artifacts import ArtifactStore
from generators.contract import Media
from generators.engine.port import ArtifactRef
from generators.storing import keep

log = structlog.get_logger(__name__)

Input = ArtifactRef | Media
"""Stored media, or media that are to be stored with the job."""


class Inputs:
    """Stores uploads around an admission."""

    def __init__(self, uow: UnitOfWorkFactory, artifacts: ArtifactStore, clock: Clock) -> None:
        self._uow, self._artifacts, self._clock = uow, artifacts, clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def stored(
        self, origin: Origin, inputs: Mapping[str, Input]
    ) -> AsyncIterator[Mapping[str, ArtifactRef]]:
        """The inputs, all stored. On leaving, what no job of the account holds is forgotten, so
        admit inside."""
        stored = {name: one for name, one in inputs.items() if isinstance(one, ArtifactRef)}
        fresh = {name: one for name, one in inputs.items() if isinstance(one, Media)}
        if not fresh:
            yield stored
            return
        account_id = await self._account(origin)
        # One upload of an account at a time: clearing up after one that was refused must not take
        # the same bytes from one that is just being admitted.
        async with self._locks.setdefault(account_id, asyncio.Lock()):
            try:
                refs = await keep(self._artifacts, tuple(fresh.values()), owner=account_id)
                as_inputs = (ref.model_copy(update={"role": "input"}) for ref in refs)
                yield {**stored, **dict(zip(fresh, as_inputs, strict=True))}
            finally:
                await self._clear(account_id, {_key(one.data) for one in fresh.values()})

    async def _account(self, origin: Origin) -> str:
        """The account behind the origin, made on first sight: bytes need an owner."""
        async with self._uow(write=False) as uow:
            member = await uow.accounts.find(origin)
        if member.account_id:
            return member.account_id

        async def once() -> str:
            async with self._uow() as uow:
                member = await uow.accounts.resolve(origin, now=self._clock())
                await uow.commit()
                return member.account_id

        return await repeated(once)

    async def _clear(self, account_id: str, keys: set[str]) -> None:
        try:
            async with self._uow() as uow:  # writing: a reader may not see the job just admitted
                held = await uow.artifacts.held(account_id, [*keys])
            for key in keys - held:
                await self._artifacts.forget(key, owner=account_id)
        except Exception:  # nobody can fetch them without a row: the bytes are only litter
            log.exception("the bytes of an upload may stay behind", account_id=account_id)


async def hold(uow: UnitOfWork, job: Job, uploaded: Collection[str]) -> None:
    """Let a job hold its uploads, in the transaction that admits it. `uploaded` are the keys that
    were stored for it now; an upload of an earlier job is held where the account holds it still."""
    refs = [ref for ref in job.inputs.values() if ref.role == "input"]
    older = [ref.key for ref in refs if ref.key not in uploaded]
    ours = {*uploaded, *await uow.artifacts.held(job.account_id, older)}
    await uow.artifacts.add(
        [
            Artifact.of(job, ref, id=uuid4().hex, position=position)
            for position, ref in enumerate(refs, start=-len(refs))  # results count from 0
            if ref.key in ours
        ]
    )


def _key(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
