"""/denoise: a picture without its noise and damage, as the model thinks it was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.commands import Offered
from bot.core.chat import Action, Command, Invocation, Options, Reply, Text
from bot.core.options import from_params, merged
from bot.core.params import IMAGE, PRIVATE, model_option
from bot.services import making, relatives

if TYPE_CHECKING:
    from bot.services import Services


def command(offered: Offered) -> Command | None:
    """The declaration: the union of what the models that clean take."""
    specs = offered.offers.specs("image", "denoise")
    if not specs:
        return None
    others = merged(from_params(spec.params, only={"denoise", "upscale"}) for spec in specs)
    return Command(
        name="denoise",
        summary=Text(en="Clean a noisy picture", zh="给有噪点的图片去噪"),
        category="change",
        run=_run,
        options=(
            IMAGE,
            *others,
            model_option(making.model_choices(offered.offers, "image", "denoise")),
            PRIVATE,
        ),
        examples=("/denoise last", "/denoise last denoise:0.5"),
        present=relatives.present_to_enlarge,
        actions={
            "u1": Action(relatives.enlarge(1), owner_only=False),
            "reroll": Action(making.reroll, owner_only=False),
        },
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    inputs = await making.pictures(services, invocation, options, "image")
    draft = making.draft("denoise", invocation, options, needs=("denoise",), inputs=inputs)
    return await making.admit(services, invocation, draft)
