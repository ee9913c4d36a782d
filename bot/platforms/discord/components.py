"""The parts of a message as Discord's Components V2 take them: plain JSON, with their limits.

Pure. Used by `rendering`, `progress` and `modals`. Buttons carry signed data and are found again by
it, so that nothing of a message has to be kept in memory.
Source: Discord's documentation, components/reference and resources/message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bot.core.chat import Button, ButtonStyle

Component = dict[str, Any]

MAX_COMPONENTS: Final = 40  # of a message, nested ones included
MAX_CHARACTERS: Final = 4000  # of all texts of a message together
MAX_GALLERY: Final = 10
MAX_FILES: Final = 10
MAX_ROW: Final = 5
MAX_LABEL: Final = 80
MAX_CUSTOM_ID: Final = 100
MAX_DESCRIPTION: Final = 1024
MAX_SECTION_TEXTS: Final = 3

ROW, BUTTON, SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER = (
    *(1, 2, 9, 10, 11, 12, 13, 14, 17),
)
_LINK_STYLE: Final = 5
_STYLES: Final = {
    ButtonStyle.PRIMARY: 1,
    ButtonStyle.SECONDARY: 2,
    ButtonStyle.DANGER: 4,
}
_PRESSED_STYLE: Final = 3  # green: the toggle is on

# What Discord reads as markup: anywhere, or at the beginning of a line only. Addresses stay as they
# are, or they would lead elsewhere.
_ADDRESS = re.compile(r"(https?://[\w./?=&%#:~+,;@-]+)")
_MARKUP = re.compile(r"([\\*_~|`<\[\]])")
_LINE_START = re.compile(r"^([ \t]*)(?=[#>-])|^([ \t]*\d+)(?=\.\s)", re.MULTILINE)


def escape(text: str) -> str:
    """The text as Discord shows it literally: no styles, mentions, headings, lists, named links."""
    parts = _ADDRESS.split(text)
    parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    return _LINE_START.sub(lambda found: found.group() + "\\", "".join(parts))


def shortened(text: str, room: int) -> str:
    """The text escaped, in at most `room` characters; what is cut ends with an ellipsis."""
    escaped = escape(text)
    if length(escaped) <= room:
        return escaped
    low, high = 0, len(text)  # the longest beginning that fits: escaping makes texts longer
    while low < high:
        middle = (low + high + 1) // 2
        if length(escape(text[:middle])) < room:
            low = middle
        else:
            high = middle - 1
    return escape(text[:low].rstrip()) + "…" if room > 0 else ""


def length(text: str) -> int:
    """How long Discord takes a text to be: in UTF-16 units, so that an emoji may count twice."""
    return len(text) + sum(character > "\uffff" for character in text)


def text(content: str) -> Component:
    """A text display; `content` is markup already."""
    return {"type": TEXT, "content": content}


def picture(filename: str, description: str = "") -> Component:
    """An item of a gallery: one of the message's own files."""
    item: Component = {"media": {"url": f"attachment://{filename}"}}
    if description:
        item["description"] = description[:MAX_DESCRIPTION]
    return item


def gallery(items: Sequence[Component]) -> Component:
    """Up to ten pictures and videos."""
    return {"type": GALLERY, "items": list(items[:MAX_GALLERY])}


def file(filename: str) -> Component:
    """One of the message's files, to be saved or played."""
    return {"type": FILE, "file": {"url": f"attachment://{filename}"}}


def separator() -> Component:
    """A thin line."""
    return {"type": SEPARATOR, "divider": True, "spacing": 1}


def section(content: str, thumbnail: Component) -> Component:
    """A text with a small picture (an item of `picture`) beside it."""
    return {
        "type": SECTION,
        "components": [text(content)],
        "accessory": {"type": THUMBNAIL, **thumbnail},
    }


def row(buttons: Sequence[Component]) -> Component:
    """Up to five buttons."""
    return {"type": ROW, "components": list(buttons[:MAX_ROW])}


def button(one: Button) -> Component:
    """A button that works for ever: its data is all there is to it."""
    style = _PRESSED_STYLE if one.pressed else _STYLES[one.style]
    return {
        "type": BUTTON,
        "style": style,
        "label": one.label[:MAX_LABEL],
        "custom_id": one.data,
    }


def link(label: str, url: str) -> Component:
    """A button that opens an address."""
    return {"type": BUTTON, "style": _LINK_STYLE, "label": label[:MAX_LABEL], "url": url}


def rows(all_rows: Iterable[Sequence[Button]]) -> list[Component]:
    """Rows of buttons, wider ones broken in two."""
    return [
        row([button(one) for one in wide[start : start + MAX_ROW]])
        for wide in all_rows
        for start in range(0, len(wide), MAX_ROW)
    ]


def container(children: Sequence[Component], accent: int | None = None) -> Component:
    """A box around parts; `accent` is the colour of its edge, 0xRRGGBB."""
    box: Component = {"type": CONTAINER, "components": list(children)}
    if accent is not None:
        box["accent_color"] = accent
    return box


def walk(components: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Every component, nested ones included."""
    for one in components:
        yield one
        yield from walk(one.get("components", ()))
        if "accessory" in one:
            yield one["accessory"]


def count(components: Iterable[Mapping[str, Any]]) -> int:
    """How many components Discord counts."""
    return sum(1 for _ in walk(components))


def characters(components: Iterable[Mapping[str, Any]]) -> int:
    """How many characters all texts have together."""
    return sum(length(one["content"]) for one in walk(components) if one["type"] == TEXT)


def meter(fraction: float, width: int = 12) -> str:
    """A bar of text: `▰▰▰▱▱▱`. `fraction` from 0 to 1; full only when it is."""
    full = min(width, int(max(0.0, fraction) * width))
    return "▰" * full + "▱" * (width - full)
