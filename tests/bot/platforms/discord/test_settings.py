"""What the host may say about Discord, and what is said where that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import settings
from bot.errors import SettingsError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in settings.known_names():
        monkeypatch.delenv(name, raising=False)


def test_without_a_token_discord_is_off_and_points_at_the_real_one() -> None:
    chosen = settings.load().discord
    assert (chosen.token, chosen.public_key, chosen.communities) == (None, "", ())
    assert chosen.api_base == "https://discord.com/api/v10"


def test_communities_are_ids_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DISCORD_COMMUNITIES", "1574262076736536576, 42,")
    assert settings.load().discord.communities == (1574262076736536576, 42)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATELIER_DISCORD_COMMUNITIES", "Cats"),
        ("ATELIER_DISCORD_COMMUNITIES", "-5"),
        ("ATELIER_DISCORD_PUBLIC_KEY", "abc"),
        ("ATELIER_DISCORD_API_BASE", "discord.com"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        settings.load()


def test_a_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN", "very.secret.token")
    assert "very.secret" not in repr(settings.load())
