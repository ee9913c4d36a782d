"""Draws a reply as a message of Discord's: pure, and within every limit whatever the reply holds.

Buttons always find room, then the title, then what was made, then words; what finds none is cut
with an ellipsis or left out with a sentence that says so. Used by `courier`, which sends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bot.core.chat import Button, Card, Field, Reply, Text
from bot.core.domain import Artifact
from bot.core.i18n import formats
from bot.platforms.discord import components
from bot.platforms.discord.components import Component
from bot.platforms.discord.message import Message, Place
from bot.platforms.discord.packing import Luggage, Packed, Piece, kind, pieces

ERROR_ACCENT: Final = 0xDA373C

_MAX_TITLE: Final = 256
_MAX_EXCERPT: Final = 240
_MAX_CARD: Final = 600
_BUTTON_ROOM: Final = 30  # components that rows of buttons may take; the rest is for what they do
CARD_ID: Final = 1000
"""Parts of the n-th card (from 1) have component ids from n * CARD_ID on, so that a card of a
message can be found again and changed alone."""

_TOO_LARGE = Text(
    en="{what} ({size}) is larger than Discord takes here ({limit}).",
    zh="{what}（{size}）超出了 Discord 此处的大小限制（{limit}）。",
)
_MISSING = Text(
    en="{what} is not in the studio's store any more.", zh="{what} 已不在工作室的存储中。"
)
_IN_HISTORY = Text(en="It stays in /history.", zh="可在 /history 中找到。")
_NO_ROOM = Text(
    en="{what} ({size}) did not fit into this message.", zh="{what}（{size}）放不进这条消息。"
)
_OPEN = Text(en="Open in the studio", zh="在工作室中打开")
_KINDS: Final[Mapping[str, Text]] = {
    "image": Text(en="Picture {n}", zh="图片 {n}"),
    "audio": Text(en="Sound {n}", zh="声音 {n}"),
    "video": Text(en="Video {n}", zh="视频 {n}"),
    "text": Text(en="Text {n}", zh="文字 {n}"),
    "file": Text(en="File {n}", zh="文件 {n}"),
}
_NOTHING = Text(en="Done.", zh="完成。")


def draw(
    reply: Reply,
    luggage: Luggage,
    place: Place,
    *,
    mention: str = "",
    note: str = "",
    more_rows: Sequence[Sequence[Button]] = (),
) -> Message:
    """The reply as a message. `mention`: a person it is for, pinged; `note`: a sentence above it,
    markup already; `more_rows`: further buttons, of the platform's own."""
    buttons = _rows(reply, place, more_rows)
    sheet = _Sheet(luggage, place, taken=1 + components.count(buttons))
    if mention or note:
        sheet.add_text(" ".join(part for part in (mention, note) if part))
    if reply.title.strip():
        sheet.add_text(f"### {components.shortened(' '.join(reply.title.split()), _MAX_TITLE)}")
    sheet.reserve(reply)
    sheet.add_media(pieces(reply.media), reply.title)
    sheet.release()
    sheet.add_words(reply)
    for n, card in enumerate(reply.cards, start=1):
        sheet.add_card(n, card, of=len(reply.cards))
    if not sheet.parts and not buttons:
        sheet.add_text(_NOTHING.in_(place.locale))
    children = [*sheet.parts, *buttons]
    if reply.cards:
        # Named parts all through: Discord would number the others as it likes, into a card perhaps.
        children = [{"id": n, **part} for n, part in enumerate(children, start=1)]
    box = components.container(children, ERROR_ACCENT if reply.error else None)
    return Message((box,), tuple(sheet.files), (mention.strip("<@>"),) if mention else ())


def _rows(reply: Reply, place: Place, more: Iterable[Sequence[Button]]) -> list[Component]:
    """All rows of buttons, the last ones first to stay where there are too many."""
    wanted = [
        [one for one in row if place.others or not one.among_others]
        for row in (*reply.buttons, *more)
    ]
    kept: list[Component] = []
    for row in reversed(components.rows(wanted)):
        if components.count([*kept, row]) <= _BUTTON_ROOM:
            kept.insert(0, row)
    return kept


