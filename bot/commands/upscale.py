"""/upscale: a picture made larger, by the best model on offer that can. U under pictures makes the
same kind of job."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bot.commands import Offered
from bot.core.chat import Action, Command, Invocation, Options, Reply, Text
from bot.core.options import from_params, merged
from bot.core.params import IMAGE, PRIVATE, model_option
from bot.services import making, relatives

if TYPE_CHECKING:
    from bot.services import Services

_SCALE = Text(
    en="How many times wider and higher; left out, as large as is comfortable.",
    zh="宽和高放大的倍数；不写则放大到合适的尺寸。",
)


def command(offered: Offered) -> Command | None:
    """The declaration: the union of what the models that enlarge take."""
    specs = offered.offers.specs("image", "upscale", "image_input")
    if not specs:
        return None
    scale = merged(
        from_params(spec.params, only={"scale"}, texts={"scale": _SCALE}) for spec in specs
    )
    return Command(
        name="upscale",
        summary=Text(en="Make a picture larger", zh="放大一张图片"),
        category="change",
        run=_run,
        options=(
            IMAGE,
            *(replace(option, default=None) for option in scale),
            model_option(making.model_choices(offered.offers, "image", "upscale", "image_input")),
            PRIVATE,
        ),
        examples=("/upscale last", "/upscale last#2 scale:2"),
        present=relatives.present_larger,
        recall=lambda job: {"scale": job.params.get("scale")},
        actions={
            "v1": Action(relatives.vary(1), owner_only=False),
            "reroll": Action(making.reroll, owner_only=False),
        },
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    inputs = await making.pictures(services, invocation, options, "image")
    draft = making.draft(
        "upscale",
        invocation,
        options,
        needs=("upscale", "image_input"),
        inputs=inputs,
        params={"scale": relatives.scale_for(inputs["image"], options.get("scale"))},
    )
    return await making.admit(services, invocation, draft)
