"""/write: text from its beginning, streamed while it is written.

A dictionary model answers a headword with an entry; any other text is gone on with. ➡️ goes on
from where the answer stopped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from bot.commands import Offered
from bot.core import answers
from bot.core.chat import Action, Choice, Command, Invocation, Options, Reply, Text
from bot.core.domain import Artifact, Job, JobState
from bot.core.i18n import formats
from bot.core.options import from_params, merged
from bot.core.params import PRIVATE, SEED, count_option, model_option
from bot.errors import NotFound
from bot.services.jobs import JobDraft
from generators import catalog

if TYPE_CHECKING:
    from bot.services import Services
    from bot.services.models import ModelOffers

_MAX_COUNT: Final = 4
_OWN = {"model", "count", "seed", "private"}  # options that are not the generator's params
_FORM = ("prompt", "max_new_tokens", "temperature", "seed", "count")
_CONTEXT_CHARACTERS: Final = 2000  # how much of a text it goes on from

_PROMPT = Text(
    en="A word to define, or the beginning of a text to go on with.",
    zh="要解释的词，或要续写的开头。",
)
_TEXTS = Text(en="texts", zh="段文字")
_REMIX = Text(en="Remix", zh="修改后重新生成")
_CAPTION = Text(en="{model} · seed {seed} · {time}", zh="{model} · 种子 {seed} · {time}")
_CONTINUE = Text(en="➡️ Go on", zh="➡️ 继续")
_CONTINUE_SAYS = Text(en="Go on from where this text stops", zh="从这段文字的结尾继续写")
_CONTINUE_ONE = Text(en="Go on from where text {n} stops", zh="从第 {n} 段文字的结尾继续写")
_NO_TEXT = Text(en="There is no text {n} in this answer.", zh="这个结果里没有第 {n} 段文字。")


def command(offered: Offered) -> Command:
    """The declaration: the union of what the text generators take."""
    generators = [catalog.spec(name) for name in catalog.names()]
    prompt, *others = merged(
        from_params(spec.params, rest="prompt", multiline=True, texts={"prompt": _PROMPT})
        for spec in generators
        if spec.modality == "text" and "prompt" in spec.capabilities
    )
    models = model_option(lambda: _models(offered.offers))
    count = count_option(_TEXTS, default=1, maximum=_MAX_COUNT)
    return Command(
        name="write",
        summary=Text(en="Write an entry or go on with a text", zh="写词条或续写文字"),
        category="create",
        run=_run,
        options=(prompt, models, count, SEED, *others, PRIVATE),
        examples=("/write lighthouse", "/write Once upon a time temperature:0.8 count:2"),
        present=_present,
        actions={
            **{f"c{n}": Action(_go_on(n), owner_only=False) for n in range(1, _MAX_COUNT + 1)},
            "reroll": Action(_reroll, owner_only=False),
            "remix": Action(_remix(offered), owner_only=False),
        },
    )


def _models(offers: ModelOffers) -> tuple[Choice, ...]:
    return tuple(
        Choice(value=offer.name, label=offer.name)
        for offer in offers.offers("text")
        if "prompt" in offer.spec.capabilities
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    given = {name: value for name, value in options.items() if value not in (None, "")}
    return await _admit(
        services,
        invocation,
        JobDraft(
            command="write",
            model=given.get("model"),
            modality="text",
            params={name: value for name, value in given.items() if name not in _OWN},
            seed=given.get("seed"),
            count=given["count"],
            private=invocation.private or bool(options["private"]),
        ),
    )


async def _admit(services: Services, invocation: Invocation, draft: JobDraft) -> Reply:
    ticket = await services.jobs.admit(invocation, draft)
    locale = invocation.origin.locale
    return answers.queued(services.signer, ticket, locale, private=draft.private)


def _draft_again(job: Job, prompt: str, count: int, parent: str | None) -> JobDraft:
    known = {name: value for name, value in job.params.items() if value is not None}
    return JobDraft(
        command="write",
        model=job.model,
        modality="text",
        params={**known, "prompt": prompt},
        seed=None,
        count=count,
        parent_job_id=parent,
        private=job.private,
    )


async def _reroll(services: Services, invocation: Invocation, job: Job) -> Reply:
    draft = _draft_again(job, str(job.params["prompt"]), job.count, job.parent_job_id)
    return await _admit(services, invocation, draft)


def _go_on(n: int) -> Callable[[Any, Invocation, Job], Awaitable[Reply]]:
    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        _, artifacts = await services.jobs.for_member(invocation.origin, job.id)
        items = answers.items_of(artifacts)
        if len(items) < n:
            text = _NO_TEXT.format(n=n)
            raise NotFound(text.en, text.zh)
        _, data = await services.jobs.artifact_for(invocation.origin, items[n - 1].id)
        written = data.decode(errors="replace").strip()
        return await _admit(services, invocation, _draft_again(job, _tail(written), 1, job.id))

    return run


def _tail(text: str) -> str:
    """The end of a text, begun at a word: models read so much and no more."""
    if len(text) <= _CONTEXT_CHARACTERS:
        return text
    tail = text[-_CONTEXT_CHARACTERS:]
    head, blank, rest = tail.partition(" ")
    return rest if blank and len(head) < 100 else tail


def _remix(offered: Offered) -> Callable[[Any, Invocation, Job], Awaitable[Reply]]:
    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        declared = offered.commands["write"]
        title = _REMIX.in_(invocation.origin.locale)
        return Reply(form=answers.form(declared, job, _FORM, title), ephemeral=True)

    return run


def _present(services: Services, job: Job, artifacts: tuple[Artifact, ...], locale: str) -> Reply:
    if job.state is not JobState.DONE:
        return answers.ended_badly(services.signer, job, locale)
    items = answers.items_of(artifacts)
    # A single word got its entry, which is complete; anything else was begun and can go on.
    begun = len(str(job.params.get("prompt", "")).split()) > 1
    more = _go_on_buttons(services, job, len(items), locale) if begun else ()
    again = (
        answers.reroll_button(services.signer, job, locale),
        answers.remix_button(services.signer, job, locale),
        answers.favorite_button(services.signer, job, locale),
        answers.delete_button(services.signer, job, locale),
    )
    return Reply(
        title=answers.title_of(job),
        text=_CAPTION.in_(locale).format(
            model=job.model, seed=job.seed, time=formats.duration(answers.run_s(job), locale)
        ),
        media=items,
        buttons=tuple(row for row in (more, again) if row),
        ephemeral=job.private,
    )


def _go_on_buttons(services: Services, job: Job, items: int, locale: str) -> answers.Row:
    label = _CONTINUE.in_(locale)
    if items == 1:
        return (answers.button(services.signer, job.id, "c1", label, _CONTINUE_SAYS, locale),)
    return answers.numbered(
        services.signer,
        job,
        "c",
        f"{label} {{n}}",
        _CONTINUE_ONE,
        min(items, _MAX_COUNT),
        locale,
    )
