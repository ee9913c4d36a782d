"""Commands as Discord gets them: every limit of its documentation, for every command we have."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot.actions import shared_menus
from bot.core.chat import Choice, Command, Menu, Option, OptionType, Reply, Role, Text
from bot.platforms.discord import declare
from bot.platforms.discord.names import COMMANDS, OPTIONS

NAME = re.compile(r"[-_'\w]{1,32}")
STRING, INTEGER, BOOLEAN, NUMBER, ATTACHMENT = 3, 4, 5, 10, 11


async def _run(*_: Any) -> Reply:
    return Reply()


def _text(length: int) -> Text:
    words = "word " * length
    return Text(en=words[: length - 1] + ".", zh="字" * length)


def _command(*options: Option, **more: Any) -> Command:
    values: dict[str, Any] = {"name": "try", "summary": Text(en="Try", zh="试"), "run": _run}
    return Command(**values | {"options": options} | more)


def _payloads(workshop: Any) -> dict[str, Any]:
    declared = declare.declare(workshop.commands.values(), shared_menus())
    return {one["name"]: one for one in declared}


def test_every_command_keeps_every_limit(workshop: Any) -> None:
    payloads = _payloads(workshop)
    assert set(workshop.commands) <= set(payloads)
    assert {"Upscale", "Show prompt", "Report"} <= set(payloads)
    for name, one in payloads.items():
        assert declare.weight(one) <= 8000, name
        if one["type"] == 3:
            continue
        assert NAME.fullmatch(name)
        assert name == name.lower()
        required = [option["required"] for option in one["options"]]
        assert required == sorted(required, reverse=True), f"/{name}: required options come first"
        assert len(required) <= 25
        for part in (one, *one["options"]):
            texts = [part["description"], *part["description_localizations"].values()]
            assert all(1 <= len(text) <= 100 for text in texts), (name, part["name"])
            assert all(NAME.fullmatch(text) for text in part.get("name_localizations", {}).values())
        for option in one["options"]:
            assert len(option.get("choices", ())) <= 25
            assert not ("choices" in option and option.get("autocomplete"))


def test_every_command_and_option_has_a_chinese_name_of_its_own(workshop: Any) -> None:
    for name, one in _payloads(workshop).items():
        assert set(one["name_localizations"]) == {"zh-CN", "zh-TW"}, name
        options = one.get("options", [])
        chinese = [option["name_localizations"]["zh-CN"] for option in options]
        assert len(set(chinese)) == len(chinese), f"/{name} has two options of one name"
    assert len(set(COMMANDS.values())) == len(COMMANDS)
    assert set(OPTIONS)


def test_choices_are_called_in_chinese_what_they_are_called_in_sentences(workshop: Any) -> None:
    options = {one["name"]: one for one in _payloads(workshop)["settings"]["options"]}
    for name in ("nsfw", "ephemeral", "reset"):
        for choice in options[name]["choices"]:
            chinese = choice["name_localizations"]
            assert set(chinese) == {"zh-CN", "zh-TW"}
            assert not chinese["zh-CN"].isascii()
    assert all("name_localizations" not in one for one in options["language"]["choices"])


def test_imagine_is_declared_with_its_ranges_and_both_ways_to_give_a_picture(
    workshop: Any,
) -> None:
    options = {one["name"]: one for one in _payloads(workshop)["imagine"]["options"]}
    assert (
        options["prompt"] | {"type": STRING, "required": True, "max_length": 1000}
        == (options["prompt"])
    )
    assert options["count"] | {"type": INTEGER, "min_value": 1, "max_value": 4} == options["count"]
    assert options["seed"]["max_value"] == 2**32 - 1
    assert options["guidance_scale"]["type"] == NUMBER
    assert options["private"]["type"] == BOOLEAN
    assert options["model"]["autocomplete"] is True  # which there are is known at run time only
    assert options["image"]["type"] == ATTACHMENT
    assert options["image_from"] | {"type": STRING, "autocomplete": True} == options["image_from"]
    assert {choice["value"] for choice in options["upscale"]["choices"]} == {1, 2, 4}


def test_a_needed_picture_may_come_either_way_so_neither_is_required(workshop: Any) -> None:
    options = {one["name"]: one for one in _payloads(workshop)["upscale"]["options"]}
    assert not options["image"]["required"]
    assert not options["image_from"]["required"]


def test_members_commands_are_everywhere_moderators_only_in_a_guild() -> None:
    member = declare.command(_command())
    assert (member["contexts"], member["integration_types"]) == ([0, 1, 2], [0, 1])
    assert member["default_member_permissions"] is None
    moderator = declare.command(_command(role=Role.MODERATOR))
    assert (moderator["contexts"], moderator["integration_types"]) == ([0], [0])
    assert moderator["default_member_permissions"] == str(1 << 5)


def test_what_only_the_owner_may_do_is_not_offered_in_chat() -> None:
    menu = Menu(Text(en="Own", zh="主"), action="own", role=Role.OWNER)
    assert declare.declare([_command(role=Role.OWNER)], [menu]) == []


@pytest.mark.parametrize(
    ("kind", "number"),
    [(OptionType.MEMBER, 6), (OptionType.CHANNEL, 7), (OptionType.ROLE, 8)],
)
def test_people_channels_and_roles_get_discords_own_pickers(kind: OptionType, number: int) -> None:
    option = Option(name="who", description=Text(en="Who", zh="谁"), type=kind)
    assert declare.command(_command(option))["options"][0]["type"] == number


def test_more_choices_than_discord_lists_are_suggested() -> None:
    def option(count: int) -> Option:
        choices = tuple(Choice(value=f"c{n}", label=f"C {n}") for n in range(count))
        return Option(name="one", description=Text(en="One", zh="一"), choices=choices)

    listed = declare.command(_command(option(25)))["options"][0]
    assert len(listed["choices"]) == 25
    suggested = declare.command(_command(option(26)))["options"][0]
    assert suggested["autocomplete"] is True
    assert "choices" not in suggested


def test_a_command_that_is_too_long_gives_up_choices_then_words() -> None:
    def options(label: int, described: int) -> list[Option]:
        choices = tuple(Choice(value=f"v{n}", label="l" * label) for n in range(25))
        return [
            Option(name=f"option{n}", description=_text(described), choices=choices)
            for n in range(24)
        ]

    long_choices = declare.command(_command(*options(90, 100)))
    assert declare.weight(long_choices) <= 8000
    assert all("choices" not in one for one in long_choices["options"])
    assert all(len(one["description"]) > 90 for one in long_choices["options"])


def test_descriptions_are_cut_at_a_word() -> None:
    option = Option(name="one", description=Text(en="much " * 40, zh="很" * 140))
    made = declare.command(_command(option))["options"][0]
    assert len(made["description"]) <= 100
    assert made["description"].endswith("much…")
    assert len(made["description_localizations"]["zh-CN"]) == 100


def test_what_no_shortening_makes_fit_is_an_error_at_the_start_not_a_refusal_later() -> None:
    many = [Option(name=f"option{n}", description=_text(10)) for n in range(26)]
    with pytest.raises(ValueError, match="26 options"):
        declare.command(_command(*many))
    with pytest.raises(ValueError, match="101 commands"):
        declare.declare([_command()] * 101, [])


def test_weight_counts_the_longest_language_of_everything() -> None:
    payload = {
        "name": "ab",
        "name_localizations": {"zh-CN": "abcd"},
        "description": "abc",
        "options": [
            {
                "name": "x",
                "description": "y",
                "description_localizations": {"zh-CN": "yyy"},
                "choices": [{"name": "n", "value": 12}],
            }
        ],
    }
    assert declare.weight(payload) == 4 + 3 + (1 + 3 + (1 + 2))
