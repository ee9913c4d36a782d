"""/denoise: a picture without its noise and damage, as the model thinks it was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.commands import Offered
from bot.core import answers
from bot.core.chat import Action, Command, Invocation, Options, Reply, Text
from bot.core.domain import Artifact, Job
from bot.core.options import from_params, merged
from bot.core.params import PRIVATE, image_option, model_option
from bot.services import making, relatives

if TYPE_CHECKING:
    from bot.services import Services

_IMAGE = Text(
    en="The picture: a file, “last”, or an id of your history.",
    zh="图片：文件、last，或历史中的编号。",
)


def command(offered: Offered) -> Command | None:
    """The declaration: the union of what the models that clean take."""
    able = offered.offers.capable("image", "denoise")
    if not able:
        return None
    specs = {offer.spec.name: offer.spec for offer in able}
    others = merged(
        from_params(spec.params, only={"denoise", "upscale"}) for spec in specs.values()
    )
    return Command(
        name="denoise",
        summary=Text(en="Clean a noisy picture", zh="给有噪点的图片去噪"),
        category="change",
        run=_run,
        options=(
            image_option("image", _IMAGE, required=True),
            *others,
            model_option(making.model_choices(offered.offers, "image", "denoise")),
            PRIVATE,
        ),
        examples=("/denoise last", "/denoise last denoise:0.5"),
        present=_present,
        actions={
            "u1": Action(relatives.enlarge(1), owner_only=False),
            "reroll": Action(making.reroll, owner_only=False),
        },
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    inputs = await making.pictures(services, invocation, options, "image")
    draft = making.draft("denoise", invocation, options, needs=("denoise",), inputs=inputs)
    return await making.admit(services, invocation, draft)


def _present(services: Services, job: Job, artifacts: tuple[Artifact, ...], locale: str) -> Reply:
    def rows(items: int) -> tuple[answers.Row, ...]:
        return (relatives.enlarge_row(services, job, items, locale),)

    return making.present(services, job, artifacts, locale, rows=rows, changes=False)
