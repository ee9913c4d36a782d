"""That a thing was generated, carried from one format to the next.

Media of ours say so in themselves (`generators.media.Provenance`): PNGs in text chunks, the other
formats in a comment. What is made of them says the same, in whatever way its format has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from generators.media import Provenance

_DESCRIPTION, _SOFTWARE = 0x010E, 0x0131  # EXIF tags of TIFF 6.0
_PNG_KEYS: Final = ("Software", "Source", "Generator", "Weights", "Seed")
_LONGEST = 500  # characters of a mark that are carried


def of_picture(info: Mapping[Any, Any]) -> dict[str, str]:
    """The marks of an opened picture's `info`, by PNG keyword; empty where it is not ours."""
    if info.get("Software") == "Atelier":
        return {key: str(info[key])[:_LONGEST] for key in _PNG_KEYS if key in info}
    comment = info.get("comment", b"")
    text = comment.decode(errors="replace") if isinstance(comment, bytes) else str(comment)
    return {"Software": "Atelier", "Source": text[:_LONGEST]} if "Atelier" in text else {}


def sentence(marks: Mapping[str, str]) -> str:
    """The marks in one line; empty where there are none."""
    if "Generator" not in marks:
        return marks.get("Source", "")
    seed = marks.get("Seed", "")
    return Provenance(
        marks["Generator"], marks.get("Weights", ""), int(seed) if seed.isdecimal() else 0
    ).sentence


def png_info(marks: Mapping[str, str]) -> PngInfo:
    """The marks as PNG text chunks."""
    info = PngInfo()
    for key, value in marks.items():
        info.add_text(key, value)
    return info


def exif(marks: Mapping[str, str]) -> bytes:
    """The marks as EXIF, for WebP and JPEG; empty bytes where there are none."""
    if not marks:
        return b""
    tags = Image.Exif()
    tags[_DESCRIPTION] = sentence(marks)
    tags[_SOFTWARE] = "Atelier"
    return tags.tobytes()
