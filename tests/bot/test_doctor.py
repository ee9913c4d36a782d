"""What the doctor says of Discord reaches the terminal; the rest is in `test_cli`."""

from __future__ import annotations

from pathlib import Path

import pytest
from discord_server import PlayedDiscord

from bot import doctor, settings
from bot.platforms.discord import invitation


@pytest.fixture
def environment(
    played_discord: PlayedDiscord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN", played_discord.token)
    monkeypatch.setenv("ATELIER_DISCORD_API_BASE", played_discord.api_base)


@pytest.mark.usefixtures("environment")
async def test_discord_is_looked_at_from_four_sides(
    played_discord: PlayedDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_discord,))
    found = [finding async for finding in doctor.examine(settings.load())]
    assert [finding.name for finding in found] == [
        "discord",
        "discord commands",
        "discord permissions",
        "discord invitation",
    ]
    assert found[-1].link == invitation.link(played_discord.application_id)


@pytest.mark.usefixtures("environment")
async def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    (finding,) = await doctor.check_discord(settings.load())
    assert finding.mark is doctor.Mark.BAD
    assert "atelier[discord]" in finding.remedy
