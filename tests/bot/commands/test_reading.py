"""The commands that look: models, queue, history, favourites, quota, help, ping; and cancel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.commands import Offered
from bot.commands.help import command as declare_help
from bot.core.chat import Reply, Role
from bot.core.domain import JobState, Limits
from bot.router import Router
from bot.services.quota import QuotaService
from generators.engine.port import Capacity

Studio = Any  # the fixture's class, in conftest.py

REPORTED = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f"  # in the example of /report
LOOKING = ("models", "queue", "history", "favorites", "quota", "help", "ping")


def words(reply: Reply) -> str:
    """All that a member reads."""
    fields = [f"{field.label} {field.value}" for field in reply.fields]
    cards = [f"{card.title} {card.text}" for card in reply.cards]
    return "\n".join([reply.title, reply.text, *fields, *cards])


@pytest.mark.parametrize("command", [*LOOKING, "cancel"])
@pytest.mark.parametrize("filled", [False, True])
async def test_both_languages(studio: Studio, command: str, filled: bool) -> None:
    chinese = replace(studio.anna, locale="zh-CN")
    if filled:
        done = await studio.made("/imagine red heart")
        await studio.press("fav", done.id)
        await studio.say("/imagine blue heart")
        await studio.say("/imagine blue heart")
    english, translated = await studio.say(f"/{command}"), await studio.say(f"/{command}", chinese)
    assert english.ephemeral
    assert translated.ephemeral
    assert words(english) != words(translated)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in words(translated))
    assert not any("\u4e00" <= letter <= "\u9fff" for letter in words(english))
    assert "{" not in words(english) + words(translated)  # no place was left unfilled


async def test_looking_is_free_and_leaves_no_trace(studio: Studio) -> None:
    for command in LOOKING:
        assert not (await studio.say(f"/{command}")).error
    assert studio.store.tables.accounts == {}
    assert studio.jobs == []


# --- models, ping ---


async def test_models_tell_licence_default_and_what_is_loaded(studio: Studio) -> None:
    studio.status.heard(capacity("ready", loaded=("lexicon",)))
    fields = {field.label: field.value for field in (await studio.say("/models")).fields}
    assert list(fields) == ["emoji", "turbo", "lanczos", "lexicon"]
    assert "licence Apache-2.0" in fields["emoji"]
    assert "default for pictures" in fields["emoji"]
    assert "default" not in fields["turbo"]
    assert "loaded" in fields["lexicon"]
    assert "loaded" not in fields["emoji"]
    only = await studio.say("/models text")
    assert [field.label for field in only.fields] == ["lexicon"]
    assert (await studio.say("/models paint")).error


@pytest.mark.parametrize("state", ["ready", "loading", "paused"])
async def test_ping_tells_how_the_workers_are(studio: Studio, state: Any) -> None:
    assert "none; jobs wait" in words(await studio.say("/ping"))
    studio.status.heard(capacity(state))
    said = words(await studio.say("/ping"))
    assert f"Worker {state}" in said
    assert "cuda:0" in said
    assert "ms" in said
    assert "Atelier" in said


def capacity(state: Any, loaded: tuple[str, ...] = ()) -> Capacity:
    return Capacity(
        worker_id="w", state=state, slots=2, held=0, loaded_models=loaded, device="cuda:0"
    )


# --- queue, cancel ---


async def test_the_queue_shows_my_jobs_and_nobody_elses_prompts(studio: Studio) -> None:
    anna, ben = studio.in_guild("anna"), studio.in_guild("ben")
    await studio.say("/imagine bens secret", ben)
    mine = studio.job(await studio.say("/imagine red heart", anna))
    studio.status.queue_depth = 2
    reply = await studio.say("/queue", anna)
    assert "secret" not in words(reply)
    (card,) = reply.cards
    assert card.title == "red heart"
    assert mine.id[:8] in card.text
    assert "number 2 in line" in card.text
    assert "2 waiting and 0 running" in reply.text
    assert "No worker is ready" in reply.text
    await studio.send(mine.id)
    assert "Working on it." in (await studio.say("/queue", anna)).cards[0].text


async def test_cancel_takes_my_latest_or_the_one_i_name(studio: Studio) -> None:
    first, second, third = [studio.job(await studio.say("/imagine red heart")) for _ in range(3)]
    reply = await studio.say("/cancel")
    assert reply.text == "Cancelled. Nothing was charged."
    assert studio.store.tables.jobs[third.id].state is JobState.CANCELLED
    await studio.say(f"/cancel {first.id[:8].upper()}")
    assert studio.store.tables.jobs[first.id].state is JobState.CANCELLED
    assert studio.store.tables.jobs[second.id].state is JobState.QUEUED
    await studio.say("/cancel")
    assert "no job waiting or running" in (await studio.say("/cancel")).text
    assert studio.charged_gpu_ms == 0


async def test_a_running_job_is_stopped_by_the_engine(studio: Studio) -> None:
    job = studio.job(await studio.say("/imagine red heart"))
    await studio.send(job.id)
    reply = await studio.press("cancel", job.id)
    assert reply.text == "Stopping it. Nothing will be charged."
    assert studio.stopped == [job.id]


async def test_cancel_never_hits_somebody_else(studio: Studio) -> None:
    anna, ben = studio.in_guild("anna"), studio.in_guild("ben")
    job = studio.job(await studio.say("/imagine red heart", anna))
    assert (await studio.say("/cancel", ben)).error
    assert "somebody else" in (await studio.say(f"/cancel {job.id}", ben)).text
    assert (await studio.say(f"/cancel {job.id[:8]}", ben)).error
    assert studio.store.tables.jobs[job.id].state is JobState.QUEUED
    moderator = studio.in_guild("mo", role=Role.MODERATOR)
    assert not (await studio.say(f"/cancel {job.id}", moderator)).error


@pytest.mark.parametrize("wrong", ["x", "zzzzzzzz", "0" * 32, "f" * 33, "job:' OR 1=1"])
async def test_cancelling_what_is_not_there(studio: Studio, wrong: str) -> None:
    job = studio.job(await studio.say("/imagine red heart"))
    assert (await studio.say(f"/cancel {wrong}")).error
    assert studio.store.tables.jobs[job.id].state is JobState.QUEUED


# --- history, favourites ---


async def test_history_pages_through_everything_once(studio: Studio) -> None:
    made = [(await studio.made(f"/imagine heart {n} count:1")).id for n in range(12)]
    by_page = [
        card.job_id
        for page in (1, 2, 3)
        for card in (await studio.say(f"/history page:{page}")).cards
    ]
    assert by_page == made[::-1]
    assert "nothing older" in (await studio.say("/history page:4")).text
    reply, by_button = await studio.say("/history"), []
    while True:
        by_button += [card.job_id for card in reply.cards]
        if not reply.buttons:
            break
        ((older,),) = reply.buttons
        action, job_id = studio.services.signer.read(older.data)
        reply = await studio.press(action, job_id)
    assert by_button == made[::-1]


async def test_a_card_tells_how_it_was_made_and_opens_the_answer(studio: Studio) -> None:
    job = await studio.made('/imagine "note: red heart" seed:7 count:2')
    (card,) = (await studio.say("/history")).cards
    assert card.title == "note: red heart"
    assert card.text.startswith(
        "/imagine note: red heart model:emoji count:2 seed:7 · just now"
    ) or ("seed:7" in card.text)
    assert [artifact.role for artifact in card.media] == ["item", "item"]
    assert [button.data.split(":")[0] for button in card.buttons[0]] == ["show", "fav", "delete"]
    shown = await studio.press("show", job.id)
    assert shown.ephemeral
    assert shown.buttons == (await studio.present(job.id)).buttons


async def test_history_finds_words_of_prompts_and_shows_what_failed(studio: Studio) -> None:
    await studio.made("/imagine red heart")
    failed = studio.job(await studio.say("/imagine Blue Bird"))
    await studio.fail(failed.id, "Out of paint.")
    (card,) = (await studio.say("/history bLUE")).cards
    assert "Out of paint." in card.text
    assert card.media == ()
    assert (await studio.say("/history green")).text == "Nothing matches “green”."
    assert (await studio.say("/history {search}")).text == "Nothing matches “{search}”."


async def test_a_search_goes_on_by_typing(studio: Studio) -> None:
    for _ in range(6):
        await studio.made("/imagine red heart count:1")
    reply = await studio.say("/history red heart")
    assert reply.buttons == ()
    assert reply.text == "More: /history red heart page:2"
    assert len((await studio.say(reply.text.removeprefix("More: "))).cards) == 1


async def test_favourites(studio: Studio) -> None:
    kept, other = await studio.made("/imagine red heart"), await studio.made("/imagine blue heart")
    await studio.press("fav", kept.id)
    (card,) = (await studio.say("/favorites")).cards
    assert card.job_id == kept.id != other.id
    assert card.buttons[0][1].pressed is True
    await studio.press("unfav", kept.id)
    assert "No favourites yet" in (await studio.say("/favorites")).text
    assert "no more favourites" in (await studio.say("/favorites 2")).text


async def test_what_was_made_in_private_is_not_listed_in_public(studio: Studio) -> None:
    await studio.made("/imagine red heart", studio.in_guild("anna"))
    elsewhere = studio.in_guild("anna", community_external_id="other guild")
    assert (await studio.say("/history", elsewhere)).cards == ()


# --- quota, help ---


async def test_quota_draws_meters(studio: Studio) -> None:
    await studio.made("/imagine red heart")
    await studio.say("/imagine blue heart")
    reply = await studio.say("/quota")
    fields = {field.label: field for field in reply.fields}
    assert fields["GPU time"].value == "1.6 GPU-seconds of 600 GPU-seconds"
    assert fields["GPU time"].fraction == pytest.approx(1600 / 600_000)
    assert fields["Jobs"].value == "2, no limit"
    assert fields["At once"].value == "1 now; up to 3 run and 50 more wait"
    assert "Counted over the last 24 h." in reply.text
    assert "The next part frees in 23 h 59 min." in reply.text


@pytest.mark.parametrize(
    ("limits", "label", "value", "fraction"),
    [
        (Limits(gpu_ms=None), "GPU time", "0 GPU-seconds, no limit", None),
        (Limits(jobs=0), "Jobs", "0 of 0", 1.0),
        (Limits(jobs=10), "Jobs", "0 of 10", 0.0),
        (Limits(community_gpu_ms=5000), "GPU time of everybody here",
         "0 GPU-seconds of 5 GPU-seconds", 0.0),
    ],
)  # fmt: skip
async def test_quota_with_other_limits(
    studio: Studio, limits: Limits, label: str, value: str, fraction: float | None
) -> None:
    quota = QuotaService(studio.store.unit_of_work, studio.clock, limits)
    studio.services = replace(studio.services, quota=quota)
    studio.router._services = studio.services
    fields = {field.label: field for field in (await studio.say("/quota")).fields}
    assert (fields[label].value, fields[label].fraction) == (value, fraction)


async def test_help_lists_every_command(studio: Studio) -> None:
    reply = await studio.say("/help")
    everybodys = [name for name, one in studio.commands.items() if one.role is Role.MEMBER]
    assert [field.label for field in reply.fields] == [f"/{name}" for name in everybodys]
    moderator = await studio.say("/help", studio.in_guild("mo", role=Role.MODERATOR))
    assert [field.label for field in moderator.fields] == [f"/{name}" for name in studio.commands]


@pytest.mark.parametrize("typed", ["imagine", "/imagine", "IMAGINE"])
async def test_help_tells_a_commands_options(studio: Studio, typed: str) -> None:
    reply = await studio.say(f"/help {typed}")
    fields = {field.label: field.value for field in reply.fields}
    assert set(fields) == {option.name for option in studio.commands["imagine"].option_list()}
    assert "required" in fields["prompt"]
    assert "one of emoji, turbo" in fields["model"]
    assert "1 to 4 · default 4" in fields["count"]
    assert "0 to 4294967295" in fields["seed"]
    assert "yes or no" in fields["private"]
    assert "/imagine red heart seed:7" in reply.text


async def test_help_for_what_is_not_there(studio: Studio) -> None:
    assert "Did you mean /imagine?" in (await studio.say("/help imagin")).text


async def test_help_hides_what_one_may_not_do(studio: Studio) -> None:
    sweep = replace(studio.commands["ping"], name="sweep", role=Role.MODERATOR)
    known = {**studio.commands, "sweep": sweep}
    known["help"] = declare_help(Offered(studio.services.models, known))
    studio.router = Router(studio.services, known)
    assert "/sweep" not in words(await studio.say("/help"))
    assert (await studio.say("/help sweep")).error
    moderator = studio.in_guild("mo", role=Role.MODERATOR)
    assert "/sweep" in words(await studio.say("/help", moderator))
    assert not (await studio.say("/help sweep", moderator)).error


async def test_every_example_works_as_it_stands(studio: Studio) -> None:
    job = await studio.made("/imagine red heart")
    anna = studio.in_guild("anna")
    moderator = studio.in_guild("mo", role=Role.MODERATOR)
    reported = studio.job(await studio.say("/imagine red heart", anna))
    for name, command in studio.commands.items():
        assert command.examples, name
        for example in command.examples:
            assert example.startswith(f"/{name}")
            line = example.replace(REPORTED, reported.id).replace("1a2b3c4d", job.id)
            by = moderator if command.role is Role.MODERATOR or name == "report" else studio.anna
            reply = await studio.say(line.replace("@anna", "anna"), by)
            assert not reply.error or name == "cancel", (example, reply.text)
