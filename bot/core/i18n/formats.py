"""Times, durations, sizes and GPU seconds in words, in every language. Pure.

Absolute times are UTC and say so: the studio does not know where a member lives.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bot.core.chat import Text

# Seconds in the unit, and from how many seconds on it is used: "36 h" says more than "1 d 12 h".
_UNITS = (
    (86_400, 172_800, Text(en="{n} d", zh="{n} 天")),
    (3_600, 3_600, Text(en="{n} h", zh="{n} 小时")),
    (60, 60, Text(en="{n} min", zh="{n} 分")),
    (1, 0, Text(en="{n} s", zh="{n} 秒")),
)
_AGO = Text(en="{time} ago", zh="{time}前")
_JUST_NOW = Text(en="just now", zh="刚刚")
_GPU_SECONDS = Text(en="{n} GPU-seconds", zh="{n} GPU 秒")


def duration(seconds: float, locale: str) -> str:
    """`0.4 s`, `3.2 s`, `45 s`, `2 min 5 s`, `1 h 4 min`: two units at most, never negative."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return _UNITS[-1][2].in_(locale).format(n=_short(seconds))
    left = round(seconds)
    index = next(index for index, unit in enumerate(_UNITS) if left >= unit[1])
    parts = []
    for size, _, text in _UNITS[index : index + 2]:
        if left >= size:
            parts.append(text.in_(locale).format(n=left // size))
            left %= size
    return " ".join(parts)


def ago(then: datetime, now: datetime, locale: str) -> str:
    """`just now`, `5 min ago`, and the date once a week has passed."""
    seconds = (now - then).total_seconds()
    if seconds >= 7 * 86_400:
        return date(then, locale)
    if seconds < 60:
        return _JUST_NOW.in_(locale)
    size, _, text = next(unit for unit in _UNITS if seconds >= unit[1])
    return _AGO.in_(locale).format(time=text.in_(locale).format(n=int(seconds // size)))


def date(moment: datetime, locale: str) -> str:
    """`22 Nov 2026` or `2026年11月22日`, in UTC."""
    day = moment.astimezone(UTC)
    if locale.lower().startswith("zh"):
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def moment(at: datetime, locale: str) -> str:
    """`22 Nov 2026, 20:19 UTC`."""
    comma = " " if locale.lower().startswith("zh") else ", "
    return f"{date(at, locale)}{comma}{at.astimezone(UTC):%H:%M} UTC"


def gpu_seconds(gpu_ms: int, locale: str) -> str:
    """`3.2 GPU-seconds`, from integer GPU milliseconds."""
    return _GPU_SECONDS.in_(locale).format(n=_short(gpu_ms / 1000))


def size(size_bytes: int) -> str:
    """`512 B`, `3.4 KiB`, `12 MiB`: the same in every language."""
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{_short(amount) if unit != 'B' else int(amount)} {unit}"
        amount /= 1024
    return f"{_short(amount)} TiB"


def _short(number: float) -> str:
    """One decimal below ten, none above, and no `.0`. Never `0` for what is more than nothing."""
    if 0 < number < 0.1:
        return "0.1"
    text = f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"
    return text.removesuffix(".0")


# strftime's month names follow the machine's locale, not the member's.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
