"""Word and pattern rules: what they catch, what they let through, and that they stay quick."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import BadOption, PromptRefused
from bot.services.moderation import ModerationService, check_rule, normalised, read_rules

check = ModerationService().check


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("gore", "some Gore here"),
        ("gore", "GORE!"),
        ("gore", "(ｇｏｒｅ)"),
        ("gore", "go\u200bre"),
        ("gore", "g\u0337ore"),
        ("STRASSE", "eine straße"),
        ("bad thing", "a  BAD\n thing"),
        ("go*", "gory"),
        ("*gore*", "the goremonger"),
        ("g?re", "gore"),
        ("g*r*e", "garde gouvernare"),
        ("o*re", "ore ogre ore"),
        ("血腥", "一幅血腥的画"),
        ("a.b", "a.b"),
    ],
)
def test_what_a_rule_catches(rule: str, text: str) -> None:
    with pytest.raises(PromptRefused) as caught:
        check(text, ["other", rule])
    assert all("“" in caught.value.texts[language] for language in ("en", "zh"))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("gore", "categories"),
        ("ass", "a classic glass"),
        ("go*", "ego"),
        ("a.b", "axb"),
        ("g?re", "ggore"),
        ("bad thing", "a bad, thing"),
    ],
)
def test_what_a_rule_lets_through(rule: str, text: str) -> None:
    check(text, [rule])


def test_what_a_picture_should_not_show_may_be_named() -> None:
    service = ModerationService()
    params = {"prompt": "a cat", "negative_prompt": "gore", "width": 64}
    service.check_params(params, ["gore"])
    with pytest.raises(PromptRefused):
        service.check_params({**params, "prompt": "gore"}, ["gore"])


@pytest.mark.parametrize("rule", ["", "  ", "*", "? ?", "x" * 101, "a*b*c*d*e", "\u200b"])
def test_what_is_no_rule_is_told(rule: str) -> None:
    with pytest.raises(BadOption):
        check_rule(rule)


def test_stored_rules_that_are_none_are_left_out() -> None:
    assert read_rules(["a", 3, None, " ", "*", "\u200b", "b"]) == ("a", "b")
    for setting in (None, "a", {"a": 1}, 7):
        assert read_rules(setting) == ()


@settings(deadline=None)
@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=120), max_size=5))
def test_any_rule_on_any_text_is_an_answer(text: str, rules: list[str]) -> None:
    with suppress(PromptRefused):
        check(text, rules)


def test_a_hostile_rule_on_a_hostile_text_ends() -> None:
    hostile = ["a*a*a*b", "*a*a*" + "a" * 90 + "b", "?*?*?*!", "a" * 99 + "b"]
    check("a" * 4000, hostile)
    check("a " * 2000, hostile)


@settings(deadline=None)
@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
