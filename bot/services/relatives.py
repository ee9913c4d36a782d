"""What one makes of a picture in an answer: U makes it larger, V makes relatives of it.

Actions for the commands whose answers are pictures. Whoever may see an answer may go on from it,
at their own cost.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from bot.core import answers
from bot.core.chat import ButtonStyle, Invocation, Reply, Text
from bot.core.domain import Artifact, Job, JobState
from bot.errors import BadOption, NotFound
from bot.services.admission import JobDraft
from bot.services.inputs import Input
from bot.services.making import Run, admit, again, can, known_params, present
from generators import catalog
from generators.contract import MAX_SEED
from generators.params import variations

if TYPE_CHECKING:
    from bot.services import Services

BUTTONS: Final = 4  # pictures of an answer that have buttons
MAX_SIDE_PX: Final = 4096  # of a picture made larger on demand
_COMFORTABLE_SIDE_PX: Final = 2048  # of one made larger by a button
_STRENGTH: Final = 0.35

_ENLARGE = Text(en="Enlarge picture {n}", zh="放大第 {n} 张图")
_VARY = Text(en="Make variations of picture {n}", zh="生成第 {n} 张图的变体")
_VARY_THIS = Text(en="Make variations of this picture", zh="生成这张图的变体")
_VARY_LABEL = Text(en="🎲 Variations", zh="🎲 变体")
_LARGER = Text(
    en="Enlarged to {width} × {height} · {model}", zh="已放大到 {width} × {height} · {model}"
)
_NO_PICTURE = Text(en="There is no picture {n} in this answer.", zh="这个结果里没有第 {n} 张图。")
_NO_VARIATIONS = Text(
    en="This picture was not drawn from noise, so there are no variations of it.",
    zh="这张图不是从噪声画出来的，因此没有变体。",
)
_FAR_ENOUGH = Text(
    en="This picture is the variation of a variation too many times over. Try 🔁 or a new prompt.",
    zh="这张图已经是很多次变体的变体了，请试试 🔁 或新的提示词。",
)
_TOO_LARGE = Text(
    en="The picture would be {width} × {height} pixels; at most {most} a side are made.",
    zh="图片会有 {width} × {height} 像素；每边最多 {most} 像素。",
)


def enlarge_row(services: Services, job: Job, items: int, locale: str) -> answers.Row:
    """U1, U2..."""
    return answers.numbered(
        services.signer,
        job,
        "u",
        "U{n}",
        _ENLARGE,
        min(items, BUTTONS),
        locale,
        style=ButtonStyle.PRIMARY,
    )


def vary_row(services: Services, job: Job, items: int, locale: str) -> answers.Row:
    """V1, V2..., where the generator knows variations."""
    if not can(job, "variation"):
        return ()
    return answers.numbered(services.signer, job, "v", "V{n}", _VARY, min(items, BUTTONS), locale)


def enlarge(n: int) -> Run:
    """An action: the n-th picture, larger, by the default model that can."""

    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        picture = await _picture(services, invocation, job, n)
        draft = JobDraft(
            command="upscale",
            model=None,
            modality="image",
            needs=("upscale",),
            params={"scale": scale_for(picture.ref())},
            seed=_item_seed(job, n),
            inputs={"image": picture.ref()},
            parent_job_id=job.id,
            private=job.private,
        )
        return await admit(services, invocation, draft)

    return run


def vary(n: int) -> Run:
    """An action: relatives of the n-th picture. Of a picture made larger, of what it was before."""

    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        parent, index = job, n
        if is_larger(job):
            parent, index = await before_enlarging(services, invocation, job)
        else:
            await _picture(services, invocation, job, n)
        draft = again(
            parent,
            **_relatives(parent, index),
            count=BUTTONS,
            parent_job_id=parent.id,
            private=job.private,
        )
        return await admit(services, invocation, draft)

    return run


def present_to_enlarge(
    services: Services, job: Job, artifacts: tuple[Artifact, ...], locale: str
) -> Reply:
    """The answer to a job that changed pictures: each can be made larger."""

    def rows(items: int) -> tuple[answers.Row, ...]:
        return (enlarge_row(services, job, items, locale),)

    return present(services, job, artifacts, locale, rows=rows, changes=False)


def present_larger(
    services: Services, job: Job, artifacts: tuple[Artifact, ...], locale: str
) -> Reply:
    """The answer to a job that made a picture larger."""
    if job.state is not JobState.DONE:
        return answers.ended_badly(services.signer, job, locale)
    media = answers.media_of(artifacts)
    facts = media[0].facts if media else {}
    signer = services.signer
    vary = answers.button(signer, job.id, "v1", _VARY_LABEL, _VARY_THIS, locale)
    row = (
        *((vary,) if job.parent_job_id else ()),
        answers.favorite_button(signer, job, locale),
        answers.delete_button(signer, job, locale),
    )
    more = answers.row_among_others(signer, job, locale)
    return Reply(
        text=_LARGER.in_(locale).format(
            width=facts.get("width", "?"), height=facts.get("height", "?"), model=job.model
        ),
        media=media,
        buttons=(row, more),
        ephemeral=job.private,
    )


async def reroll(services: Services, invocation: Invocation, job: Job) -> Reply:
    """An action: the same again with other noise; a variation stays one of the same picture."""
    draft = again(job)
    if "variation_seed" in draft.params:
        params = {**draft.params, "variation_seed": secrets.randbelow(MAX_SEED + 1)}
        draft = again(job, params=params, seed=job.seed)
    return await admit(services, invocation, draft)


def is_larger(job: Job) -> bool:
    """Whether the job made a picture larger, whatever command it came from."""
    return "prompt" not in job.params and can(job, "upscale")


async def before_enlarging(services: Services, invocation: Invocation, job: Job) -> tuple[Job, int]:
    """The job whose picture was made larger, and which of its pictures that was, from 1. Raises
    NotFound where it is gone."""
    parent, artifacts = await services.jobs.for_member(
        invocation.origin, job.parent_job_id or job.id
    )
    source = job.inputs["image"].key if "image" in job.inputs else ""
    keys = [artifact.key for artifact in answers.items_of(artifacts)]
    return parent, keys.index(source) + 1 if source in keys else 1


def scale_for(picture: Input, asked: int | None = None) -> int:
    """How many times larger a picture is made: as asked, else up to four times, as far as is
    comfortable. Raises BadOption where that is too much."""
    width, height = (int(_facts(picture).get(side, 0)) for side in ("width", "height"))
    if asked is None:
        asked = max(2, min(4, _COMFORTABLE_SIDE_PX // max(width, height, 1)))
    if max(width, height) * asked > MAX_SIDE_PX:
        text = _TOO_LARGE.format(width=width * asked, height=height * asked, most=MAX_SIDE_PX)
        raise BadOption(text.en, text.zh)
    return asked


def _relatives(parent: Job, n: int) -> dict[str, Any]:
    """The seed and params of relatives of a job's n-th picture: noise is mixed into exactly the
    noise that the picture was drawn from, which for a relative is that of its own family, mixed
    as often as it was."""
    params = known_params(parent)
    fields = catalog.spec(parent.generator).params.model_fields if can(parent, "variation") else {}
    if "variation_seed" not in fields:
        raise NotFound(_NO_VARIATIONS.en, _NO_VARIATIONS.zh)
    seed = parent.seed
    if "variation_seed" not in params:
        seed = _item_seed(parent, n)
    elif "variation_trail" in fields:
        trail = variations.extended(
            str(params.get("variation_trail", "")),
            (int(params["variation_seed"]) + n - 1) % (MAX_SEED + 1),
            float(params["variation_strength"]),
        )
        if trail is None:
            raise BadOption(_FAR_ENOUGH.en, _FAR_ENOUGH.zh)
        params["variation_trail"] = trail
    params["variation_seed"] = secrets.randbelow(MAX_SEED + 1)
    params["variation_strength"] = _STRENGTH
    return {"seed": seed, "params": params}


async def _picture(services: Services, invocation: Invocation, job: Job, n: int) -> Artifact:
    """The n-th picture of a job, from 1. Raises NotFound where it has none."""
    _, artifacts = await services.jobs.for_member(invocation.origin, job.id)
    items = answers.items_of(artifacts)
    if len(items) < n:
        text = _NO_PICTURE.format(n=n)
        raise NotFound(text.en, text.zh)
    return items[n - 1]


def _item_seed(job: Job, n: int) -> int:
    """The seed of the n-th picture (see GenerateRequest.item_seeds)."""
    return (job.seed + n - 1) % (MAX_SEED + 1)


def _facts(picture: Input) -> dict[str, Any]:
    return dict(picture.facts)
