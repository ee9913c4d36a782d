"""What was acknowledged before it was admitted outlives the gateway, once and not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.chat import Invocation, Origin, Role
from bot.platforms.discord import intake as intake_module
from bot.platforms.discord.intake import STALE, Intake
from bot.platforms.discord.reading import Asked, Attached

NOW = datetime(2026, 8, 1, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "intake.jsonl"


@pytest.fixture
def intake(path: Path, clock: Clock) -> Iterator[Intake]:
    intake = Intake(path, clock)
    yield intake
    intake.close()


def asked(number: int = 1, **more: Any) -> Asked:
    origin = Origin(
        platform="discord",
        community_external_id="500",
        personal=False,
        identity_external_id="700",
        display_name="Anna  A.\n",
        role=Role.MODERATOR,
        platform_roles=("31", "32"),
        age_restricted=True,
    )
    invocation = Invocation(
        id=str(number),
        origin=origin,
        command="imagine",
        options={"prompt": "红心  “x”\u2028\n{}", "count": 4},
        address={"token": "t", "limit_bytes": 5},
    )
    picture = Attached("https://cdn.discordapp.com/x.png", 5, "image/png", "x.png")
    return Asked(invocation, files={"image": picture}, **more)


def again(path: Path, clock: Clock) -> list[Asked]:
    """What a gateway finds that starts now."""
    found = Intake(path, clock)
    left = found.left()
    found.close()
    return left


def test_what_is_kept_comes_back_as_it_was_in_order(
    intake: Intake, path: Path, clock: Clock
) -> None:
    first, second = asked(1), asked(2, alone=False, edits=True)
    intake.keep(first)
    intake.keep(second)
    assert path.stat().st_mode & 0o077 == 0
    assert again(path, clock) == [first, second]
    assert again(path, clock) == [first, second]  # killed once more, before it was taken up


def test_what_is_dropped_does_not_come_back_and_nothing_stays(
    intake: Intake, path: Path, clock: Clock
) -> None:
    for number in (1, 2, 3):
        intake.keep(asked(number))
    intake.drop(asked(2))
    intake.drop(asked(9))  # was in time, and so was never kept
    assert [one.invocation.id for one in again(path, clock)] == ["1", "3"]
    intake.drop(asked(1))
    intake.drop(asked(3))
    assert path.read_bytes() == b""


def test_what_was_taken_up_is_dropped_by_whoever_took_it_up(
    intake: Intake, path: Path, clock: Clock
) -> None:
    intake.keep(asked())
    later = Intake(path, clock)
    (left,) = later.left()
    later.keep(asked(2))
    later.drop(left)
    assert [one.invocation.id for one in again(path, clock)] == ["2"]
    later.close()


def test_a_line_that_was_being_written_takes_no_other_with_it(
    intake: Intake, path: Path, clock: Clock
) -> None:
    intake.keep(asked(1))
    intake.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    later = Intake(path, clock)
    later.keep(asked(2))
    later.close()
    assert [one.invocation.id for one in again(path, clock)] == ["1", "2"]


def test_who_waited_too_long_is_not_answered(intake: Intake, path: Path, clock: Clock) -> None:
    intake.keep(asked(1))
    clock.now = NOW + STALE - timedelta(seconds=1)
    intake.keep(asked(2))
    clock.now = NOW + STALE
    assert [one.invocation.id for one in again(path, clock)] == ["2"]
    clock.now = NOW + 3 * STALE
    assert again(path, clock) == []
    assert path.read_bytes() == b""


def test_a_crowd_without_end_needs_no_disk_without_end(
    intake: Intake, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "MAX_LINES", 20)
    intake.keep(asked(0))
    for number in range(1, 100):
        intake.keep(asked(number))
        intake.drop(asked(number))
    assert len(path.read_text().split("\n")) <= 23
    assert [one.invocation.id for one in again(path, clock)] == ["0"]


def test_a_full_disk_is_no_reason_to_leave_members_waiting(path: Path, clock: Clock) -> None:
    path.parent.parent.joinpath("data").write_text("in the way")
    intake = Intake(path, clock)
    intake.keep(asked())
    intake.drop(asked())
