"""/animate: a short loop from words: MP4, GIF and WebM that end where they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bot.commands import Offered
from bot.core.chat import Action, Command, Invocation, Option, Options, OptionType, Reply, Text
from bot.core.domain import Job
from bot.core.options import from_params, merged
from bot.core.params import PRIVATE, SEED, model_option
from bot.errors import BadOption
from bot.services import making
from generators.contract import GeneratorSpec

if TYPE_CHECKING:
    from bot.services import Services

_SECONDS: Final = 2.0  # where none are asked for
_MIN_SECONDS: Final = 0.5
_FORM: Final = ("prompt", "seconds", "motion", "negative_prompt", "seed")
# Params that follow from the options, that buttons set, or that go with a picture.
_HIDDEN: Final = {"frames", "variation_seed", "variation_strength", "variation_trail", "strength"}

_PROMPT = Text(en="What the loop shows.", zh="动画要画什么。")
_LENGTH = Text(en="How long one round lasts, in seconds.", zh="循环一圈的时长（秒）。")
_TOO_LONG = Text(
    en="At {fps} frames a second a loop of this model lasts at most {most} seconds.",
    zh="以每秒 {fps} 帧计算，这个模型的循环最长 {most} 秒。",
)


def command(offered: Offered) -> Command | None:
    """The declaration: the union of what the models on offer that animate take."""
    specs = offered.offers.specs("image", "prompt", "animate")
    if not specs:
        return None
    prompt, *others = merged(
        from_params(spec.params, skip=_HIDDEN, rest="prompt", texts={"prompt": _PROMPT})
        for spec in specs
    )
    seconds = Option(
        name="seconds",
        type=OptionType.NUMBER,
        default=_SECONDS,
        minimum=_MIN_SECONDS,
        maximum=max(_most_frames(spec) / _default_fps(spec) for spec in specs),
        description=_LENGTH,
    )
    return Command(
        name="animate",
        summary=Text(en="Make a looping animation from words", zh="根据文字生成循环动画"),
        category="create",
        run=_run,
        options=(
            prompt,
            seconds,
            model_option(making.model_choices(offered.offers, "image", "prompt", "animate")),
            SEED,
            *others,
            PRIVATE,
        ),
        examples=("/animate red heart", "/animate campfire seconds:3 seed:7"),
        present=making.present,
        recall=_recall,
        actions={
            "reroll": Action(making.reroll, owner_only=False),
            "remix": Action(making.remix(offered.commands, _FORM), owner_only=False),
        },
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    needs = ("prompt", "animate")
    spec = services.models.choose(options["model"], "image", *needs).spec
    frames = _frames(spec, float(options["seconds"]), int(options["fps"] or _default_fps(spec)))
    given = {**options, "frames": frames}
    del given["seconds"]
    draft = making.draft("animate", invocation, given, needs=needs, effort=frames)
    return await making.admit(services, invocation, draft)


def _frames(spec: GeneratorSpec, seconds: float, fps: int) -> int:
    """How many frames a loop has. Raises BadOption where the generator draws fewer."""
    frames, most = max(2, round(seconds * fps)), _most_frames(spec)
    if frames > most:
        text = _TOO_LONG.format(fps=fps, most=f"{most / fps:.3g}")
        raise BadOption(text.en, text.zh)
    return frames


def _most_frames(spec: GeneratorSpec) -> int:
    schema = spec.params.model_json_schema()["properties"]["frames"]
    return int(schema["maximum"])


def _default_fps(spec: GeneratorSpec) -> int:
    return int(spec.params.model_fields["fps"].default)


def _recall(job: Job) -> dict[str, Any]:
    seconds = int(job.params.get("frames", 0)) / int(job.params.get("fps") or 1)
    return {"seconds": f"{seconds:.3g}", "frames": None, "count": None}
