"""The typed form: what is an option, what are words, and that what is written reads back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.chat import Choice, Command, Invocation, Option, OptionType, Reply, Text
from bot.core.options import format_text, parse_text, validate
from bot.errors import BadOption


async def _run(services: Any, invocation: Invocation, options: Any) -> Reply:
    return Reply()


def option(name: str, type: OptionType = OptionType.STRING, **more: Any) -> Option:
    return Option(name=name, type=type, description=Text(en=f"The {name}.", zh="说明。"), **more)


def command(*options: Option) -> Command:
    return Command(name="paint", summary=Text(en="Paints.", zh="绘画。"), run=_run, options=options)


PAINT = command(
    option("prompt", required=True, rest=True, multiline=True),
    option("seed", OptionType.INTEGER, minimum=0),
    option("count", OptionType.INTEGER, default=4),
    option("guidance_scale", OptionType.NUMBER),
    option("negative_prompt", multiline=True),
    option("private", OptionType.BOOLEAN, default=False),
    option("model", choices=(Choice("a", "a"), Choice("b", "b"))),
)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("red heart seed:7 count:4", {"prompt": "red heart", "seed": "7", "count": "4"}),
        ("seed:7 red heart", {"prompt": "red heart", "seed": "7"}),
        ("red seed:7 heart", {"prompt": "red heart", "seed": "7"}),
        ("red heart seed: 7", {"prompt": "red heart", "seed": "7"}),
        ("红心 seed：7", {"prompt": "红心", "seed": "7"}),
        ("heart Seed:7", {"prompt": "heart", "seed": "7"}),
        ("heart guidance-scale:1.5", {"prompt": "heart", "guidance_scale": "1.5"}),
        ("heart seed:-3", {"prompt": "heart", "seed": "-3"}),
        ('"red heart" seed:7', {"prompt": "red heart", "seed": "7"}),
        ("“red heart” seed:7", {"prompt": "red heart", "seed": "7"}),
        ('prompt:red heart seed:7', {"prompt": "red heart", "seed": "7"}),
        ('prompt:"red: heart" seed:7', {"prompt": "red: heart", "seed": "7"}),
        ('x negative_prompt:"dark, red"', {"prompt": "x", "negative_prompt": "dark, red"}),
        (r'x negative_prompt:"a \"b\" \\"', {"prompt": "x", "negative_prompt": 'a "b" \\'}),
        ("a clock at 10:30", {"prompt": "a clock at 10:30"}),
        ("https://example.org/a?b=c red", {"prompt": "https://example.org/a?b=c red"}),
        ("portrait: a cat", {"prompt": "portrait: a cat"}),
        ("the seed: a story", {"prompt": "the seed: a story"}),
        ("model: a young woman", {"prompt": "model: a young woman"}),
        ("I love it:) :heart: std::vector", {"prompt": "I love it:) :heart: std::vector"}),
        ("标题：红心 标题:红心", {"prompt": "标题：红心 标题:红心"}),
        ('he said "note:this" twice', {"prompt": 'he said "note:this" twice'}),
        ('"seed:7"', {"prompt": "seed:7"}),
        ('5" pizza', {"prompt": '5" pizza'}),
        ('"unclosed heart', {"prompt": '"unclosed heart'}),
        ("one\n  two seed:7\nthree", {"prompt": "one\n  two\nthree", "seed": "7"}),
        ("", {}),
        ("   ", {}),
        ("seed:7", {"seed": "7"}),
        ("seed:", {"prompt": "seed:"}),
    ],
)  # fmt: skip
def test_what_is_an_option_and_what_are_words(typed: str, read: dict[str, str]) -> None:
    assert parse_text(PAINT, typed) == read


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("heart sed:7", "Did you mean seed:?"),
        ("heart sed:7", 'put the text in "quotes"'),
        ("heart zzz:7", "has no option zzz:"),
        ("seed:7 seed:8", "seed: is given twice"),
        ("heart prompt:star", "prompt: is given twice"),
        ('heart negative_prompt:"dark', "has no end"),
    ],
)
def test_slips_are_pointed_out(typed: str, says: str) -> None:
    with pytest.raises(BadOption) as caught:
        parse_text(PAINT, typed)
    assert says in str(caught.value)
    assert caught.value.text("zh-CN") != str(caught.value)


def test_a_command_without_words_says_so() -> None:
    with pytest.raises(BadOption, match="takes no text"):
        parse_text(command(), "hello")
    with pytest.raises(BadOption, match="Its options: page:"):
        parse_text(command(option("page", OptionType.INTEGER)), "two")


def test_many_unclosed_quotations_cost_no_time() -> None:
    assert parse_text(PAINT, '"a\\" ' * 20_000)["prompt"].startswith('"a')


def test_defaults_and_nothing_are_left_out() -> None:
    values = validate(PAINT, {"prompt": "red heart", "seed": 7})
    assert format_text(PAINT, values) == "/paint red heart seed:7"
    assert format_text(PAINT, {"prompt": "seed:7", "negative_prompt": "a b"}) == (
        '/paint "seed:7" negative_prompt:"a b"'
    )


@given(st.text(alphabet=st.characters() | st.sampled_from('": \\\n“”：sed')))
def test_reading_never_raises_anything_else(typed: str) -> None:
    try:
        read = parse_text(PAINT, typed)
    except BadOption as error:
        for sentence in error.texts.values():
            sentence.encode()
    else:
        assert set(read) <= {option.name for option in PAINT.option_list()}


WORDS = st.text(
    alphabet=st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('": \\\n“”：sed7')
)
VALUES = st.fixed_dictionaries(
    {"prompt": WORDS},
    optional={
        "seed": st.integers(0, 2**32 - 1),
        "count": st.integers(1, 4),
        "guidance_scale": st.floats(0, 30),
        "negative_prompt": WORDS,
        "private": st.booleans(),
        "model": st.sampled_from(["a", "b"]),
    },
)  # fmt: skip


@given(VALUES)
@example({"prompt": "“a b”"})
@example({"prompt": '"'})
@example({"prompt": "prompt: x", "seed": 7})
@example({"prompt": "note:", "seed": 7})
@example({"prompt": "ends in seed:", "count": 3, "seed": 7})
@example({"prompt": "a\\"})
def test_what_is_written_reads_back(raw: dict[str, Any]) -> None:
    try:
        values = validate(PAINT, raw)
    except BadOption:
        return  # nothing visible in the prompt
    typed = format_text(PAINT, values)
    assert typed.startswith("/paint ")
    assert validate(PAINT, parse_text(PAINT, typed.removeprefix("/paint "))) == values
