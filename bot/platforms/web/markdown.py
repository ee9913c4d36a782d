"""Reads model cards: the little Markdown that they are written in, as plain values.

Headings, paragraphs, lists, tables, code, and in the text strong words, code and links. Whatever
else there is stays the text it is; nothing becomes HTML here (the template draws and escapes), so a
card from a hub cannot bring markup into the page. Pure; used by `showcase`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Literal

MAX_CHARACTERS: Final = 40_000

# A card may be hostile: no pattern here reads far ahead from each of many starts.
_HEADING = re.compile(r"#{1,6}\s+(\S.*)")
_BULLET = re.compile(r"\s{0,3}(?:[-*+]|\d{1,3}[.)])\s+(.*)")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,}).*")
_PICTURE = re.compile(r"!\[([^\]]{0,300})\]\(([^)\s]{0,200})\)")
_SPAN = re.compile(
    r"`(?P<code>[^`]{1,500})`|\*\*(?P<strong>[^*]{1,500})\*\*"
    r"|\[(?P<text>[^\[\]]{1,300})\]\((?P<link>https?://[^\s()]{1,500})\)"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text. `kind` is plain, strong, code or link."""

    text: str
    kind: Literal["plain", "strong", "code", "link"] = "plain"
    link: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a card. `rows` are a table's rows (the first is its head), a list's items as rows
    of one cell, a heading's or a paragraph's one row of one cell; `code` is a listing as it is;
    `file` is a picture's address as the card has it, and what it shows its one row of one cell."""

    kind: Literal["heading", "paragraph", "list", "table", "code", "picture"]
    rows: tuple[tuple[tuple[Span, ...], ...], ...] = ()
    code: str = ""
    file: str = ""


def blocks(text: str) -> list[Block]:
    """The card's parts in order, without front matter."""
    lines = _without_front_matter(text[:MAX_CHARACTERS].splitlines())
    found = list(_read(lines))
    return [one for one in found if one.code or one.file or any(any(row) for row in one.rows)]


def spans(text: str) -> tuple[Span, ...]:
    """The stretches of a line.

    >>> spans("see `x`")
    (Span(text='see ', kind='plain', link=''), Span(text='x', kind='code', link=''))
    """
    found: list[Span] = []
    at = 0
    for match in _SPAN.finditer(text):
        found.append(Span(text[at : match.start()]))
        if match["code"] is not None:
            found.append(Span(match["code"], "code"))
        elif match["strong"] is not None:
            found.append(Span(match["strong"], "strong"))
        else:
            found.append(Span(match["text"], "link", match["link"]))
        at = match.end()
    found.append(Span(text[at:]))
    return tuple(span for span in found if span.text)


def _read(lines: list[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        line = lines[at]
        fence = _FENCE.fullmatch(line)
        heading = _HEADING.fullmatch(line)
        if fence:
            end = next(_ending(lines, at + 1, fence[1]), len(lines))
            body, at = lines[at + 1 : end], end + 1
            yield Block("code", code="\n".join(body))
        elif heading:
            at += 1
            yield Block("heading", ((spans(heading[1].rstrip("# ")),),))
        elif _begins_table(lines, at):
            body = list(takewhile(lambda one: "|" in one, lines[at:]))
            at += len(body)
            yield Block("table", tuple(_cells(row) for row in (body[0], *body[2:])))
        elif _BULLET.fullmatch(line):
            items, at = _items(lines, at)
            yield Block("list", tuple((spans(item),) for item in items))
        elif not line.strip(" \t-*_"):  # nothing, or a line across
            at += 1
        else:
            body = [line, *takewhile(_goes_on, lines[at + 1 :])]
            at += len(body)
            joined = " ".join(one.strip() for one in body)
            yield Block("paragraph", ((spans(_PICTURE.sub("", joined).strip()),),))
            for picture in _PICTURE.finditer(joined):
                yield Block("picture", ((spans(picture[1]),),), file=picture[2])


def _ending(lines: list[str], start: int, fence: str) -> Iterator[int]:
    return (at for at in range(start, len(lines)) if lines[at].strip().startswith(fence))


def _begins_table(lines: list[str], at: int) -> bool:
    rule = lines[at + 1].strip() if at + 1 < len(lines) else ""
    return "|" in lines[at] and "|" in rule and "-" in rule and set(rule) <= set(" \t:|-")


def _goes_on(line: str) -> bool:
    """Whether a paragraph goes on with this line."""
    ends = (_HEADING, _BULLET, _FENCE)
    return bool(line.strip()) and not any(one.fullmatch(line) for one in ends)


def _items(lines: list[str], at: int) -> tuple[list[str], int]:
    """A list's items from this line on, and the line after them."""
    items: list[str] = []
    while at < len(lines):
        bullet = _BULLET.fullmatch(lines[at])
        if bullet:
            items.append(bullet[1].strip())
        elif lines[at].startswith("  ") and lines[at].strip():
            items[-1] += " " + lines[at].strip()
        else:
            break
        at += 1
    return items, at


def _cells(row: str) -> tuple[tuple[Span, ...], ...]:
    return tuple(spans(cell.strip()) for cell in row.strip().strip("|").split("|"))


def _without_front_matter(lines: list[str]) -> list[str]:
    """Hub cards begin with settings between two lines of dashes."""
    if lines and lines[0].strip() == "---" and "---" in [one.strip() for one in lines[1:]]:
        return lines[[one.strip() for one in lines[1:]].index("---") + 2 :]
    return lines
