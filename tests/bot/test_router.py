"""The router: what is asked in any wrong way gets one clear sentence, and nothing happens."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import structlog

from bot.core.chat import Command, Invocation, Reply, Role, Text
from bot.core.domain import Job
from bot.core.signing import Signer
from bot.router import Router

Studio = Any  # the fixture's class, in conftest.py

COMMANDS = (
    "imagine", "write", "models", "queue", "cancel", "history", "favorites", "quota", "help",
    "ping",
)  # fmt: skip

WRONG_TEXTS = (
    "❤" * 10_000,
    "😀" * 10_000,
    "a\x00b",
    "\x00",
    "\x1b[31mred",
    "half \ud83d",
    "red heart sed:7",
    "red heart seed:7 seed:8",
    'red heart negative_prompt:"dark',
    "red heart height:-64",
    "red heart height:0",
    "red heart height:" + "9" * 5_000,
    "red heart guidance_scale:nan",
    "red heart guidance_scale:inf",
    "red heart count:5",
    "red heart count:two",
    "red heart seed:-1",
    "red heart private:perhaps",
    "red heart model:gpt-9",
    "nonsense:1",
)

WRONG_VALUES: tuple[Any, ...] = (
    7, -1, 10**400, 1.5, math.nan, math.inf, True, [], ["red"], {"a": 1}, b"red", "\x00", "\ud800",
    "x" * 100_000, "-64", "NaN",
)  # fmt: skip


def assert_refused(reply: Reply) -> None:
    assert reply.error
    assert reply.ephemeral
    assert reply.ticket is None
    assert 10 < len(reply.text) < 400
    assert "\n" not in reply.text
    assert "Traceback" not in reply.text
    assert "broke on our side" not in reply.text
    assert "我们这边" not in reply.text
    json.dumps(reply.text, ensure_ascii=False).encode()  # no half characters reach a platform


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
@pytest.mark.parametrize("command", ["imagine", "write"])
@pytest.mark.parametrize("text", WRONG_TEXTS, ids=lambda text: ascii(text[:24]))
async def test_wrong_words(studio: Studio, command: str, text: str, locale: str) -> None:
    reply = await studio.say(f"/{command} {text}", replace(studio.anna, locale=locale))
    assert_refused(reply)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in reply.text) == (locale == "zh-CN")
    assert studio.jobs == []
    assert studio.charged_gpu_ms == 0


@pytest.mark.parametrize("command", COMMANDS)
async def test_wrong_values_of_every_option(studio: Studio, command: str) -> None:
    """Whatever JSON a platform hands over: an answer or a sentence, and no job from a bad one."""
    for option in studio.commands[command].option_list():
        for value in WRONG_VALUES:
            given = {"prompt": "red heart", option.name: value}
            wanted = {name: given[name] for name in given if _has(studio, command, name)}
            reply = await studio.fill(command, wanted)
            if reply.error:
                assert_refused(reply)
            elif reply.ticket is not None:
                assert studio.job(reply).params["prompt"]
                await studio.fail(reply.ticket.job_id)
    assert studio.charged_gpu_ms == 0


def _has(studio: Studio, command: str, option: str) -> bool:
    return any(option == one.name for one in studio.commands[command].option_list())


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_unknown_options_of_every_command(studio: Studio, command: str, locale: str) -> None:
    by = replace(studio.anna, locale=locale)
    for reply in (
        await studio.fill(command, {"nonsense": 1}, by),
        await studio.fill(command, {"\ud800\x00": 1}, by),
        await studio.say(f"/{command} nonsense:1", by),
    ):
        assert_refused(reply)
    assert studio.jobs == []


@pytest.mark.parametrize("command", ["imagine", "write"])
@pytest.mark.parametrize("text", ["", "   ", "seed:7", "\u200b", "prompt:", '""'])
async def test_empty_prompts(studio: Studio, command: str, text: str) -> None:
    reply = await studio.say(f"/{command} {text}")
    assert_refused(reply)
    assert f"/{command} needs prompt. For example: /{command} " in reply.text


@pytest.mark.parametrize("name", ["imagin", "Imagine2", "", "\x00", "\ud800", "x" * 10_000, "../x"])
async def test_unknown_commands(studio: Studio, name: str) -> None:
    reply = await studio.handle(Invocation("1", studio.anna, command=name, text="red heart"))
    assert_refused(reply)
    assert "/help" in reply.text
    if name == "imagin":
        assert "Did you mean /imagine?" in reply.text


async def test_a_name_in_any_case_and_with_its_slash(studio: Studio) -> None:
    reply = await studio.handle(Invocation("1", studio.anna, command="/Imagine", text="red heart"))
    assert studio.job(reply).params["prompt"] == "red heart"


async def test_text_and_options_together(studio: Studio) -> None:
    """A form's hidden values come as options beside what was typed."""
    reply = await studio.handle(
        Invocation("1", studio.anna, command="imagine", text="red heart", options={"seed": "7"})
    )
    assert studio.job(reply).seed == 7


