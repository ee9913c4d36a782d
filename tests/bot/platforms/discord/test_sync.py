"""Whether Discord's list of commands is ours, however it writes it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bot.actions import shared_menus
from bot.platforms.discord.declare import declare
from bot.platforms.discord.sync import same


@pytest.fixture
def ours(workshop: Any) -> list[dict[str, Any]]:
    return declare(workshop.commands.values(), shared_menus())


@pytest.fixture
def theirs(ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the API gives them back: in another order, with ids, and with defaults left out."""
    found = copy.deepcopy(ours)[::-1]
    for place, one in enumerate(found):
        permissions = one["default_member_permissions"]
        one |= {
            "id": str(place),
            "application_id": "9",
            "version": "77",
            "name_localized": "x",
            "dm_permission": True,
            "description": one.get("description", ""),
            "description_localizations": one.get("description_localizations"),
            "default_member_permissions": None if permissions is None else str(permissions),
            "integration_types": one["integration_types"][::-1],
        }
        if not one.get("options"):
            one.pop("options", None)
        for option in one.get("options", ()):
            if not option["required"]:
                del option["required"]
            for choice in option.get("choices", ()):
                choice.setdefault("name_localizations", None)
            if "min_value" in option:
                option["min_value"] = float(option["min_value"])
    return found


def test_what_is_known_already_is_not_sent_again(ours: Any, theirs: Any) -> None:
    assert same(ours, theirs)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.update(description="Something else"),
        lambda one: one["options"].pop(),
        lambda one: one["options"].reverse(),
        lambda one: one["options"][0].update(required=False),
        lambda one: one["options"][0].update(max_length=5),
        lambda one: one["name_localizations"].pop("zh-TW"),
        lambda one: one.update(default_member_permissions="32"),
        lambda one: one.update(contexts=[0]),
        lambda one: one.update(nsfw=True),
    ],
)
def test_every_difference_counts(ours: Any, theirs: Any, change: Any) -> None:
    change(next(one for one in theirs if one["name"] == "imagine"))
    assert not same(ours, theirs)


def test_a_command_more_or_less_counts(ours: Any, theirs: Any) -> None:
    assert not same(ours, theirs[1:])
    assert not same(ours[1:], theirs)
    assert not same(ours, [])


def test_zero_is_a_value(ours: Any, theirs: Any) -> None:
    seed = next(
        o for c in theirs if c["name"] == "imagine" for o in c["options"] if o["name"] == "seed"
    )
    assert seed["min_value"] == 0
    del seed["min_value"]
    assert not same(ours, theirs)
