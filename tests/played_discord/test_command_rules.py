"""Every rule about commands, proven by a set of commands that breaks it."""

from __future__ import annotations

from typing import Any

import pytest
from discord_server import Guild, PlayedDiscord
from played_bot import IMAGINE, Raw


def option(**changes: Any) -> dict[str, Any]:
    return {"type": 3, "name": "prompt", "description": "What"} | changes


def number(**changes: Any) -> dict[str, Any]:
    return option(type=4, name="count") | changes


def slash(*options: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": "imagine", "description": "Draw", "options": list(options)} | changes


def choices(*values: Any) -> list[dict[str, Any]]:
    return [{"name": str(value), "value": value} for value in values]


LONG = [slash(option(choices=choices(*[f"{i:03}" + "x" * 97 for i in range(25)])))]
BROKEN: list[tuple[list[dict[str, Any]], str]] = [
    ([slash(name="Imagine")], "name 'Imagine'"),
    ([slash(name="imagine it")], "name 'imagine it'"),
    ([slash(name="x" * 33)], "name"),
    ([slash(name_localizations={"zh-CN": "画 图"})], "name '画 图' zh-CN"),
    ([slash(name_localizations={"zh": "画图"})], "locale 'zh'"),
    ([slash(description="")], "a command without a description"),
    ([slash(description="x" * 101)], "description"),
    ([slash(), slash()], "2 commands of type 1 are called imagine"),
    ([slash(name=f"c{i}") for i in range(101)], "101 commands of type 1, at most 100"),
    ([{"name": f"Do {i}", "type": 3} for i in range(16)], "16 commands of type 3, at most 15"),
    ([{"name": "Report", "type": 3, "description": "x"}], "a menu command with a description"),
    ([slash(*[option(name=f"o{i}") for i in range(26)])], "options"),
    ([slash(option(), option())], "two options with one name"),
    ([slash(option(), option(name="b", required=True))], "required option after an optional one"),
    ([slash(option(name="Prompt"))], "name 'Prompt'"),
    ([slash(option(description="x" * 101))], "description"),
    ([slash(option(choices=choices(*map(str, range(26)))))], "choices"),
    ([slash(option(choices=choices("a", "a")))], "two choices with one name"),
    ([slash(option(choices=choices("x" * 101)))], "choices"),
    (
        [slash(option(choices=[{"name": "n", "value": "x" * 101}]))],
        "a choice value of 101 characters",
    ),
    ([slash(option(min_value=1))], "min_value or max_value on what is no number"),
    ([slash(option(choices=choices("a"), autocomplete=True))], "choices and autocomplete"),
    ([slash(number(choices=choices("a")))], "value"),
    ([slash(number(min_value=5, max_value=4))], "min_value 5 above max_value 4"),
    ([slash(number(max_value=2**53 + 1))], "max_value"),
    ([slash(option(min_length=5, max_length=4))], "length 5 to 4"),
    ([slash(option(max_length=6001))], "max_length"),
    ([slash(option(type=1, name="sub"), option())], "subcommands beside options"),
    ([slash(contexts=[0, 0])], "contexts"),
    (
        [
            slash(
                *[
                    option(name=f"o{i}") | {"choices": LONG[0]["options"][0]["choices"]}
                    for i in (1, 2)
                ]
            )
        ],
        "characters in all, at most 8000",
    ),
]


@pytest.mark.parametrize(("commands", "sentence"), BROKEN, ids=lambda part: str(part)[:60])
async def test_commands_that_discord_refuses(
    played_discord: PlayedDiscord, raw: Raw, commands: list[dict[str, Any]], sentence: str
) -> None:
    path = f"/applications/{played_discord.application_id}/commands"
    status, body = await raw("PUT", path, commands)
    assert (status, body["code"]) == (400, 50035)
    assert len(played_discord.forgive(sentence)) == 1
    assert not played_discord.command_writes


async def test_commands_at_their_limits_keep_their_ids(
    played_discord: PlayedDiscord, cats: Guild, raw: Raw
) -> None:
    path = f"/applications/{played_discord.application_id}/commands"
    every = [slash(name=f"c{i}") for i in range(98)] + LONG
    every.append(slash(name="画图", name_localizations={"zh-CN": "画图"}, contexts=[0, 1, 2]))
    every += [{"name": f"Do {i}", "type": 3} for i in range(15)]
    status, first = await raw("PUT", path, every)
    assert status == 200
    _, second = await raw("PUT", path, [*every[1:], slash(name="new", contexts=[0])])
    ids = {command["name"]: command["id"] for command in first}
    assert [c["id"] for c in second[:-1]] == [ids[c["name"]] for c in second[:-1]]
    assert [count for count, _ in played_discord.command_writes] == ["", ""]
    assert not played_discord.commands(cats)


async def test_what_is_given_back_leaves_out_what_says_nothing(
    played_discord: PlayedDiscord, cats: Guild, raw: Raw
) -> None:
    app = played_discord.application_id
    path = f"/applications/{app}/guilds/{cats.id}/commands"
    options = [option(required=False, choices=[], autocomplete=False)]
    moderators = {"default_member_permissions": 32, "name_localizations": {"zh-CN": "画图"}}
    await raw("PUT", path, [slash(*options, **moderators)])
    _, (bare,) = await raw("GET", path)
    _, (whole,) = await raw("GET", path + "?with_localizations=true")
    assert bare["options"] == [option()]
    assert bare["default_member_permissions"] == "32"
    assert "name_localizations" not in bare
    assert whole["name_localizations"] == {"zh-CN": "画图"}
    assert whole["guild_id"] == cats.id


async def test_one_command_at_a_time_and_two_hundred_a_day(
    played_discord: PlayedDiscord, raw: Raw
) -> None:
    path = f"/applications/{played_discord.application_id}/commands"
    status, made = await raw("POST", path, IMAGINE)
    assert status == 201
    assert (await raw("POST", path, IMAGINE | {"description": "Paint"}))[0] == 200
    one = f"{path}/{made['id']}"
    assert (await raw("PATCH", one, {"description": "Sketch"}))[1]["description"] == "Sketch"
    assert [c["description"] for c in played_discord.commands()] == ["Sketch"]
    assert (await raw("DELETE", one))[0] == 204
    assert (await raw("DELETE", one))[1]["code"] == 10063
    many = [slash(name=f"c{i}") for i in range(100)]
    assert (await raw("PUT", path, many))[0] == 200
    others = [slash(name=f"d{i}") for i in range(100)]
    assert (await raw("PUT", path, others))[1]["code"] == 30034
    assert played_discord.forgive("more than 200 commands created in a day")
