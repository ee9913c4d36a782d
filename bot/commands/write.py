"""/write: text from its beginning, streamed while it is written.

A dictionary model answers a headword with an entry; any other text is gone on with. ➡️ goes on
from where the answer stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot.commands import Offered
from bot.core import answers
from bot.core.chat import Action, Command, Invocation, Options, Reply, Text
from bot.core.domain import Artifact, Job
from bot.core.options import from_params, merged
from bot.core.params import PRIVATE, SEED, count_option, model_option
from bot.errors import NotFound
from bot.services import making

if TYPE_CHECKING:
    from bot.services import Services

_MAX_COUNT: Final = 4
_FORM: Final = ("prompt", "max_new_tokens", "temperature", "seed", "count")
_CONTEXT_CHARACTERS: Final = 2000  # how much of a text it goes on from

_PROMPT = Text(
    en="A word to define, or the beginning of a text to go on with.",
    zh="要解释的词，或要续写的开头。",
)
_TEXTS = Text(en="texts", zh="段文字")
_CONTINUE = Text(en="➡️ Go on", zh="➡️ 继续")
_CONTINUE_SAYS = Text(en="Go on from where this text stops", zh="从这段文字的结尾继续写")
_CONTINUE_ONE = Text(en="Go on from where text {n} stops", zh="从第 {n} 段文字的结尾继续写")
_NO_TEXT = Text(en="There is no text {n} in this answer.", zh="这个结果里没有第 {n} 段文字。")


def command(offered: Offered) -> Command | None:
    """The declaration: the union of what the text generators on offer take."""
    specs = offered.offers.specs("text", "prompt")
    if not specs:
        return None
    prompt, *others = merged(
        from_params(spec.params, rest="prompt", multiline=True, texts={"prompt": _PROMPT})
        for spec in specs
    )
    models = model_option(making.model_choices(offered.offers, "text", "prompt"))
    count = count_option(_TEXTS, default=1, maximum=_MAX_COUNT)
    return Command(
        name="write",
        summary=Text(en="Write an entry or go on with a text", zh="写词条或续写文字"),
        category="create",
        lead=True,
        run=_run,
        options=(prompt, models, count, SEED, *others, PRIVATE),
        examples=("/write lighthouse", "/write Once upon a time temperature:0.8 count:2"),
        present=_present,
        actions={
            **{f"c{n}": Action(_go_on(n), owner_only=False) for n in range(1, _MAX_COUNT + 1)},
            "reroll": Action(making.reroll, owner_only=False),
            "remix": Action(making.remix(offered.commands, _FORM), owner_only=False),
        },
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    draft = making.draft("write", invocation, options, modality="text")
    return await making.admit(services, invocation, draft)


def _go_on(n: int) -> making.Run:
    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        _, artifacts = await services.jobs.for_member(invocation.origin, job.id)
        items = answers.items_of(artifacts)
        if len(items) < n:
            text = _NO_TEXT.format(n=n)
            raise NotFound(text.en, text.zh)
        _, data = await services.jobs.artifact_for(invocation.origin, items[n - 1].id)
        written = data.decode(errors="replace").strip()
        params = {**making.known_params(job), "prompt": _tail(written)}
        draft = making.again(job, params=params, count=1, parent_job_id=job.id)
        return await making.admit(services, invocation, draft)

    return run


def _tail(text: str) -> str:
    """The end of a text, begun at a word: models read so much and no more."""
    if len(text) <= _CONTEXT_CHARACTERS:
        return text
    tail = text[-_CONTEXT_CHARACTERS:]
    head, blank, rest = tail.partition(" ")
    return rest if blank and len(head) < 100 else tail


def _present(services: Services, job: Job, artifacts: tuple[Artifact, ...], locale: str) -> Reply:
    # A single word got its entry, which is complete; anything else was begun and can go on.
    begun = len(str(job.params.get("prompt", "")).split()) > 1

    def rows(items: int) -> tuple[answers.Row, ...]:
        return (_go_on_buttons(services, job, items, locale),) if begun else ()

    return making.present(services, job, artifacts, locale, rows=rows)


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
