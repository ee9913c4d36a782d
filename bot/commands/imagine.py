"""/imagine: pictures from words, four at a time, or from words and a picture.

U makes one picture larger, V makes relatives of it, 🔁 draws again with a new seed, ✏️ opens the
options in a form.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bot.commands import Offered
from bot.core import answers
from bot.core.chat import Action, Command, Invocation, Options, Reply, Text
from bot.core.domain import Artifact, Job
from bot.core.options import from_params, merged
from bot.core.params import PRIVATE, SEED, count_option, image_option, model_option
from bot.errors import BadOption
from bot.services import making, relatives

if TYPE_CHECKING:
    from bot.services import Services

_COUNT: Final = 4
_FORM: Final = ("prompt", "negative_prompt", "seed", "guidance_scale", "num_inference_steps")
# Params that only buttons or other commands set, and one that goes with a picture.
_HIDDEN: Final = {"variation_seed", "variation_strength", "variation_trail", "strength"} | {
    *("frames", "fps", "motion", "blend", "denoise")
}

_PROMPT = Text(en="What the picture shows.", zh="图中要画什么。")
_IMAGE = Text(en="A picture to start from.", zh="作为起点的图片。")
_PICTURES = Text(en="pictures", zh="张图片")
_STRENGTH_ALONE = Text(
    en="strength says how far to go from a picture: give an image too.",
    zh="strength 表示与图片的差距，请同时给出 image。",
)


def command(offered: Offered) -> Command | None:
    """The declaration: the union of what the image generators on offer take."""
    specs = offered.offers.specs("image", "prompt")
    if not specs:
        return None
    prompt, *others = merged(
        from_params(spec.params, skip=_HIDDEN, rest="prompt", texts={"prompt": _PROMPT})
        for spec in specs
    )
    starts = [spec for spec in specs if "image_input" in spec.capabilities]
    image = (image_option("image", _IMAGE),) if starts else ()
    strength = merged(from_params(spec.params, only={"strength"}) for spec in starts)
    pictures = range(1, relatives.BUTTONS + 1)
    return Command(
        name="imagine",
        summary=Text(en="Draw pictures from words", zh="根据文字画图"),
        category="create",
        lead=True,
        run=_run,
        options=(
            replace(prompt, required=True),
            model_option(making.model_choices(offered.offers, "image", "prompt")),
            count_option(_PICTURES, default=_COUNT),
            SEED,
            *image,
            *(replace(option, default=None) for option in strength),
            *others,
            PRIVATE,
        ),
        examples=("/imagine red heart", "/imagine red heart seed:7 count:1"),
        present=_present,
        actions={
            **{f"u{n}": Action(relatives.enlarge(n), owner_only=False) for n in pictures},
            **{f"v{n}": Action(relatives.vary(n), owner_only=False) for n in pictures},
            "reroll": Action(relatives.reroll, owner_only=False),
            "remix": Action(_remix(offered), owner_only=False),
        },
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    inputs = await making.pictures(services, invocation, options, "image")
    if options.get("strength") is not None and not inputs:
        raise BadOption(_STRENGTH_ALONE.en, _STRENGTH_ALONE.zh)
    needs = ("prompt", "image_input") if inputs else ("prompt",)
    draft = making.draft("imagine", invocation, options, needs=needs, inputs=inputs)
    return await making.admit(services, invocation, draft)


def _remix(offered: Offered) -> making.Run:
    """The options in a form; of a picture made larger, of what it was before."""
    form = making.remix(offered.commands, _FORM)

    async def run(services: Services, invocation: Invocation, job: Job) -> Reply:
        if relatives.is_larger(job):
            job, _ = await relatives.before_enlarging(services, invocation, job)
        return await form(services, invocation, job)

    return run


def _present(services: Services, job: Job, artifacts: tuple[Artifact, ...], locale: str) -> Reply:
    if relatives.is_larger(job):  # an answer of the time before U made jobs of /upscale
        return relatives.present_larger(services, job, artifacts, locale)

    def rows(items: int) -> tuple[answers.Row, ...]:
        return (
            relatives.enlarge_row(services, job, items, locale),
            relatives.vary_row(services, job, items, locale),
        )

    return making.present(services, job, artifacts, locale, rows=rows)
