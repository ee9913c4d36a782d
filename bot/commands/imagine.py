"""/imagine: pictures from words, four at a time, and what one does with them next.

U makes one picture larger, V makes relatives of it, 🔁 draws again with a new seed, ✏️ opens the
options in a form. Whoever may see an answer may go on from it, at their own cost.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from bot.commands import Offered
from bot.core import answers
from bot.core.chat import (
    Action,
    Button,
    ButtonStyle,
    Choice,
    Command,
    Invocation,
    Options,
    Reply,
    Text,
)
from bot.core.domain import Artifact, Job, JobState
from bot.core.i18n import formats
from bot.core.options import from_params, merged
from bot.core.params import PRIVATE, SEED, count_option, model_option
from bot.errors import NotFound
from bot.services.jobs import JobDraft
from generators import catalog
from generators.contract import MAX_SEED

if TYPE_CHECKING:
    from bot.services import Services
    from bot.services.models import ModelOffers

_UPSCALER: Final = "lanczos"
_MAX_SIDE_PX: Final = 2048  # of a picture made larger
_VARIATION_STRENGTH: Final = 0.35
_COUNT: Final = 4
_OWN = {"model", "count", "seed", "private"}  # options that are not the generator's params
_HIDDEN = {"variation_seed", "variation_strength"}  # params that only the V buttons set
_FORM = ("prompt", "negative_prompt", "seed", "guidance_scale", "num_inference_steps")

_PROMPT = Text(en="What the picture shows.", zh="图中要画什么。")
_PICTURES = Text(en="pictures", zh="张图片")
_REMIX = Text(en="Remix", zh="修改后重新生成")
_CAPTION = Text(en="{model} · seed {seed} · {time}", zh="{model} · 种子 {seed} · {time}")
_LARGER = Text(en="Enlarged to {width} × {height}", zh="已放大到 {width} × {height}")
_ENLARGE = Text(en="Enlarge picture {n}", zh="放大第 {n} 张图")
_VARY = Text(en="Make variations of picture {n}", zh="生成第 {n} 张图的变体")
_VARY_THIS = Text(en="Make variations of this picture", zh="生成这张图的变体")
_VARY_LABEL = Text(en="🎲 Variations", zh="🎲 变体")
_NO_PICTURE = Text(en="There is no picture {n} in this answer.", zh="这个结果里没有第 {n} 张图。")


def command(offered: Offered) -> Command:
    """The declaration: the union of what the image generators take."""
    generators = [catalog.spec(name) for name in catalog.names()]
    prompt, *others = merged(
        from_params(spec.params, skip=_HIDDEN, rest="prompt", texts={"prompt": _PROMPT})
        for spec in generators
        if spec.modality == "image" and "prompt" in spec.capabilities
    )
    models = model_option(lambda: _models(offered.offers))
    count = count_option(_PICTURES, default=_COUNT)
    return Command(
        name="imagine",
        summary=Text(en="Draw pictures from words", zh="根据文字画图"),
        category="create",
        run=_run,
        options=(prompt, models, count, SEED, *others, PRIVATE),
        examples=("/imagine red heart", "/imagine red heart seed:7 count:1"),
        present=_present,
        actions={
            **{f"u{n}": Action(_enlarge(n), owner_only=False) for n in range(1, _COUNT + 1)},
            **{f"v{n}": Action(_vary(n), owner_only=False) for n in range(1, _COUNT + 1)},
            "reroll": Action(_reroll, owner_only=False),
            "remix": Action(_remix(offered), owner_only=False),
        },
    )


def _models(offers: ModelOffers) -> tuple[Choice, ...]:
    return tuple(
        Choice(value=offer.name, label=offer.name)
        for offer in offers.offers("image")
        if "prompt" in offer.spec.capabilities
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    private = invocation.private or bool(options["private"])
    given = {name: value for name, value in options.items() if value not in (None, "")}
    return await _admit(
        services,
        invocation,
        JobDraft(
            command="imagine",
            model=given.get("model"),
            modality="image",
            params={name: value for name, value in given.items() if name not in _OWN},
            seed=given.get("seed"),
            count=given["count"],
            private=private,
        ),
    )


async def _admit(services: Services, invocation: Invocation, draft: JobDraft) -> Reply:
    ticket = await services.jobs.admit(invocation, draft)
    locale = invocation.origin.locale
    return answers.queued(services.signer, ticket, locale, private=draft.private)


def _enlarge(n: int) -> Callable[[Any, Invocation, Job], Awaitable[Reply]]:
    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        picture = await _picture(services, invocation, job, n)
        longest = max(_pixels(picture, "width"), _pixels(picture, "height"), 1)
        return await _admit(
            services,
            invocation,
            JobDraft(
                command="imagine",
                model=_UPSCALER,
                modality="image",
                params={"scale": max(2, min(4, _MAX_SIDE_PX // longest))},
                seed=_item_seed(job, n),
                inputs={"image": picture.ref()},
                parent_job_id=job.id,
                private=job.private,
            ),
        )

    return run


def _vary(n: int) -> Callable[[Any, Invocation, Job], Awaitable[Reply]]:
    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        parent, index = job, n
        if _is_larger(job):
            parent, index = await _before_enlarging(services, invocation, job)
        else:
            await _picture(services, invocation, job, n)
        # Relatives of a relative stay in the first picture's family: the noise of the whole
        # family is mixed into the same base, so they still resemble each other.
        varied = "variation_seed" in _known(parent)
        return await _admit(
            services,
            invocation,
            JobDraft(
                command="imagine",
                model=parent.model,
                modality="image",
                params={
                    **_known(parent),
                    "variation_seed": secrets.randbelow(MAX_SEED + 1),
                    "variation_strength": _VARIATION_STRENGTH,
                },
                seed=parent.seed if varied else _item_seed(parent, index),
                count=_COUNT,
                parent_job_id=parent.id,
                private=job.private,
            ),
        )

    return run


async def _reroll(services: Services, invocation: Invocation, job: Job) -> Reply:
    """The same again with other noise; a variation stays one of the same picture."""
    params, seed = _known(job), None
    if "variation_seed" in params:
        params["variation_seed"] = secrets.randbelow(MAX_SEED + 1)
        seed = job.seed
    return await _admit(
        services,
        invocation,
        JobDraft(
            command="imagine",
            model=job.model,
            modality="image",
            params=params,
            seed=seed,
            count=job.count,
            inputs=job.inputs,
            parent_job_id=job.parent_job_id,
            private=job.private,
        ),
    )


def _remix(offered: Offered) -> Callable[[Any, Invocation, Job], Awaitable[Reply]]:
    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        if _is_larger(job):
            job, _ = await _before_enlarging(services, invocation, job)
        declared = offered.commands["imagine"]
        title = _REMIX.in_(invocation.origin.locale)
        return Reply(form=answers.form(declared, job, _FORM, title), ephemeral=True)

    return run


def _present(services: Services, job: Job, artifacts: tuple[Artifact, ...], locale: str) -> Reply:
    if job.state is not JobState.DONE:
        return answers.ended_badly(services.signer, job, locale)
    items = answers.items_of(artifacts)
    keep = (
        answers.favorite_button(services.signer, job, locale),
        answers.delete_button(services.signer, job, locale),
    )
    if _is_larger(job):
        return _present_larger(services, job, items, keep, locale)
    again = (
        answers.reroll_button(services.signer, job, locale),
        answers.remix_button(services.signer, job, locale),
    )
    count, signer = min(len(items), _COUNT), services.signer
    rows = [
        answers.numbered(
            signer, job, "u", "U{n}", _ENLARGE, count, locale, style=ButtonStyle.PRIMARY
        )
    ]
    if _can_vary(job):
        rows.append(answers.numbered(signer, job, "v", "V{n}", _VARY, count, locale))
    rows.append(again + keep)
    return Reply(
        title=str(job.params.get("prompt", "")),
        text=_CAPTION.in_(locale).format(
            model=job.model, seed=job.seed, time=formats.duration(answers.run_s(job), locale)
        ),
        media=(*items, *(artifact for artifact in artifacts if artifact.role == "grid")),
        buttons=tuple(row for row in rows if row),
        ephemeral=job.private,
    )


def _present_larger(
    services: Services,
    job: Job,
    items: tuple[Artifact, ...],
    keep: tuple[Button, ...],
    locale: str,
) -> Reply:
    size = {side: _pixels(items[0], side) if items else 0 for side in ("width", "height")}
    vary = answers.button(services.signer, job.id, "v1", _VARY_LABEL, _VARY_THIS, locale)
    return Reply(
        text=_LARGER.in_(locale).format(**size),
        media=items,
        buttons=((vary, *keep) if job.parent_job_id else keep,),
        ephemeral=job.private,
    )


async def _picture(services: Services, invocation: Invocation, job: Job, n: int) -> Artifact:
    """The n-th picture of a job, from 1. Raises NotFound where it has none."""
    _, artifacts = await services.jobs.for_member(invocation.origin, job.id)
    items = answers.items_of(artifacts)
    if len(items) < n:
        text = _NO_PICTURE.format(n=n)
        raise NotFound(text.en, text.zh)
    return items[n - 1]


async def _before_enlarging(
    services: Services, invocation: Invocation, job: Job
) -> tuple[Job, int]:
    """The job whose picture was made larger, and which of its pictures that was, from 1."""
    parent, artifacts = await services.jobs.for_member(
        invocation.origin, job.parent_job_id or job.id
    )
    source = job.inputs["image"].key if "image" in job.inputs else ""
    keys = [artifact.key for artifact in answers.items_of(artifacts)]
    return parent, keys.index(source) + 1 if source in keys else 1


def _known(job: Job) -> dict[str, Any]:
    """The params that the member or a button set; the model's defaults stay the model's."""
    return {name: value for name, value in job.params.items() if value not in (None, "")}


def _can_vary(job: Job) -> bool:
    return (
        job.generator in catalog.names() and "variation" in catalog.spec(job.generator).capabilities
    )


def _is_larger(job: Job) -> bool:
    return "prompt" not in job.params


def _item_seed(job: Job, n: int) -> int:
    """The seed of the n-th picture (see GenerateRequest.item_seeds); a variation's is its base."""
    return (job.seed + n - 1) % (MAX_SEED + 1)


def _pixels(artifact: Artifact, side: str) -> int:
    return int(artifact.facts.get(side, 0))
