"""What is suggested while an option is typed."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.chat import Choice, Command, Option, Reply, Text
from bot.platforms.discord.autocomplete import Suggestions


async def _run(*_: Any) -> Reply:
    return Reply()


def _typed(name: str, value: str) -> list[dict[str, Any]]:
    return [
        {"name": "prompt", "type": 3, "value": "red heart"},
        {"name": name, "type": 3, "value": value, "focused": True},
    ]


@pytest.fixture
def suggestions(workshop: Any) -> Suggestions:
    return Suggestions(workshop.commands.values())


def test_models_as_they_are_now(suggestions: Suggestions) -> None:
    found = suggestions.suggest("imagine", _typed("model", ""))
    assert ("emoji", "emoji") in found
    assert suggestions.suggest("imagine", _typed("model", "TUR")) == [("turbo", "turbo")]
    assert suggestions.suggest("imagine", _typed("model", "no such")) == []


def test_what_begins_so_comes_before_what_contains_it() -> None:
    names = ("blue heart", "heart", "green heart", "hearty")
    option = Option(
        name="style",
        description=Text(en="Style", zh="风格"),
        choices=lambda: tuple(Choice(value=name, label=name) for name in names),
    )
    command = Command(name="draw", summary=Text(en="Draw", zh="画"), run=_run, options=(option,))
    found = Suggestions([command]).suggest("draw", _typed("style", "heart"))
    assert [value for _, value in found] == ["heart", "hearty", "blue heart", "green heart"]


def test_never_more_than_discord_takes_nor_longer_than_it_takes() -> None:
    choices = (
        Choice(value="v" * 101, label="unsendable"),
        *(Choice(value=f"v{n}", label="l" * 150) for n in range(500)),
    )
    option = Option(name="lora", description=Text(en="Lora", zh="风格"), choices=choices)
    command = Command(name="draw", summary=Text(en="Draw", zh="画"), run=_run, options=(option,))
    found = Suggestions([command]).suggest("draw", _typed("lora", "v"))
    assert len(found) == 25
    assert all(len(label) <= 100 for label, _ in found)
    assert found[0][1] == "v0"


def test_pictures_of_the_past_by_the_words_for_them(suggestions: Suggestions) -> None:
    found = suggestions.suggest("upscale", _typed("image_from", "last#"))
    assert [value for _, value in found] == ["last#1", "last#2", "last#3", "last#4"]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("imagine", [{"name": "prompt", "type": 3, "value": "x"}]),
        ("imagine", _typed("no_such_option", "x")),
        ("no_such_command", _typed("model", "x")),
    ],
)
def test_what_nobody_knows_has_no_suggestions(
    suggestions: Suggestions, command: str, options: list[dict[str, Any]]
) -> None:
    assert suggestions.suggest(command, options) == []
