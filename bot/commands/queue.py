"""/queue: where my jobs stand, and how busy the studio is. Never what others asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core import answers
from bot.core.chat import Card, Command, Invocation, Options, Reply, Text
from bot.core.domain import Job

if TYPE_CHECKING:
    from bot.services import Services

_TITLE = Text(en="Queue", zh="队列")
_NONE = Text(en="You have no jobs waiting.", zh="你没有等待中的任务。")
_TOTALS = Text(
    en="In the whole studio {waiting} waiting and {running} running.",
    zh="整个工作室有 {waiting} 个任务在等待，{running} 个在运行。",
)
_ASLEEP = Text(
    en="No worker is ready yet; jobs wait until one is.", zh="还没有就绪的工作进程，任务会等待。"
)
_CARD = Text(en="/{command} · job {job} · {state}", zh="/{command} · 任务 {job} · {state}")


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    locale = invocation.origin.locale
    mine = await services.jobs.live(invocation.origin)
    totals = _TOTALS.in_(locale).format(
        waiting=services.status.queue_depth, running=services.status.in_flight
    )
    sentences = [] if mine else [_NONE.in_(locale)]
    sentences.append(totals)
    if services.status.worker_state != "ready":
        sentences.append(_ASLEEP.in_(locale))
    return Reply(
        title=_TITLE.in_(locale),
        text="\n".join(sentences),
        cards=tuple(_card(services, job, position, eta, locale) for job, position, eta in mine),
        ephemeral=True,
    )


def _card(services: Services, job: Job, position: int, eta_s: float | None, locale: str) -> Card:
    state = answers.place_text(position, eta_s, locale)
    return Card(
        job_id=job.id,
        title=answers.title_of(job),
        text=_CARD.in_(locale).format(command=job.command, state=state, job=job.id[:8]),
        media=(),
        buttons=((answers.cancel_button(services.signer, job.id, locale),),),
    )


COMMAND = Command(
    name="queue",
    summary=Text(en="See where your jobs stand", zh="查看你的任务排到哪里"),
    run=_run,
    examples=("/queue",),
)
