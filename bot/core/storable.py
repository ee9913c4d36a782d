"""Text that every database can keep.

PostgreSQL refuses NUL in text, and half a surrogate pair is no UTF-8. What people type is refused
with a sentence (`services.models`); what platforms and models say is made storable here instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def is_storable(text: str) -> bool:
    """Whether the text can be kept as it is."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def storable_text(text: str) -> str:
    """The text with each character that cannot be kept replaced by U+FFFD."""
    if is_storable(text):
        return text
    return "".join(char if is_storable(char) else REPLACEMENT for char in text)


def storable(value: Any) -> Any:
    """A JSON value with all its texts made storable, names of members included."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, Mapping):
        return {storable_text(str(name)): storable(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [storable(inner) for inner in value]
    return value
