"""/blend: what lies between two pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot.commands import Offered
from bot.core.chat import Action, Command, Invocation, Options, Reply, Text
from bot.core.options import from_params, merged
from bot.core.params import PRIVATE, count_option, image_option, model_option
from bot.services import making, relatives

if TYPE_CHECKING:
    from bot.services import Services

_COUNT: Final = 4

_FIRST = Text(
    en="The first picture: a file, “last”, or an id of your history.",
    zh="第一张图片：文件、last，或历史中的编号。",
)
_SECOND = Text(
    en="The second picture, likewise; “last#2” is the second of your latest answer.",
    zh="第二张图片，方式相同；last#2 表示最近结果中的第二张。",
)
_WHERE = Text(
    en="Where between them: 0 is the first, 1 the second; several are spread evenly.",
    zh="两者之间的位置：0 为第一张，1 为第二张；多张时均匀分布。",
)
_BETWEEN = Text(en="pictures in between", zh="张中间的图片")


def command(offered: Offered) -> Command | None:
    """The declaration: the union of what the models that blend take."""
    specs = offered.offers.specs("image", "blend")
    if not specs:
        return None
    others = merged(
        from_params(spec.params, only={"blend", "upscale"}, texts={"blend": _WHERE})
        for spec in specs
    )
    return Command(
        name="blend",
        summary=Text(en="Blend two pictures into one another", zh="把两张图片融合在一起"),
        category="change",
        run=_run,
        options=(
            image_option("image", _FIRST, required=True),
            image_option("image_b", _SECOND, required=True),
            count_option(_BETWEEN, default=_COUNT),
            model_option(making.model_choices(offered.offers, "image", "blend")),
            *others,
            PRIVATE,
        ),
        examples=("/blend last image_b:last#2", "/blend last image_b:last#2 count:1 blend:0.3"),
        present=relatives.present_to_enlarge,
        actions={
            **{
                f"u{n}": Action(relatives.enlarge(n), owner_only=False)
                for n in range(1, relatives.BUTTONS + 1)
            },
            "reroll": Action(making.reroll, owner_only=False),
        },
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    inputs = await making.pictures(services, invocation, options, "image", "image_b")
    draft = making.draft("blend", invocation, options, needs=("blend",), inputs=inputs)
    return await making.admit(services, invocation, draft)
