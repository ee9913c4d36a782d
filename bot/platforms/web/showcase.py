"""The models page: every model on offer, with its samples, figures, licence and model card.

All of it comes from the folders that the host's registry names (the starters, `models.toml`), read
when the page is drawn; nothing is imported or loaded for it. Used by `platform`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from bot.errors import BadOption
from bot.platforms.web.folders import answer_file, files_in
from bot.platforms.web.markdown import Block, blocks
from bot.platforms.web.rendering import Pages, figures, meter
from bot.platforms.web.visitors import Visitor
from generators.contract import Modality
from generators.registry import ModelEntry
from generators.weights import WeightsError, read_manifest

if TYPE_CHECKING:
    from bot.services import Services

SHELVES: Final[Mapping[Modality, str]] = {  # what models make -> what the page calls it
    "image": "makes_image",
    "text": "makes_text",
    "audio": "makes_audio",
    "video": "makes_video",
}
PATTERNS: Final = ("*.png", "samples/*")
SHEET: Final = "samples.png"
CARD: Final = "README.md"
MAX_CLIPS: Final = 12
MAX_CARD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Showpiece:
    """One model as the page shows it. `address` is where its files lie; `clips` are sounds by
    file, with what is heard; `figures` are measured on held-out examples."""

    name: str
    modality: Modality
    summary: str
    licence: str
    default: bool
    loaded: bool
    source: str
    address: str
    sheet: str
    clips: tuple[tuple[str, str], ...]
    figures: tuple[tuple[str, str], ...]
    card: tuple[Block, ...]


class Showcase:
    """Draws the page and hands out the files it shows."""

    def __init__(self, services: Services, entries: Iterable[ModelEntry], pages: Pages) -> None:
        self._services = services
        self._entries = {entry.name: entry for entry in entries}
        self._pages = pages

    async def page(self, request: web.Request, visitor: Visitor) -> web.Response:
        """All models by what they make, the default ones first."""
        shown = await asyncio.to_thread(self._all, visitor.locale)
        return self._pages.page(
            "models.html",
            visitor,
            meter(await self._services.quota.view(visitor.origin()), visitor.locale),
            current="models",
            shelves=[
                (title, models)
                for kind, title in SHELVES.items()
                if (models := [one for one in shown if one.modality == kind])
            ],
        )

    async def file(self, request: web.Request, visitor: Visitor) -> web.FileResponse:
        """A sample of a model. Raises NotFound for whatever the page does not show."""
        entry = self._entries.get(request.match_info["model"])
        folder = entry.folder if entry else None
        files = await asyncio.to_thread(files_in, folder, PATTERNS) if folder else {}
        return answer_file(files, request.match_info["file"])

    def _all(self, locale: str) -> list[Showpiece]:
        loaded = self._services.status.loaded_models
        found = [self._one(entry, locale, entry.name in loaded) for entry in self._entries.values()]
        return sorted((one for one in found if one), key=lambda one: (not one.default, one.name))

    def _one(self, entry: ModelEntry, locale: str, loaded: bool) -> Showpiece | None:
        try:
            offer = self._services.models.get(entry.name)
        except BadOption:
            return None
        folder = entry.folder
        files = files_in(folder, PATTERNS) if folder else {}
        return Showpiece(
            name=entry.name,
            modality=offer.spec.modality,
            summary=offer.summary.in_(locale),
            licence=offer.licence,
            default=offer.default,
            loaded=loaded,
            source=_source(entry),
            address=f"/models/{entry.name}",
            sheet=SHEET if SHEET in files else "",
            clips=_clips(files),
            figures=_figures(folder) if folder else (),
            card=_card(folder, files) if folder else (),
        )


def _source(entry: ModelEntry) -> str:
    """Where a hub model comes from. Folders on the host's disk are nobody's business."""
    if entry.folder is not None or not entry.weights:
        return ""
    return f"{entry.weights} @ {entry.revision[:12]}" if entry.revision else entry.weights


def _clips(files: Mapping[str, Path]) -> tuple[tuple[str, str], ...]:
    """Sounds in `samples/`: `red-drum.ogg` is a "red drum"."""
    sounds = [name for name, path in files.items() if path.suffix in {".ogg", ".wav", ".mp3"}]
    return tuple(
        (name, files[name].stem.replace("-", " ").replace("_", " ")) for name in sounds[:MAX_CLIPS]
    )


def _figures(folder: Path) -> tuple[tuple[str, str], ...]:
    try:
        manifest = read_manifest(folder)
    except WeightsError:
        return ()
    return figures(manifest.figures) if manifest else ()


def _card(folder: Path, files: Mapping[str, Path]) -> tuple[Block, ...]:
    """The model card without the sheet, which is shown above, and pictures that lie elsewhere."""
    try:
        with (folder / CARD).open("rb") as file:
            text = file.read(MAX_CARD_BYTES).decode(errors="replace")
    except OSError:
        return ()
    shown = files.keys() - {SHEET}
    return tuple(one for one in blocks(text) if not one.file or one.file in shown)