# --- redelivery and restarts ---


async def test_a_redelivered_event_makes_one_job(studio: Studio) -> None:
    first = await studio.say("/imagine red heart", id="event")
    again = await studio.say("/imagine red heart", id="event")
    assert studio.job(first) is studio.job(again)
    assert len(studio.jobs) == 1
    other = await studio.say("/imagine red heart")
    assert studio.job(other).id != studio.job(first).id


async def test_pressing_twice_is_two_jobs_but_a_redelivered_press_one(studio: Studio) -> None:
    job = await studio.made("/imagine red heart")
    one = await studio.press("reroll", job.id, id="press")
    same = await studio.press("reroll", job.id, id="press")
    other = await studio.press("reroll", job.id, id="another press")
    assert studio.job(one).id == studio.job(same).id != studio.job(other).id
    assert len(studio.jobs) == 3


async def test_every_button_works_after_a_restart(studio: Studio) -> None:
    job = await studio.made("/imagine red heart")
    answer = await studio.present(job.id)
    buttons = [button for row in answer.buttons for button in row]
    assert len(buttons) == 14
    studio.start()  # a new signer with the same key, new everything but the store
    for button in sorted(buttons, key=lambda button: "delete" in button.data):
        assert len(button.data.encode()) <= 64
        assert button.description
        reply = await studio.handle(Invocation(button.data, studio.anna, action=button.data))
        assert not reply.error, (button, reply.text)


# --- whose buttons ---


async def test_forged_buttons_do_nothing(studio: Studio) -> None:
    job = await studio.made("/imagine red heart")
    real = studio.services.signer.button("delete", job.id)
    forgeries = [
        real.replace("delete", "reroll"),
        real[:-1] + ("A" if real[-1] != "A" else "B"),
        Signer(b"another studio's key, quite long").button("delete", job.id),
        f"delete:{job.id}:",
        f"delete:{job.id}",
        "", ":", "::", "\ud800", "delete:" + "x" * 10_000,
    ]  # fmt: skip
    for data in forgeries:
        reply = await studio.handle(Invocation("1", studio.anna, action=data))
        assert_refused(reply)
        assert "not made by this studio" in reply.text
    assert len(studio.jobs) == 1
    assert studio.jobs[0].params["prompt"] == "red heart"


async def test_a_strangers_private_job_does_not_exist(studio: Studio) -> None:
    anna, ben = studio.in_guild("anna"), studio.in_guild("ben")
    hidden = await studio.made("/imagine red heart private:yes", anna)
    personal = await studio.made("/imagine red heart", studio.anna)
    for job in (hidden, personal):
        for action in ("u1", "v1", "reroll", "remix", "fav", "show", "delete", "cancel", "older"):
            reply = await studio.press(action, job.id, ben)
            assert_refused(reply)
            assert "not yours to see" in reply.text
    assert len(studio.jobs) == 2


async def test_in_a_community_others_may_go_on_but_not_take_away(studio: Studio) -> None:
    anna, ben = studio.in_guild("anna"), studio.in_guild("ben")
    job = await studio.made("/imagine red heart", anna)
    for action in ("fav", "unfav", "delete", "cancel"):
        reply = await studio.press(action, job.id, ben)
        assert_refused(reply)
        assert "somebody else" in reply.text
    varied = studio.job(await studio.press("v1", job.id, ben))
    assert varied.account_id != job.account_id  # at ben's cost
    assert not (await studio.press("show", job.id, ben)).error
    assert studio.store.tables.jobs[job.id].favorite is False


async def test_moderators_delete_what_others_made_here_only(studio: Studio) -> None:
    moderator = studio.in_guild("mo", role=Role.MODERATOR)
    elsewhere = studio.in_guild("mo", role=Role.MODERATOR, community_external_id="other guild")
    job = await studio.made("/imagine red heart", studio.in_guild("anna"))
    assert_refused(await studio.press("delete", job.id, elsewhere))
    assert_refused(await studio.press("fav", job.id, moderator))  # a favourite is one's own
    assert (await studio.press("delete", job.id, moderator)).removes_message


@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_buttons_of_a_deleted_job_answer_kindly(studio: Studio, locale: str) -> None:
    by = replace(studio.anna, locale=locale)
    job = await studio.made("/imagine red heart", by)
    assert (await studio.press("delete", job.id, by)).removes_message
    for action in ("u1", "v1", "reroll", "remix", "fav", "show", "delete", "cancel"):
        reply = await studio.press(action, job.id, by)
        assert_refused(reply)
        assert ("deleted" if locale == "en" else "删除") in reply.text


async def test_a_button_of_a_future_version_says_so(studio: Studio) -> None:
    job = await studio.made("/imagine red heart")
    assert "does not know that button" in (await studio.press("animate", job.id)).text


# --- roles, bugs, logs ---


def _with(studio: Studio, command: Command) -> Router:
    return Router(studio.services, {**studio.commands, command.name: command})


@pytest.mark.parametrize(
    ("needed", "has", "allowed"),
    [
        (Role.MEMBER, Role.MEMBER, True),
        (Role.MODERATOR, Role.MEMBER, False),
        (Role.MODERATOR, Role.MODERATOR, True),
        (Role.OWNER, Role.MODERATOR, False),
        (Role.OWNER, Role.OWNER, True),
    ],
)
async def test_roles(studio: Studio, needed: Role, has: Role, allowed: bool) -> None:
    async def run(services: Any, invocation: Invocation, options: Any) -> Reply:
        return Reply(text="done")

    command = Command(name="sweep", summary=Text(en="Sweep.", zh="清扫。"), run=run, role=needed)
    reply = await _with(studio, command).handle(
        Invocation("1", replace(studio.anna, role=has), command="sweep")
    )
    assert reply.error != allowed
    assert (reply.text == "done") == allowed


@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_a_bug_is_one_sentence_with_a_reference_to_the_log(
    studio: Studio, locale: str
) -> None:
    async def run(services: Any, invocation: Invocation, options: Any) -> Reply:
        raise KeyError("secret detail")

    command = Command(name="sweep", summary=Text(en="Sweep.", zh="清扫。"), run=run)
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        reply = await _with(studio, command).handle(
            Invocation("event-9", replace(studio.anna, locale=locale), command="sweep")
        )
    assert reply.error
    assert reply.ephemeral
    assert "secret" not in reply.text
    (line,) = lines
    assert line["reference"] in reply.text
    assert line["invocation_id"] == "event-9"
    assert line["community"] == "anna"
    assert line["command"] == "sweep"
    assert line["log_level"] == "error"
    assert structlog.contextvars.get_contextvars() == {}


async def test_a_refusal_is_logged_without_the_prompt(studio: Studio) -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        await studio.say("/imagine my secret plan count:9")
    (line,) = [line for line in lines if line["event"] == "refused"]
    assert line["error"] == "BadOption"
    assert "secret plan" not in str(line)


async def test_two_commands_cannot_hang_the_same_button_on_others_jobs(studio: Studio) -> None:
    history = studio.commands["history"]
    with pytest.raises(ValueError, match="older"):
        Router(studio.services, {**studio.commands, "past": replace(history, name="past")})


async def test_actions_of_a_command_that_is_gone(studio: Studio) -> None:
    """A command file was removed; its old jobs can still be deleted, but not shown."""
    job: Job = await studio.made("/write lighthouse", texts=("lighthouse: a tower",))
    rest = {name: one for name, one in studio.commands.items() if name != "write"}
    router = Router(studio.services, rest)
    data = studio.services.signer.button
    shown = await router.handle(Invocation("1", studio.anna, action=data("show", job.id)))
    assert shown.error
    deleted = await router.handle(Invocation("2", studio.anna, action=data("delete", job.id)))
    assert deleted.removes_message
