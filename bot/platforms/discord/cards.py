"""Changing a message that is there: one card of it, or all of it without sending its files again.

To its buttons a card is a message of its own. Which parts are a card's is told by their component
ids (`rendering.CARD_ID`), so nothing has to be remembered. Pure; used by `showing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import discord

from bot.core.chat import Button
from bot.platforms.discord import components
from bot.platforms.discord.components import Component
from bot.platforms.discord.message import Message
from bot.platforms.discord.packing import Packed
from bot.platforms.discord.rendering import CARD_ID


def files_of(message: discord.Message) -> dict[str, Packed]:
    """The files that a message has, by the stem of their names."""
    return {
        one.filename.rpartition(".")[0]: Packed(one.filename, attachment_id=str(one.id))
        for one in message.attachments
    }


def parts_of(message: discord.Message) -> list[Component]:
    """A message's components as they would be sent: files by name, not by an address that dies."""
    names = {_plain(one.url): one.filename for one in message.attachments}
    return [_as_sent(dict(one.to_dict()), names) for one in message.components]


def card_of(parts: Iterable[Mapping[str, Any]], custom_id: str) -> int | None:
    """The number of the card on which a button hangs; None where it is no card's."""
    for part in components.walk(parts):
        for button in part.get("components", ()):
            if button.get("custom_id") == custom_id:
                number = int(part.get("id") or 0) // CARD_ID
                return number or None
    return None


def has_cards(parts: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any card is left."""
    tops = [child for part in parts for child in part.get("components", ())]
    return any(int(part.get("id") or 0) >= CARD_ID for part in tops)


def with_card(parts: Sequence[Component], number: int, new: Sequence[Component]) -> list[Component]:
    """The parts with one card drawn anew."""
    changed: list[Component] = []
    for part in parts:
        if "components" in part and part["type"] == components.CONTAINER:
            part = part | {"components": with_card(part["components"], number, new)}
        if int(part.get("id") or 0) // CARD_ID != number:
            changed.append(part)
        elif new:
            changed.extend(new)
            new = ()
    return changed


def with_button(parts: Sequence[Component], custom_id: str, new: Button) -> list[Component]:
    """The parts with one button in another's place."""
    changed: list[Component] = []
    for part in parts:
        if part.get("custom_id") == custom_id:
            changed.append(components.button(new))
        elif "components" in part:
            inner = with_button(part["components"], custom_id, new)
            changed.append(part | {"components": inner})
        else:
            changed.append(part)
    return changed


def changed(parts: Sequence[Component], files: Iterable[Packed]) -> Message:
    """A message of these parts and those of the files that they still show."""
    shown = set(_shown(parts))
    return Message(tuple(parts), tuple(one for one in files if one.filename in shown))


def counterpart(pressed: Button | str, offered: Iterable[Sequence[Button]]) -> Button | None:
    """The button of an answer that takes a pressed one's place: `unfav` for `fav`."""
    data = pressed if isinstance(pressed, str) else pressed.data
    action = data.partition(":")[0].removeprefix("un")
    for one in (button for row in offered for button in row):
        if one.data != data and one.data.partition(":")[0].removeprefix("un") == action:
            return one
    return None


def _shown(parts: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """The names of the files that the parts show."""
    for part in components.walk(parts):
        media = [item["media"] for item in part.get("items", ())]
        media += [part[key] for key in ("media", "file") if isinstance(part.get(key), dict)]
        for one in media:
            yield str(one["url"]).removeprefix("attachment://")


def _as_sent(part: Component, names: Mapping[str, str]) -> Component:
    """A part as received, turned into one to be sent."""
    sent = {key: value for key, value in part.items() if value is not None}
    if "components" in sent:
        sent["components"] = [_as_sent(dict(one), names) for one in sent["components"]]
    if "accessory" in sent:
        sent["accessory"] = _as_sent(dict(sent["accessory"]), names)
    if "items" in sent:
        sent["items"] = [_as_sent(dict(one), names) for one in sent["items"]]
    for key in ("media", "file"):
        if isinstance(sent.get(key), dict):
            url = str(sent[key]["url"])
            name = names.get(_plain(url))
            sent[key] = {"url": url if name is None else f"attachment://{name}"}
    return sent


def _plain(url: str) -> str:
    """An address without the signature that changes each time it is told."""
    return url.partition("?")[0]
