"""A job row as a message to the engine. Only the dispatcher and its reconciler send."""

from __future__ import annotations

import asyncio

import structlog

from bot.core.domain import Job
from bot.services.completion import Completion
from generators import catalog
from generators.contract import BadRequest
from generators.engine.port import Engine, EngineJob, failed_result

log = structlog.get_logger(__name__)

_SEND_TIMEOUT_S = 10.0
_NOT_SENT = BadRequest("The request could not be handed to a worker.", "请求无法交给工作进程。")


def batch_items(job: Job) -> int:
    """How many items of this job's generator may run together; a trained job runs alone."""
    return catalog.spec(job.generator).max_batch if job.kind == "generate" else 1


def engine_job(job: Job) -> EngineJob:
    """The job as it travels. Raises ValueError (pydantic's) where the row cannot travel."""
    return EngineJob.model_validate(
        {
            "id": job.id,
            "kind": job.kind,
            "generator": job.generator,
            "model": job.model,
            "params": dict(job.params),
            "seed": job.seed,
            "count": job.count,
            "compat": job.compat,
            "owner": job.account_id,
            "community": job.community_id,
            "inputs": dict(job.inputs),
            "strikes": job.strikes,
        }
    )


class Sender:
    """Sends jobs, and ends those that no engine could ever take: one of them at the head of the
    line would keep everybody waiting."""

    def __init__(self, engine: Engine, completion: Completion) -> None:
        self._engine, self._completion = engine, completion

    async def send(self, job: Job) -> bool:
        """Hand one job to the engine. A job that cannot travel fails, and False is returned.
        Raises what the engine raises when it is closed or out of order."""
        try:
            message = engine_job(job)
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await self._engine.send(message)
        except ValueError:
            log.exception("a job cannot be sent and fails", job_id=job.id)
            await self._completion.end(failed_result(job.id, _NOT_SENT, "internal"))
            return False
        return True
