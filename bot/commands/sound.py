"""/sound: a short sound from words: WAV, Opus, and a picture of the wave."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bot.commands import Offered
from bot.core.chat import Action, Command, Invocation, Options, Reply, Text
from bot.core.domain import Job
from bot.core.options import from_params, merged
from bot.core.params import PRIVATE, SEED, count_option, model_option
from bot.services import making

if TYPE_CHECKING:
    from bot.services import Services

_MAX_COUNT: Final = 4
_FORM: Final = ("prompt", "seconds", "seed", "count")

_PROMPT = Text(en="What is to be heard.", zh="要听到什么。")
_SECONDS = Text(en="How long, in seconds.", zh="时长（秒）。")
_SOUNDS = Text(en="sounds", zh="段声音")


def command(offered: Offered) -> Command | None:
    """The declaration: the union of what the sound generators on offer take; their `duration_s` is
    called `seconds` here."""
    specs = offered.offers.specs("audio", "prompt")
    if not specs:
        return None
    texts = {"prompt": _PROMPT, "duration_s": _SECONDS}
    prompt, *others = (
        replace(option, name="seconds") if option.name == "duration_s" else option
        for option in merged(from_params(spec.params, rest="prompt", texts=texts) for spec in specs)
    )
    return Command(
        name="sound",
        summary=Text(en="Make a sound from words", zh="根据文字生成声音"),
        category="create",
        run=_run,
        options=(
            replace(prompt, required=True),
            model_option(making.model_choices(offered.offers, "audio", "prompt")),
            count_option(_SOUNDS, default=1, maximum=_MAX_COUNT),
            SEED,
            *others,
            PRIVATE,
        ),
        examples=("/sound violin C4", "/sound snare drum seconds:1 count:3"),
        present=making.present,
        recall=_recall,
        actions={
            "reroll": Action(making.reroll, owner_only=False),
            "remix": Action(making.remix(offered.commands, _FORM), owner_only=False),
        },
    )


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    named = dict(options)
    named["duration_s"] = named.pop("seconds", None)
    draft = making.draft("sound", invocation, named, modality="audio")
    return await making.admit(services, invocation, draft)


def _recall(job: Job) -> dict[str, Any]:
    return {"seconds": job.params.get("duration_s"), "duration_s": None}