class _Sheet:
    """A message while it is drawn: what is on it, and how much room is left."""

    def __init__(self, luggage: Luggage, place: Place, *, taken: int) -> None:
        self._luggage, self._place = luggage, place
        self._components = components.MAX_COMPONENTS - taken
        self._characters = components.MAX_CHARACTERS
        self._reserved = 0
        self.parts: list[Component] = []
        self.files: list[Packed] = []

    # --- room ---

    @property
    def _room(self) -> int:
        return max(0, self._characters - self._reserved)

    def reserve(self, reply: Reply) -> None:
        """Keep room for the words under the media: texts are long, captions are short."""
        words = components.length(components.escape(reply.text)) + 8
        self._reserved = min(words if reply.media else 0, 1000)

    def release(self) -> None:
        """The words come now."""
        self._reserved = 0

    def _add(self, *parts: Component) -> bool:
        """Put the parts on the sheet if there is room for all of them."""
        count, characters = components.count(parts), components.characters(parts)
        if count > self._components or characters > self._room:
            return False
        self._components -= count
        self._characters -= characters
        self.parts.extend(parts)
        return True

    # --- parts ---

    def add_text(self, markup: str) -> bool:
        """A text that is markup already."""
        return bool(markup.strip()) and self._add(components.text(markup))

    def add_media(self, all_pieces: Sequence[Piece], title: str) -> None:
        """Pictures and videos as one gallery, then sounds, texts and files each for itself."""
        left_out: list[tuple[int, Piece]] = []
        seen: list[Component] = []
        for n, piece in enumerate(all_pieces, start=1):
            packed = self._luggage.files.get(piece.main.id)
            if piece.kind not in {"image", "video"}:
                continue
            if packed is None or len(seen) == components.MAX_GALLERY:
                left_out.append((n, piece))
                continue
            seen.append(components.picture(packed.filename, title))
            self.files.append(packed)
        if seen:
            self._add(components.gallery(seen))
        texts = [piece for piece in all_pieces if piece.kind == "text"]
        for n, piece in enumerate(all_pieces, start=1):
            if piece.kind == "text":
                self._add_text_piece(piece, among=len(texts))
                texts.pop()
            elif piece.kind in {"audio", "file"} and not self._add_file(piece, title):
                left_out.append((n, piece))
        self._add_left_out(left_out, single=len(all_pieces) == 1)

    def _add_text_piece(self, piece: Piece, *, among: int) -> None:
        """A text made, in its share of the room; a file holds it all where it had to be cut."""
        whole = self._luggage.texts.get(piece.main.id, "")
        shown = components.shortened(whole.strip(), self._room // max(1, among))
        if shown:
            self.add_text(shown)
        packed = self._luggage.files.get(piece.main.id)
        cut = shown != components.escape(whole.strip())
        if cut and packed is not None and self._add(components.file(packed.filename)):
            self.files.append(packed)

    def _add_file(self, piece: Piece, title: str) -> bool:
        """A sound with its plot above it, or a file."""
        packed = self._luggage.files.get(piece.main.id)
        if packed is None or self._components < 1:
            return False
        plot = self._luggage.files.get(piece.plot.id) if piece.plot is not None else None
        both = [components.file(packed.filename)]
        if plot is not None and self._components > 1:
            both.insert(0, components.gallery([components.picture(plot.filename, title)]))
            self.files.append(plot)
        self.files.append(packed)
        return self._add(*both)

    def _add_left_out(self, left_out: Sequence[tuple[int, Piece]], *, single: bool) -> None:
        """What did not come along, why, and where it is."""
        locale, lines = self._place.locale, []
        for n, piece in left_out:
            what = _KINDS[piece.kind].in_(locale).format(n="" if single else n).strip()
            if piece.main.id in self._luggage.missing:
                lines.append(_MISSING.in_(locale).format(what=what))
                continue
            large = piece.main.size_bytes > self._place.limit_bytes
            lines.append(
                (_TOO_LARGE if large else _NO_ROOM)
                .in_(locale)
                .format(
                    what=what,
                    size=formats.size(piece.main.size_bytes),
                    limit=formats.size(self._place.limit_bytes),
                )
            )
        there = [piece for _, piece in left_out if piece.main.id not in self._luggage.missing]
        if there:
            lines.append(_IN_HISTORY.in_(locale))
        self.add_text(components.shortened("\n".join(lines), self._room))
        self._add_links(there)

    def _add_links(self, pieces_: Sequence[Piece]) -> None:
        """The ways to what did not come along, in the web studio."""
        link = self._place.link
        if link is None or not pieces_:
            return
        open_it = _OPEN.in_(self._place.locale)
        links = [
            components.link(f"{open_it} ({formats.size(one.main.size_bytes)})", link(one.main.id))
            for one in pieces_
        ]
        self._add(components.row(links))

    def add_words(self, reply: Reply) -> None:
        """What is said, and labelled values; small where it is said under media."""
        if reply.text:
            small = "-# " if reply.media and "\n" not in reply.text.strip() else ""
            said = components.shortened(reply.text.strip(), self._room - len(small))
            self.add_text(small + said)
        lines: list[str] = []
        for one in reply.fields:
            line = _field(one)
            used = components.length("\n".join([*lines, line]))
            if used > self._room:
                break
            lines.append(line)
        self.add_text("\n".join(lines))

    def add_card(self, n: int, card: Card, *, of: int) -> None:
        """A past job: its words beside its first picture, and its buttons below. The n-th of `of`
        takes its share of the room; pictures give way first, then buttons."""
        share = self._room // (of - n + 1)
        words = _card_words(card, share)
        if not words:
            return
        rows = components.rows(
            [one for one in row if self._place.others or not one.among_others]
            for row in card.buttons
        )
        packed = self._thumbnail(card)
        left = self._components - (of - n) * (1 + components.count(rows))
        if packed is not None and components.count(rows) + 3 <= left:
            picture = components.picture(packed.filename, card.title)
            head = components.section(words, picture)
        else:
            packed, head = None, components.text(words)
        if not self._add(*_numbered(n, head, *rows)):
            packed = None
            self._add(*_numbered(n, components.text(words)))
        if packed is not None and packed not in self.files:
            self.files.append(packed)

    def _thumbnail(self, card: Card) -> Packed | None:
        pictures = [one for one in card.media if kind(one) == "image"]
        return self._luggage.files.get(pictures[0].id) if pictures else None


def as_card(n: int, reply: Reply, place: Place) -> list[Component]:
    """What is said of a card after one of its buttons was pressed, in the n-th card's place."""
    facts = [reply.text, *(f"{one.label}: {one.value}" for one in reply.fields)]
    told = " · ".join(fact for fact in facts if fact)
    words = _card_words(Card("", reply.title, told, ()), _MAX_CARD) or "…"
    rows = components.rows(
        [one for one in row if place.others or not one.among_others] for row in reply.buttons
    )
    return _numbered(n, components.text(words), *rows[:1])


def _field(one: Field) -> str:
    """`**label**  value`, with a bar under it for a fraction."""
    line = f"**{components.escape(one.label)}**  {components.escape(one.value)}"
    if one.fraction is None:
        return line
    return f"{line}\n`{components.meter(one.fraction)}` {one.fraction:.0%}"


def _card_words(card: Card, room: int) -> str:
    """Title, the beginning of a text, and what it was made with, in at most `room` characters."""
    title = components.shortened(" ".join(card.title.split()), min(_MAX_TITLE, room // 3))
    title = f"**{title}**" if title else ""
    told = components.shortened(" ".join(card.text.split()), room // 3)
    told = f"-# {told}" if told else ""
    excerpt = _excerpt(card.media, min(_MAX_EXCERPT, room // 4))
    words = "\n".join(part for part in (title, excerpt, told) if part)
    return words if components.length(words) <= room else ""


def _excerpt(media: Sequence[Artifact], room: int) -> str:
    texts = [str(one.facts.get("text", "")) for one in media if kind(one) == "text"]
    return components.shortened(" ".join(texts[0].split()), room) if texts else ""


def _numbered(n: int, *parts: Component) -> list[Component]:
    """The parts with ids that tell which card they belong to."""
    return [{**part, "id": n * CARD_ID + k} for k, part in enumerate(parts)]
