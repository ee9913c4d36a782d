"""Rules of the house: what is stored, how it is read, and that admission keeps to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from desk import PLENTY, Desk
from people_and_jobs import origin

from bot.core.chat import Origin, Role
from bot.core.domain import Limits
from bot.errors import BadOption, NotAllowed, NotFound, PromptRefused, QuotaExceeded, UserError
from bot.services import rule_changes
from bot.services.admission import preferred_model
from bot.services.house_rules import HouseRules, Named, read
from bot.services.models import ModelOffers
from generators.registry import ModelEntry

ART = {"id": "7", "name": "art"}
MODERATOR = origin("mo", role=Role.MODERATOR)
EXPLICIT = {"prompt": "a nude portrait"}
HOST = origin("host", "host", platform="web", personal=True, role=Role.OWNER)


async def refused(desk: Desk, error: type[UserError], who: Origin, **draft: Any) -> str:
    """Ask for what must be refused; nothing is charged and nothing is queued."""
    with pytest.raises(error) as caught:
        await desk.ask(who, **draft)
    assert await desk.line() == []
    assert (await desk.quota.view(who)).usage.gpu_ms == 0
    said = caught.value
    assert said.texts["en"] != said.texts["zh"]
    return said.texts["en"]


# --- reading ---


def test_a_slip_in_a_setting_stops_nobody() -> None:
    wrong: dict[tuple[str, str], Any] = {
        ("g", "channels"): "art",
        ("g", "roles"): [{"name": "no id"}],
        ("g", "nsfw"): "perhaps",
        ("g", "retention_days"): "soon",
        ("g", "language"): "tlh",
        ("g", "moderators_channel"): 5,
        ("g", "prompt_rules"): {"not": "a list"},
        ("g", "default_model"): ["emoji"],
    }
    assert read(wrong, "g") == HouseRules()


def test_the_community_goes_before_the_studio_and_neither_makes_the_other_laxer() -> None:
    rules = read(
        {
            ("", "language"): "zh",
            ("", "nsfw"): "never",
            ("", "prompt_rules"): ["cat"],
            ("", "default_model"): {"image": "emoji", "text": "lexicon"},
            ("", "channels"): [ART],  # ids of one place mean nothing elsewhere
            ("g", "language"): "en",
            ("g", "nsfw"): "age_restricted",
            ("g", "prompt_rules"): ["dog"],
            ("g", "default_model"): {"image": "turbo"},
        },
        "g",
    )
    assert (rules.language, rules.nsfw, rules.channels) == ("en", "never", ())
    assert rules.prompt_rules == ("cat", "dog")
    assert dict(rules.default_model) == {"image": "turbo", "text": "lexicon"}


# --- where and who ---


async def test_things_are_made_in_allowed_channels_and_their_threads(desk: Desk) -> None:
    await desk.set("channels", [ART, {"id": "8", "name": "fun"}], origin())
    said = await refused(desk, NotAllowed, origin(channel_external_id="9"))
    assert "#art, #fun" in said
    await refused(desk, NotAllowed, replace(MODERATOR, channel_external_id="9"))
    await desk.ask(origin(channel_external_id="7"))
    await desk.ask(origin(channel_external_id="99", parent_channel_external_id="7"))
    await desk.ask(origin(place="elsewhere", channel_external_id="9"))


async def test_allowed_roles_make_things_and_moderators_always(desk: Desk) -> None:
    await desk.set("roles", [{"id": "77", "name": "artist"}], origin())
    assert "@artist" in await refused(desk, NotAllowed, origin(platform_roles=("78",)))
    await desk.ask(origin(platform_roles=("78", "77")))
    await desk.ask(MODERATOR)


async def test_a_block_holds_until_it_ends_and_only_where_it_was_made(desk: Desk) -> None:
    await desk.ask(origin(place="elsewhere"))
    await desk.jobs.cancel(origin(place="elsewhere"), None)
    names = {"anna": "Anna"}
    invocation = desk.invocation(MODERATOR, names=names)
    blocked = await desk.house.members.block(invocation, "anna", reason="spam", days=2)
    assert blocked.name == "Anna"
    assert "until 24 Nov 2026" in await refused(desk, NotAllowed, origin())
    await desk.ask(origin(place="elsewhere"))
    await desk.jobs.cancel(origin(place="elsewhere"), None)
    desk.later(2 * 86_400)
    await desk.ask(origin())


async def test_a_stranger_can_be_blocked_before_they_do_anything(desk: Desk) -> None:
    members = desk.house.members
    with pytest.raises(NotFound):
        await members.block(desk.invocation(MODERATOR), "troll")
    await members.block(desk.invocation(MODERATOR, names={"troll": "Troll"}), "troll")
    assert "blocked you" in await refused(desk, NotAllowed, origin("troll"))
    [listed] = await members.blocked(MODERATOR)
    assert listed.name == "Troll"
    assert await members.unblock(desk.invocation(MODERATOR), "troll") == "Troll"
    await desk.ask(origin("troll"))
    with pytest.raises(NotFound):
        await members.unblock(desk.invocation(MODERATOR), "troll")
    async with desk.store.unit_of_work(write=False) as uow:
        place = (await uow.accounts.find(MODERATOR)).community_id
        actions = {entry.action for entry in await uow.audit.recent(place, limit=9)}
    assert actions == {"block", "unblock"}


async def test_nobody_blocks_themselves_a_moderator_or_without_the_right(desk: Desk) -> None:
    other = origin("mia", role=Role.MODERATOR)
    await desk.ask(other)
    await desk.ask(MODERATOR)
    for who, named in ((MODERATOR, "mo"), (MODERATOR, "mia"), (origin(), "mo")):
        with pytest.raises(NotAllowed):
            await desk.house.members.block(desk.invocation(who), named)
    with pytest.raises(NotAllowed):
        await desk.house.members.blocked(origin())
    assert await desk.house.members.blocked(MODERATOR) == []


async def test_the_host_blocks_anybody_everywhere(desk: Desk) -> None:
    await desk.ask(origin(place="elsewhere"))
    await desk.jobs.cancel(origin(place="elsewhere"), None)
    await desk.house.members.block(desk.invocation(HOST), "discord:anna")
    await refused(desk, NotAllowed, origin())
    await refused(desk, NotAllowed, origin(place="elsewhere"))
    await desk.ask(origin("ben"))


# --- explicit prompts, words ---


async def test_explicit_prompts_follow_the_channels_age_restriction(desk: Desk) -> None:
    adults = origin(age_restricted=True)
    assert "age-restricted" in await refused(desk, PromptRefused, origin(), params=EXPLICIT)
    await desk.ask(adults, params=EXPLICIT)
    alone = origin("anna", "anna", personal=True)
    await desk.ask(alone, params=EXPLICIT)
    with pytest.raises(PromptRefused):  # brought along to where others read
        await desk.ask(replace(alone, watched=True), params=EXPLICIT)
    await desk.ask(origin(), params={"prompt": "heart", "negative_prompt": "nude"})
    for ticket in await desk.line():
        await desk.report(ticket.id, "failed")
    await desk.set("nsfw", "never", origin())
    await refused(desk, PromptRefused, adults, params=EXPLICIT)


async def test_the_host_may_rule_for_direct_messages_too(desk: Desk) -> None:
    await desk.set("nsfw", "never")
    await refused(desk, PromptRefused, origin("anna", "anna", personal=True), params=EXPLICIT)
    await refused(desk, PromptRefused, origin(age_restricted=True), params=EXPLICIT)


@pytest.mark.parametrize("prompt", ["nude teen", "萝莉 色情", "erotic, two children"])
async def test_some_things_are_refused_everywhere(desk: Desk, prompt: str) -> None:
    wanted = {"prompt": prompt}
    assert "never made" in await refused(
        desk, PromptRefused, origin(age_restricted=True), params=wanted
    )
    await refused(desk, PromptRefused, HOST, params=wanted)


@pytest.mark.parametrize(
    "prompt",
    ["red heart", "a child with a kite", "a naked mole-rat", "the Middlesex canal", "少年"],
)
async def test_harmless_prompts_are_not_refused(desk: Desk, prompt: str) -> None:
    await desk.ask(origin(), params={"prompt": prompt})


# --- quota ---


async def test_quota_by_role_and_grants_on_top(desk: Desk) -> None:
    desk.use(Limits(gpu_ms=6000, waiting_jobs=100))
    limits = rule_changes.with_quota(12_000, "77")(None)
    await desk.set("limits", limits, origin())
    await desk.ask(origin("ben", platform_roles=("77",)))
    await desk.ask(origin("ben", platform_roles=("77",)))
    await desk.ask(origin())
    with pytest.raises(QuotaExceeded):
        await desk.ask(origin())
    members = desk.house.members
    invocation = desk.invocation(MODERATOR)
    for _ in range(2):  # the same event again grants nothing more
        grant, name = await members.grant(invocation, "anna", 6000, days=1)
    assert (grant.gpu_ms, name) == (6000, "Anna")
    view = await desk.quota.view(origin())
    assert (view.limits.gpu_ms, view.granted_gpu_ms) == (12_000, 6000)
    await desk.ask(origin())
    with pytest.raises(QuotaExceeded):
        await desk.ask(origin())
    desk.later(86_400)
    assert (await desk.quota.view(origin())).limits.gpu_ms == 6000


async def test_a_grant_is_a_moderators_and_of_a_community(desk: Desk) -> None:
    await desk.ask(origin())
    for who in (origin(), HOST):
        with pytest.raises(NotAllowed):
            await desk.house.members.grant(desk.invocation(who), "anna", 5, days=1)
    assert (await desk.quota.view(origin())).granted_gpu_ms == 0


async def test_what_was_granted_to_one_is_not_the_communitys(desk: Desk) -> None:
    desk.use(replace(PLENTY, gpu_ms=6000, community_gpu_ms=6000))
    await desk.ask(origin())
    await desk.house.members.grant(desk.invocation(MODERATOR), "anna", 60_000, days=1)
    with pytest.raises(QuotaExceeded, match="this community"):
        await desk.ask(origin())


# --- what is taken where nothing is said ---


async def test_the_communitys_model_and_the_members_own_word(desk: Desk) -> None:
    await desk.set("default_model", {"image": "lanczos"}, origin())
    job = await desk.job((await desk.ask()).job_id)
    assert job.model == "emoji"  # the other cannot work from words
    await desk.set("ephemeral", True, origin())
    ticket = await desk.ask()
    assert ticket.private
    assert (await desk.delivery(ticket.job_id)).private
    alone = await desk.ask(origin("anna", "anna", personal=True))
    assert not alone.private


def test_a_style_is_taken_with_its_model() -> None:
    names = ("emoji", "emoji+ink", "turbo")
    offers = ModelOffers(ModelEntry(name=name, generator="diffusion") for name in names)

    def taken(**rules: Any) -> str | None:
        return preferred_model(offers, HouseRules(**rules), "image", ("prompt",))

    assert taken() is None
    assert taken(style="ink") == "emoji+ink"
    assert taken(default_model={"image": "turbo"}, style="ink") == "turbo"
    assert taken(default_model={"image": "gone"}) is None
    assert taken(default_model={"text": "turbo"}) is None


# --- changing ---


async def test_changes_are_all_or_nothing_audited_and_seen_at_once(desk: Desk) -> None:
    rules = desk.house.rules
    assert (await rules.of(origin())).language == ""
    changes = {
        "channels": rule_changes.with_place(Named(id="7", name="art")),
        "language": rule_changes.to("zh"),
    }
    view, decided = await rules.change(MODERATOR, changes)
    assert view.channels == (Named(id="7", name="art"),)
    assert decided["channels"] == [ART]
    assert (await rules.of(origin())).language == "zh"
    assert (await rules.of(origin(place="elsewhere"))).language == ""
    spoken = await rules.spoken(desk.invocation(origin(locale="en")))
    assert spoken.origin.locale == "zh"
    with pytest.raises(NotFound):
        await rules.change(
            MODERATOR,
            {"language": rule_changes.to("en"), "channels": rule_changes.without_place("9")},
        )
    assert (await rules.view(origin()))[0].language == "zh"
    async with desk.store.unit_of_work(write=False) as uow:
        member = await uow.accounts.find(MODERATOR)
        entries = await uow.audit.recent(member.community_id, limit=9)
    assert {entry.subject for entry in entries} == {"channels", "language"}
    assert {entry.account_id for entry in entries} == {member.account_id}


async def test_what_another_gateway_changed_holds_here_after_a_moment(desk: Desk) -> None:
    assert (await desk.house.rules.of(origin())).language == ""
    await desk.set("language", "zh", origin())
    assert (await desk.house.rules.of(origin())).language == ""
    desk.later(30)
    assert (await desk.house.rules.of(origin())).language == "zh"


async def test_only_those_who_may_decide_do(desk: Desk) -> None:
    to_zh = {"language": rule_changes.to("zh")}
    alone = origin("mo", "mo", personal=True, role=Role.MODERATOR)
    for who in (origin(), alone):
        with pytest.raises(NotAllowed):
            await desk.house.rules.change(who, to_zh)
    view, _ = await desk.house.rules.change(HOST, to_zh)
    assert view.language == "zh"
    assert (await desk.house.rules.of(origin(place="anywhere"))).language == "zh"


def test_single_changes() -> None:
    rule = rule_changes.with_rule("spoiler*")
    assert rule(["cat"]) == ["cat", "spoiler*"]
    assert rule(["spoiler*"]) == ["spoiler*"]
    assert rule_changes.without_rule("cat")(["cat"]) is None
    with pytest.raises(NotFound, match="Did you mean cats"):
        rule_changes.without_rule("catz")(["cats"])
    with pytest.raises(BadOption):
        rule_changes.with_rule("***")
    places = [{"id": str(n), "name": ""} for n in range(50)]
    with pytest.raises(BadOption, match="at most 50"):
        rule_changes.with_place(Named(id="new"))(places)
    assert len(rule_changes.with_place(Named(id="3", name="renamed"))(places)) == 50
    assert rule_changes.without_place("7")([ART]) is None
    quota = rule_changes.with_quota(5000, None)({"jobs": 3})
    assert quota == {"jobs": 3, "gpu_ms": 5000}
    assert rule_changes.with_quota(9, "77")(quota)["roles"] == {"77": {"gpu_ms": 9}}
