"""Files out of the host's own folders: sample sheets of weights, pictures of training runs.

What may be fetched is listed first and then looked up by name, so no path that a visitor sends is
ever put together with a folder. Used by `showcase` and `runs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from bot.errors import NotFound
from bot.platforms.web.media import SHOWN
from bot.platforms.web.texts import TEXTS

TYPES: Final = {f".{extension}": mime for mime, extension in SHOWN.items()}
MAX_FILES: Final = 1000


def files_in(folder: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """The files that match, by their path relative to the folder, in order of name. Only types that
    a page may show, and nothing that a link in the folder takes from elsewhere."""
    try:
        root = folder.resolve()
        found = [path for pattern in patterns for path in root.glob(pattern)]
        kept = [
            path
            for path in sorted(found)
            if path.suffix in TYPES and path.is_file() and path.resolve() == path
        ]
    except OSError:
        return {}
    return {path.relative_to(root).as_posix(): path for path in kept[-MAX_FILES:]}


def answer_file(files: dict[str, Path], name: str) -> web.FileResponse:
    """One of the files; a browser asks each time whether its own is still good. Raises NotFound."""
    path = files.get(name)
    if path is None:
        sentence = TEXTS["missing_lead"]
        raise NotFound(sentence.en, sentence.zh)
    mime = TYPES[path.suffix]
    return web.FileResponse(
        path,
        headers={
            "Content-Type": f"{mime}; charset=utf-8" if mime.startswith("text/") else mime,
            "Cache-Control": "private, no-cache",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )
