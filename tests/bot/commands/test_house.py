"""The commands by which a community decides, and what the menu of an answer does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.actions import shared_menus
from bot.core.chat import Invocation, Origin, Reply, Role

Studio = Any  # the fixture's class, in conftest.py


def moderator(studio: Studio, **more: Any) -> Origin:
    return studio.in_guild("mo", role=Role.MODERATOR, **more)  # type: ignore[no-any-return]


def host(studio: Studio) -> Origin:
    return replace(studio.anna, role=Role.OWNER)


def rows(reply: Reply) -> dict[str, str]:
    return {field.label: field.value for field in reply.fields}


async def decide(
    studio: Studio, by: Origin, names: dict[str, str] | None = None, **given: Any
) -> Reply:
    """Change settings as a platform with pickers does."""
    invocation = Invocation(
        studio._id(""), by, command="settings", options=given, names=names or {}
    )
    reply: Reply = await studio.handle(invocation)
    return reply


def labels(reply: Reply) -> list[str]:
    return [button.data.split(":")[0] for row in reply.buttons for button in row]


# --- /settings ---


async def test_settings_show_what_holds_and_what_was_decided_here(studio: Studio) -> None:
    before = rows(await studio.say("/settings", moderator(studio)))
    assert before["Channels"] == "everywhere"
    assert before["Quota"] == "600 GPU-seconds in 24 h"
    assert before["Explicit prompts"] == "in age-restricted channels"
    names = {"7": "art", "77": "artist", "9": "mods"}
    reply = await decide(
        studio,
        moderator(studio),
        names,
        allow_channel="7",
        allow_role="77",
        quota=30,
        quota_role="77",
        moderators_channel="9",
        retention_days=90,
        forbid="spoiler*",
        ephemeral="on",
        model="turbo",
        nsfw="never",
    )
    assert reply.text == "Changed."
    assert reply.ephemeral
    after = {label.removesuffix(" (decided here)"): value for label, value in rows(reply).items()}
    assert after == {
        "Channels": "#art",
        "Roles": "@artist",
        "Quota": "600 GPU-seconds in 24 h; @artist: 30 GPU-seconds",
        "Model": "turbo",
        "Style": "none",
        "Explicit prompts": "never",
        "Language": "each member's own",
        "Retention": "answers are erased after 90 days, favourites excepted",
        "Forbidden in prompts": "spoiler*",
        "Reports go to": "#mods",
        "Answers": "shown to the member alone",
    }
    assert sum("decided here" in label for label in rows(reply)) == 9
    again = await decide(studio, moderator(studio), names, retention_days=90)
    assert again.text == "It was so already."
    assert rows(await studio.say("/settings", moderator(studio, community_external_id="b")))[
        "Channels"
    ] == ("everywhere")


async def test_settings_are_taken_back(studio: Studio) -> None:
    await decide(studio, moderator(studio), allow_channel="7", language="zh", forbid="cat")
    reply = await studio.say("/settings permit:cat", moderator(studio))
    assert rows(reply)["提示词禁词"] == "无"
    reply = await studio.say("/settings disallow_channel:7 reset:language", moderator(studio))
    assert rows(reply)["频道"] == "所有频道"  # it was still Chinese when this was asked
    assert not any("此处决定" in label for label in rows(reply))
    wrong = await studio.say("/settings disallow_channel:7", moderator(studio))
    assert wrong.error


async def test_the_language_holds_for_everything_said_in_the_community(studio: Studio) -> None:
    reply = await studio.say("/settings language:zh", moderator(studio))
    assert reply.text == "已更改。"
    assert "红" not in (await studio.say("/ping", studio.anna)).text
    queued = await studio.say("/imagine red heart", studio.in_guild("ben"))
    assert "已排队" in queued.text
    assert studio.job(queued).locale == "zh"
    refused = await studio.say("/imagine red heart sed:7", studio.in_guild("ben"))
    assert "没有选项" in refused.text


async def test_who_may_not_decide_is_told(studio: Studio) -> None:
    for line in ("/settings", "/settings nsfw:never", "/block", "/unblock member:x", "/cases"):
        for who in (studio.in_guild("ben"), studio.anna):
            reply = await studio.say(line, who)
            assert reply.error, line
    assert studio.store.tables.audit_log == {}


async def test_the_host_decides_for_the_whole_studio(studio: Studio) -> None:
    reply = await studio.say("/settings nsfw:never quota:60", host(studio))
    assert reply.title == "Rules of the whole studio"
    assert "Channels" not in rows(reply)
    seen = rows(await studio.say("/settings", moderator(studio)))
    assert seen["Explicit prompts"] == "never", seen
    assert "60 GPU-seconds" in rows(await studio.say("/quota", studio.in_guild("ben")))["GPU time"]
    for line in ("allow_channel:7", "allow_role:7", "moderators_channel:7"):
        assert "communities only" in (await studio.say(f"/settings {line}", host(studio))).text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("quota_role:77", "needs quota"),
        ("quota:99999999", "between 0 and 86400"),
        ("retention_days:-1", "between 0 and 3650"),
        ("nsfw:always", "There are: never, age_restricted"),
        ("model:dall-e", "There are: "),
        ("forbid:***", "at least one letter"),
        ("permit:cat", "no rule"),
        ("allow_channel:general!", "picked, mentioned or given by its id"),
        ("reset:everything", "There are: "),
    ],
)
async def test_what_cannot_be_decided(studio: Studio, line: str, said: str) -> None:
    reply = await studio.say(f"/settings {line}", moderator(studio))
    assert reply.error
    assert said in reply.text
    chinese = await studio.say(f"/settings {line}", moderator(studio, locale="zh-CN"))
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese.text)
    assert studio.store.tables.settings == {}


# --- /block, /quota grant ---


async def test_a_block_stops_what_waits_and_refuses_what_comes(studio: Studio) -> None:
    ben = studio.in_guild("ben")
    waiting = studio.job(await studio.say("/imagine red heart", ben))
    elsewhere = studio.job(
        await studio.say("/imagine red heart", replace(ben, community_external_id="b"))
    )
    reply = await studio.say("/block member:<@!5> spam", moderator(studio))
    assert "not met anybody" in reply.text
    reply = await studio.say("/block member:ben days:7 spam and more spam", moderator(studio))
    assert reply.text.startswith("Ben can make nothing here until ")
    assert reply.text.endswith("stopped: 1.")
    assert studio.store.tables.jobs[waiting.id].state == "cancelled"
    assert studio.store.tables.jobs[elsewhere.id].state == "queued"
    for act in (studio.say("/imagine red heart", ben), studio.press("reroll", waiting.id, ben)):
        refused = await act
        assert "blocked you" in refused.text
        assert refused.ephemeral
    listed = rows(await studio.say("/block", moderator(studio)))
    assert listed["Ben"].startswith("spam and more spam · until ")
    assert (await studio.say("/unblock member:ben", moderator(studio))).text.startswith("Ben can")
    assert not (await studio.say("/imagine red heart", ben)).error


async def test_moderators_grant_more(studio: Studio) -> None:
    ben = studio.in_guild("ben")
    await studio.say("/imagine red heart", ben)
    reply = await studio.say("/quota grant:ben amount:300 days:2", moderator(studio))
    assert reply.text.startswith("Ben may use 300 GPU-seconds more until ")
    quota = await studio.say("/quota", ben)
    assert "of 900 GPU-seconds" in rows(quota)["GPU time"]
    assert "300 GPU-seconds of it was granted" in quota.text
    for line, by, said in (
        ("/quota grant:ben amount:300", ben, "Only the moderators"),
        ("/quota grant:ben", moderator(studio), "how much"),
        ("/quota amount:5", moderator(studio), "belong to grant"),
        ("/quota grant:ben amount:86401", moderator(studio), "between 1 and 86400"),
    ):
        refused = await studio.say(line, by)
        assert refused.error
        assert said in refused.text
    assert len(studio.store.tables.grants) == 1


# --- reports ---


async def answer_of(studio: Studio, who: Origin, line: str = "/imagine red heart") -> str:
    job_id: str = studio.job(await studio.say(line, who)).id
    await studio.finish(job_id)
    return job_id


async def test_a_report_goes_from_the_menu_over_a_form_to_a_decision(studio: Studio) -> None:
    anna, ben = studio.in_guild("anna"), studio.in_guild("ben")
    job_id = await answer_of(studio, anna)
    form = (await studio.press("report", job_id, ben)).form
    assert form is not None
    assert (form.command, dict(form.hidden)) == ("report", {"job": job_id})
    [(reason, prefilled)] = form.fields
    assert (reason.name, prefilled) == ("reason", "")
    filled = {**form.hidden, "reason": "it shows\na real person"}
    assert not (await studio.fill("report", filled, ben)).error
    assert "already" in (await studio.fill("report", filled, ben)).text
    listed = await studio.say("/cases", moderator(studio))
    [card] = listed.cards
    assert card.title == "Report on red heart"
    assert "Made by: Anna · Reported by: Ben" in card.text
    actions = {button.data.split(":")[0]: button.data for row in card.buttons for button in row}
    shown = await studio.handle(Invocation("p0", moderator(studio), action=actions["show"]))
    assert shown.media
    stranger = await studio.handle(Invocation("p1", ben, action=actions["mdelete"]))
    assert stranger.error
    decided = await studio.handle(Invocation("p2", moderator(studio), action=actions["mdelete"]))
    assert decided.replaces_message
    assert rows(decided)["Decided"] == "the answer was deleted"
    assert labels(decided) == ["mblock"]
    blocked = await studio.handle(Invocation("p3", moderator(studio), action=actions["mblock"]))
    assert rows(blocked)["Decided"] == "the answer was deleted, its maker is blocked"
    assert blocked.buttons == ()
    assert "no open reports" in (await studio.say("/cases", moderator(studio))).text
    assert (await studio.press("show", job_id, anna)).error


async def test_the_host_sees_the_cases_of_all_communities(studio: Studio) -> None:
    job_id = await answer_of(studio, studio.in_guild("anna", community_name="Painters"))
    await studio.say(f"/report job:#{job_id.upper()} it is rude", studio.in_guild("ben"))
    [card] = (await studio.say("/cases", host(studio))).cards
    assert "Community: Painters" in card.text
    dismiss = card.buttons[0][-1]
    assert [button.data.split(":")[0] for button in card.buttons[0]] == [
        *("mdelete", "mblock", "mdismiss"),
    ]
    decided = await studio.handle(Invocation("p", host(studio), action=dismiss.data))
    assert rows(decided)["Decided"] == "nothing was wrong"


async def test_ones_own_answer_is_not_reported(studio: Studio) -> None:
    anna = studio.in_guild("anna")
    job_id = await answer_of(studio, anna)
    reply = await studio.say(f"/report job:{job_id} just because", anna)
    assert "your own" in reply.text
    assert studio.store.tables.cases == {}


# --- details, a copy, the menu ---


async def test_everything_in_the_menu_is_an_action(studio: Studio) -> None:
    ben = studio.in_guild("ben")
    job_id = await answer_of(studio, studio.in_guild("anna"))
    for menu in shared_menus():
        assert menu.title.en != menu.title.zh
        assert not (await studio.press(menu.action, job_id, ben)).error, menu.action


async def test_details_tell_how_it_was_made(studio: Studio) -> None:
    words = "red heart " + "on a very wide sea " * 20
    job_id = await answer_of(studio, studio.in_guild("anna"), f"/imagine {words} seed:7 count:2")
    reply = await studio.press("details", job_id, studio.in_guild("ben"))
    assert reply.ephemeral
    assert reply.text == words.strip()  # all of it, where titles are cut
    told = rows(reply)
    assert (told["Seed"], told["Model"]) == ("7", "emoji (diffusion)")
    assert told["As typed"].endswith("model:emoji seed:7 count:2")
    assert told["Job"] == job_id
    chinese = await studio.press("details", job_id, studio.in_guild("ben", locale="zh-CN"))
    assert rows(chinese)["种子"] == "7"
    waiting = studio.job(await studio.say("/imagine red heart", studio.in_guild("anna")))
    assert rows(await studio.press("details", waiting.id, studio.in_guild("ben")))["Seed"]


async def test_a_copy_goes_to_the_one_who_asks(studio: Studio) -> None:
    anna, ben = studio.in_guild("anna"), studio.in_guild("ben")
    job_id = await answer_of(studio, anna)
    copy = await studio.press("copy", job_id, ben)
    assert (copy.direct, copy.ephemeral) == (True, True)
    assert len(copy.media) == 5
    assert copy.buttons == ()  # in a direct message they could not be pressed
    assert "reroll" in labels(await studio.press("copy", job_id, anna))
    waiting = studio.job(await studio.say("/imagine red heart", anna))
    assert "has not ended" in (await studio.press("copy", waiting.id, anna)).text
    hidden = await answer_of(studio, anna, "/imagine red heart private:yes")
    for action in ("copy", "details", "upscale", "report"):
        assert (await studio.press(action, hidden, ben)).error


async def test_upscale_asks_which_where_there_are_several(studio: Studio) -> None:
    ben = studio.in_guild("ben")
    several = await answer_of(studio, studio.in_guild("anna"))
    asked = await studio.press("upscale", several, ben)
    assert asked.text == "Which picture?"
    assert labels(asked) == ["u1", "u2", "u3", "u4"]
    one = await answer_of(studio, studio.in_guild("anna"), "/imagine red heart count:1")
    job = studio.job(await studio.press("upscale", one, ben))
    assert (job.command, job.parent_job_id) == ("upscale", one)
    text = studio.job(await studio.say("/write lighthouse", ben))
    await studio.finish(text.id, texts=("a tower",))
    assert "no picture" in (await studio.press("upscale", text.id, ben)).text


async def test_answers_are_for_the_member_alone_where_the_community_says_so(
    studio: Studio,
) -> None:
    await decide(studio, moderator(studio), ephemeral="on")
    reply = await studio.say("/imagine red heart", studio.in_guild("anna"))
    assert reply.ephemeral
    assert studio.job(reply).private
    assert (await studio.press("show", studio.job(reply).id, studio.in_guild("ben"))).error


@pytest.mark.parametrize("mention", ["<@12345>", "<@!12345>", "12345"])
async def test_mentions_are_read_as_ids(studio: Studio, mention: str) -> None:
    names = {"12345": "Troll"}
    reply = await studio.handle(
        Invocation(
            studio._id(""),
            moderator(studio),
            command="block",
            options={"member": mention},
            names=names,
        )
    )
    assert reply.text == "Troll can make nothing here any more."
