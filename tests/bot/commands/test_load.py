"""Commands are found by walking the folder, and mistakes are found before a member does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bot.commands
from bot.commands import BadCommand, load_commands
from bot.core.chat import Text
from bot.services.models import ModelOffers
from generators.registry import ModelEntry

OFFERS = ModelOffers(
    [
        ModelEntry(name="emoji", generator="diffusion"),
        ModelEntry(name="lexicon", generator="gpt2"),
        ModelEntry(name="lanczos", generator="lanczos"),
        ModelEntry(name="vae", generator="vae"),
        ModelEntry(name="audio_gan", generator="audio_gan"),
    ]
)

GREET = """
from bot.core.chat import Command, Option, Reply, Text

async def _run(services, invocation, options):
    return Reply(text="hello")

COMMAND = Command(
    name={name!r},
    summary=Text(en="Greets.", zh={zh!r}),
    run=_run,
    options=(Option(name="who", description=Text(en="Whom.", zh={option_zh!r})),) * {times},
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A second folder of commands, as if it were ours."""
    monkeypatch.setattr(bot.commands, "__path__", [*bot.commands.__path__, str(tmp_path)])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("bot.commands."):
            del sys.modules[name]


def greet(
    folder: Path, file: str = "greet", *, name: str = "greet", zh: str = "问候。",
    option_zh: str = "对谁。", times: int = 1,
) -> None:  # fmt: skip
    text = GREET.format(name=name, zh=zh, option_zh=option_zh, times=times)
    (folder / f"{file}.py").write_text(text, encoding="utf-8")


def test_all_commands_of_the_folder_are_there_makers_first() -> None:
    commands = load_commands(OFFERS)
    files = {path.stem for path in Path(bot.commands.__file__ or "").parent.glob("[!_]*.py")}
    assert set(commands) == files
    assert {"imagine", "write", "models", "queue", "cancel", "history", "favorites", "quota",
            "help", "ping"} <= files  # fmt: skip
    assert list(commands)[:2] == ["imagine", "write"]
    assert [one.category for one in commands.values()] == sorted(
        (one.category for one in commands.values()), key=["create", "change", "general"].index
    )


def test_what_no_model_can_do_is_no_command() -> None:
    few = ModelOffers([ModelEntry(name="lexicon", generator="gpt2")])
    commands = load_commands(few)
    makers = {name for name, one in commands.items() if one.category != "general"}
    assert makers == {"write"}


def test_a_file_dropped_into_the_folder_is_a_command(folder: Path) -> None:
    greet(folder)
    greet(folder, "_draft", name="draft")  # not a command
    commands = load_commands(OFFERS)
    assert commands["greet"].summary.zh == "问候。"
    assert "draft" not in commands
    assert "_draft" not in commands


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ({"name": "hello"}, "declares /hello; they must be the same"),
        ({"zh": " "}, "/greet lacks a text"),
        ({"option_zh": ""}, "/greet who lacks a text"),
        ({"times": 2}, "two options of one name"),
        ({"file": "imagine", "name": "imagine"}, "two files declare /imagine"),
    ],
)
def test_mistakes_are_told_at_the_start(folder: Path, mistake: dict[str, str], says: str) -> None:
    greet(folder, **mistake)  # type: ignore[arg-type]
    with pytest.raises(BadCommand, match=says):
        load_commands(OFFERS)


def test_a_file_without_a_command_is_a_mistake(folder: Path) -> None:
    (folder / "empty.py").write_text('"""Nothing."""\n')
    with pytest.raises(BadCommand, match="one of them"):
        load_commands(OFFERS)


def test_every_text_of_the_house_speaks_both_languages() -> None:
    """Also those that no declaration holds: every `Text` of the command files and shared replies,
    with the same places to fill in."""
    from string import Formatter

    from bot.core.i18n import replies

    load_commands(OFFERS)
    modules = [replies, *(m for n, m in sys.modules.items() if n.startswith("bot.commands."))]
    texts = [
        (module.__name__, name, text)
        for module in modules
        for name, value in vars(module).items()
        for text in (value.values() if isinstance(value, dict) else [value])
        if isinstance(text, Text)
    ]
    assert len(texts) > 60
    for module, name, text in texts:
        places = [
            sorted(place for _, place, _, _ in Formatter().parse(sentence) if place)
            for sentence in (text.en, text.zh)
        ]
        assert places[0] == places[1], (module, name)
        assert text.en.strip(), (module, name)
        assert text.zh.strip(), (module, name)
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in text.en), (module, name)


def test_model_choices_are_those_on_offer_now() -> None:
    options = {option.name: option for option in load_commands(OFFERS)["imagine"].option_list()}
    assert [choice.value for choice in options["model"].choice_list()] == ["emoji", "vae"]


def test_platforms_can_hold_every_declaration() -> None:
    """Discord: 25 options, descriptions of 100 characters, 25 choices; Telegram: 256 characters."""
    for command in load_commands(OFFERS).values():
        assert len(command.option_list()) <= 25
        for text in (command.summary, *(option.description for option in command.option_list())):
            assert len(text.en) <= 100, text.en
            assert len(text.zh) <= 100
        required = [option.required for option in command.option_list()]
        assert required == sorted(required, reverse=True)  # Discord wants required ones first
