"""Texts and parts of messages, within Discord's limits."""

from __future__ import annotations

import pytest

from bot.core.chat import Button, ButtonStyle
from bot.platforms.discord import components


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**loud** _leaning_ ~~gone~~", r"\*\*loud\*\* \_leaning\_ \~\~gone\~\~"),
        ("||secret|| `code` \\", r"\|\|secret\|\| \`code\` \\"),
        ("# head\n> said\n - item\n-# small", "\\# head\n\\> said\n \\- item\n\\-# small"),
        ("1. first\n12. twelfth", "1\\. first\n12\\. twelfth"),
        ("<@123> <#4> <:a:1> </cmd:1>", r"\<@123> \<#4> \<:a:1> \</cmd:1>"),
        ("[good](https://evil.example/)", r"\[good\](https://evil.example/)"),
        ("https://a.example/b_c_d?e=_f_", "https://a.example/b_c_d?e=_f_"),
        ("plain, 3.5 and a-b #5", "plain, 3.5 and a-b #5"),
    ],
)
def test_members_words_are_shown_as_they_typed_them(text: str, shown: str) -> None:
    assert components.escape(text) == shown


@pytest.mark.parametrize("room", [1, 2, 7, 20, 21, 22, 23, 60])
def test_a_shortened_text_fits_though_escaping_makes_it_longer(room: int) -> None:
    shown = components.shortened("**a** *b* _c_ 😀😀 and more", room)

    assert 0 < components.length(shown) <= room
    assert shown.endswith("…") == (room < 60)
    assert not shown.endswith("\\…"), "an escape without what it escapes"


def test_emoji_count_twice_as_they_may_for_discord() -> None:
    assert components.length("a😀é心") == 5


def test_wide_rows_are_broken_and_pressed_toggles_are_green() -> None:
    wide = [Button(f"b{n}", f"d{n}", "does n") for n in range(7)]
    toggles = [
        Button("on", "on", "is on", pressed=True),
        Button("off", "off", "is off", pressed=False),
        Button("danger", "x", "erases", style=ButtonStyle.DANGER),
    ]

    rows = components.rows([wide, toggles])

    assert [len(row["components"]) for row in rows] == [5, 2, 3]
    assert [button["style"] for button in rows[2]["components"]] == [3, 2, 4]
    assert rows[0]["components"][0] == {
        "type": 2,
        "style": 2,
        "label": "b0",
        "custom_id": "d0",
    }


@pytest.mark.parametrize(("fraction", "full"), [(-1, 0), (0, 0), (0.5, 6), (0.99, 11), (1, 12)])
def test_a_meter_is_full_only_when_all_is_used(fraction: float, full: int) -> None:
    assert components.meter(fraction) == "▰" * full + "▱" * (12 - full)


def test_nested_components_are_counted() -> None:
    card = components.section("words", components.picture("a.png"))
    box = components.container([card, components.row([components.link("a", "https://a.example")])])

    assert components.count([box]) == 6
    assert components.characters([box]) == 5
