"""Times, durations and sizes as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.i18n import formats

NOW = datetime(2026, 11, 22, 20, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (-5, "0 s", "0 秒"),
        (0.02, "0.1 s", "0.1 秒"),
        (3.24, "3.2 s", "3.2 秒"),
        (9.97, "10 s", "10 秒"),
        (45.4, "45 s", "45 秒"),
        (59.9, "1 min", "1 分"),
        (125, "2 min 5 s", "2 分 5 秒"),
        (3_840, "1 h 4 min", "1 小时 4 分"),
        (3_605, "1 h", "1 小时"),
        (86_400, "24 h", "24 小时"),
        (180_000, "2 d 2 h", "2 天 2 小时"),
    ],
)
def test_durations(seconds: float, en: str, zh: str) -> None:
    assert formats.duration(seconds, "en-GB") == en
    assert formats.duration(seconds, "zh-CN") == zh


@given(st.floats(0, 1e9))
def test_every_duration_says_something(seconds: float) -> None:
    assert formats.duration(seconds, "en")


@pytest.mark.parametrize(
    ("past", "en", "zh"),
    [
        (timedelta(seconds=-3), "just now", "刚刚"),
        (timedelta(seconds=59), "just now", "刚刚"),
        (timedelta(minutes=5, seconds=59), "5 min ago", "5 分前"),
        (timedelta(hours=30), "30 h ago", "30 小时前"),
        (timedelta(days=6), "6 d ago", "6 天前"),
        (timedelta(days=8), "14 Nov 2026", "2026年11月14日"),
    ],
)
def test_how_long_ago(past: timedelta, en: str, zh: str) -> None:
    assert formats.ago(NOW - past, NOW, "en") == en
    assert formats.ago(NOW - past, NOW, "zh") == zh


def test_moments_are_utc_wherever_they_come_from() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert formats.moment(elsewhere, "en") == "22 Nov 2026, 20:19 UTC"
    assert formats.moment(elsewhere, "zh") == "2026年11月22日 20:19 UTC"


def test_gpu_seconds_never_round_to_nothing() -> None:
    assert formats.gpu_seconds(0, "en") == "0 GPU-seconds"
    assert formats.gpu_seconds(1, "en") == "0.1 GPU-seconds"
    assert formats.gpu_seconds(600_000, "zh") == "600 GPU 秒"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (512, "512 B"), (3_500, "3.4 KiB"), (12 * 2**20, "12 MiB"), (5 * 2**40, "5 TiB")],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert formats.size(size_bytes) == text
