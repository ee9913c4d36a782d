"""Whatever is handed over becomes typed values or one clear sentence in every language."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.chat import Choice, Command, Invocation, Option, OptionType, Reply, Text
from bot.core.options import validate
from bot.errors import BadOption


async def _run(services: Any, invocation: Invocation, options: Any) -> Reply:
    return Reply()


def option(name: str, type: OptionType = OptionType.STRING, **more: Any) -> Option:
    return Option(name=name, type=type, description=Text(en=f"The {name}.", zh="说明。"), **more)


COMMAND = Command(
    name="paint",
    summary=Text(en="Paints.", zh="绘画。"),
    run=_run,
    examples=("/paint red heart",),
    options=(
        option("prompt", required=True, minimum=1, maximum=1000, rest=True),
        option("notes", maximum=100, multiline=True),
        option("size", OptionType.INTEGER, minimum=32, maximum=2048),
        option("strength", OptionType.NUMBER, minimum=0.0, maximum=1.0, default=0.5),
        option("private", OptionType.BOOLEAN, default=False),
        option("model", choices=lambda: (Choice("emoji", "Emoji"), Choice("turbo", "Turbo"))),
        option("tag", choices=(Choice("a", "A"),), open_choices=True),
        option("steps", OptionType.INTEGER),
    ),
)


def refused(raw: dict[str, Any]) -> str:
    with pytest.raises(BadOption) as caught:
        validate(COMMAND, {"prompt": "x", **raw})
    for sentence in caught.value.texts.values():
        assert 5 < len(sentence) < 300
        sentence.encode()  # no half characters are echoed
        assert "\x00" not in sentence
    return str(caught.value)


def accepted(raw: dict[str, Any]) -> dict[str, Any]:
    return validate(COMMAND, {"prompt": "x", **raw})


def test_every_option_is_in_the_result_with_its_default() -> None:
    assert validate(COMMAND, {"prompt": "red heart"}) == {
        "prompt": "red heart",
        "notes": None,
        "size": None,
        "strength": 0.5,
        "private": False,
        "model": None,
        "tag": None,
        "steps": None,
    }


@pytest.mark.parametrize("nothing", [None, "", "   ", "\u200b\u200d", "\u3000\n"])
def test_nothing_visible_is_not_a_prompt(nothing: Any) -> None:
    with pytest.raises(BadOption, match=r"needs prompt\. For example: /paint red heart"):
        validate(COMMAND, {"prompt": nothing})
    assert accepted({"size": nothing, "strength": nothing})["strength"] == 0.5


@pytest.mark.parametrize(
    ("given_value", "meant"),
    [(64, 64), ("64", 64), (64.0, 64), ("64.0", 64), (" +64 ", 64), ("６４", 64)],
)
def test_whole_numbers_in_every_dress(given_value: Any, meant: int) -> None:
    value = accepted({"size": given_value})["size"]
    assert value == meant
    assert type(value) is int


@pytest.mark.parametrize(
    "wrong",
    [
        "abc",
        "6.5",
        6.5,
        True,
        "1_000",
        [64],
        {"a": 1},
        math.nan,
        math.inf,
        "nan",
        "Infinity",
        b"64",
    ],
)
def test_what_is_no_whole_number(wrong: Any) -> None:
    assert "whole number" in refused({"size": wrong})


@pytest.mark.parametrize(
    "wrong", [-64, 0, 31, 2049, "-5", "9" * 5000, "-" + "9" * 50, 1e300, "1e300"]
)
def test_sizes_out_of_range(wrong: Any) -> None:
    assert refused({"size": wrong}) == "size must be between 32 and 2048."


def test_a_size_of_five_thousand_digits() -> None:
    # Python refuses to print such numbers (and so pytest cannot take it as a parameter).
    assert refused({"size": 10**5000}) == "size must be between 32 and 2048."


def test_an_unbounded_number_is_still_one_that_can_be_stored() -> None:
    assert refused({"steps": 2**63}) == "steps is too large a number."
    assert accepted({"steps": 2**63 - 1})["steps"] == 2**63 - 1


@pytest.mark.parametrize("right", [1, 1.0, "1", "1e0", " 0.25"])
def test_numbers(right: Any) -> None:
    assert type(accepted({"strength": right})["strength"]) is float


@pytest.mark.parametrize("wrong", ["0,5", "half", False, math.nan, "-inf", [], "1" * 500, "1_0"])
def test_what_is_no_number(wrong: Any) -> None:
    assert "must be a number" in refused({"strength": wrong})


@pytest.mark.parametrize("wrong", [-0.001, 1.001, "7", 10**400, -(10**400)])
def test_numbers_out_of_range(wrong: Any) -> None:
    assert refused({"strength": wrong}) == "strength must be between 0 and 1."


@pytest.mark.parametrize(
    ("given_value", "meant"),
    [
        (True, True),
        ("Yes", True),
        ("是", True),
        (1, True),
        ("off", False),
        ("否", False),
        (0, False),
    ],
)
def test_yes_and_no_in_both_languages(given_value: Any, meant: bool) -> None:
    assert accepted({"private": given_value})["private"] is meant


@pytest.mark.parametrize("wrong", ["maybe", 2, 0.5, [], "yes" * 1000])
def test_neither_yes_nor_no(wrong: Any) -> None:
    assert "must be yes or no" in refused({"private": wrong})


def test_choices_by_value_or_label_in_any_case() -> None:
    assert accepted({"model": "TURBO"})["model"] == "turbo"
    assert accepted({"model": "Emoji"})["model"] == "emoji"
    assert accepted({"tag": "anything"})["tag"] == "anything"
    sentence = refused({"model": "turob"})
    assert "Did you mean turbo?" in sentence
    assert "There are: emoji, turbo." in sentence


def test_unknown_options_are_named_with_a_guess() -> None:
    assert refused({"szie": 64}) == "/paint has no option szie. Did you mean size?"
    assert "zzzzzz" in refused({"zzzzzz": 1})
    refused({"\ud800": 1})


@pytest.mark.parametrize("wrong", [7, ["red"], {"a": 1}, True, b"red"])
def test_a_prompt_is_text(wrong: Any) -> None:
    assert "must be text" in refused({"prompt": wrong})


@pytest.mark.parametrize(
    "wrong", ["a\x00b", "a\x1bb", "a\x7fb", "a\x85b", "\ud83d", "heart \udc00"]
)
def test_characters_that_cannot_be_shown(wrong: str) -> None:
    assert "cannot be shown (U+" in refused({"prompt": wrong})


def test_lengths_count_characters_after_composing() -> None:
    assert refused({"prompt": "❤" * 10_000}) == (
        "prompt is too long: 10,000 characters, and at most 1,000 are allowed."
    )
    decomposed = unicodedata.normalize("NFD", "é" * 1000)
    assert accepted({"prompt": decomposed})["prompt"] == "é" * 1000
    assert "too long" in refused({"prompt": decomposed + "e"})
    assert "too long" in refused({"prompt": "a\u0301\u0316" * 100_000})  # slow if composed


def test_line_breaks_stay_only_where_they_may() -> None:
    values = accepted({"prompt": " red\r\nheart\n", "notes": "one\r\ntwo\rthree\n"})
    assert values["prompt"] == "red heart"
    assert values["notes"] == "one\ntwo\nthree"


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters())
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([option.name for option in COMMAND.option_list()])


@given(st.dictionaries(NAMES | st.text(alphabet=st.characters()), ANYTHING, max_size=8))
def test_validate_gives_good_values_or_a_sentence(raw: dict[str, Any]) -> None:
    try:
        values = validate(COMMAND, raw)
    except BadOption as error:
        for sentence in error.texts.values():
            sentence.encode()
        return
    assert list(values) == [option.name for option in COMMAND.option_list()]
    assert 1 <= len(values["prompt"]) <= 1000
    assert values["size"] is None or 32 <= values["size"] <= 2048
    assert 0 <= values["strength"] <= 1
    assert validate(COMMAND, values) == values  # validating twice changes nothing
