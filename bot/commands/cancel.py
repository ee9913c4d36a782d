"""/cancel: stop my latest job, or the one I name. Somebody else's is none of my business."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.chat import Command, Invocation, Option, Options, Reply, Text
from bot.core.domain import JobState
from bot.core.i18n import replies
from bot.errors import BadOption

if TYPE_CHECKING:
    from bot.services import Services


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    wanted = options["job"] and str(options["job"]).strip().lstrip("#").lower()
    job_id = await _full_id(services, invocation, wanted) if wanted else None
    job = await services.jobs.cancel(invocation.origin, job_id)
    said = replies.CANCELLED if job.state is JobState.CANCELLED else replies.CANCELLING
    return Reply(text=said.in_(invocation.origin.locale), ephemeral=True)


async def _full_id(services: Services, invocation: Invocation, wanted: str) -> str:
    """The id of one of my live jobs from its beginning, as /queue shows it; a whole id stands for
    itself, so that moderators can name any job of their community."""
    mine = [job.id for job, _, _ in await services.jobs.live(invocation.origin)]
    matching = [job_id for job_id in mine if job_id.startswith(wanted)]
    if len(matching) > 1:
        raise BadOption(
            "More than one of your jobs begins like that. Please give more of its id.",
            "有多个任务的编号以此开头，请写得更完整。",
        )
    return matching[0] if matching else wanted


COMMAND = Command(
    name="cancel",
    summary=Text(en="Cancel your latest job, or a certain one", zh="取消你最近的任务或指定的任务"),
    run=_run,
    options=(
        Option(
            name="job",
            description=Text(
                en="Which job, by the id /queue shows; your latest if left out.",
                zh="要取消的任务编号（/queue 中显示）；不写则为最近的任务。",
            ),
            minimum=4,
            maximum=33,
            rest=True,
        ),
    ),
    examples=("/cancel", "/cancel 1a2b3c4d"),
)
