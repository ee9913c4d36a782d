"""What of an answer's media goes along with a message: read from the store, made to fit, named.

Discord takes ten files in a message, each up to a limit that the interaction tells, 25 MiB in all.
A picture that is too large climbs down a ladder (`services.fitting`); a sound or video gives way to
its smaller formats; what fits in no way is left out, and the drawing says so. Used by `courier`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from bot.core.chat import Reply
from bot.core.domain import Artifact
from bot.platforms.discord.components import MAX_FILES
from bot.services import fitting
from generators.artifacts import ArtifactMissing, ArtifactStore

log = structlog.get_logger(__name__)

DEFAULT_LIMIT_BYTES: Final = 10 * 1024 * 1024  # of a file where no interaction tells more
_REQUEST_BYTES: Final = 25 * 1024 * 1024 - 256 * 1024  # of all files; the rest is for the message
_THUMBNAIL_BYTES: Final = 1024 * 1024  # most pictures are smaller, and go as they are
_MAX_TEXT_BYTES: Final = 64 * 1024

_EXTENSIONS: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "text/plain": "txt",
}


@dataclass(frozen=True, slots=True)
class Packed:
    """A file of a message. Without `data` the message has it already, under `attachment_id`."""

    filename: str
    data: bytes | None = field(default=None, repr=False)
    attachment_id: str = ""

    @property
    def size_bytes(self) -> int:
        """What it adds to a request."""
        return len(self.data or b"")


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing made, with its other formats and a picture of what cannot be seen."""

    main: Artifact
    renditions: tuple[Artifact, ...] = ()
    plot: Artifact | None = None

    @property
    def kind(self) -> str:
        """How it is shown: image, audio, video, text, or file where it is only offered."""
        return kind(self.main)


@dataclass(frozen=True, slots=True)
class Luggage:
    """What goes along. `files` and `texts` (whole ones) by artifact id; `too_large` and `missing`
    are the ids of what is left out, and why."""

    files: Mapping[str, Packed] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    too_large: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()


def kind(artifact: Artifact) -> str:
    """How an artifact is shown, by its type alone."""
    mime = _plain(artifact.mime)
    return mime.partition("/")[0] if mime in _EXTENSIONS else "file"


def pieces(media: Iterable[Artifact]) -> list[Piece]:
    """The things made, in order. A contact sheet stands in only where there is nothing else."""
    ordered = sorted(media, key=lambda artifact: artifact.position)
    found: list[Piece] = []
    for one in ordered:
        if one.role == "item":
            found.append(Piece(one))
        elif one.role == "rendition" and found:
            found[-1] = replace(found[-1], renditions=(*found[-1].renditions, one))
        elif one.role == "plot" and found and kind(one) == "image":
            found[-1] = replace(found[-1], plot=one)
    return found or [Piece(one) for one in ordered if one.role == "grid"]


def stem(artifact: Artifact) -> str:
    """A file's name without its ending: the same for the same artifact, in every message."""
    return f"atelier-{artifact.job_id[:8]}-{artifact.position + 1}"


async def pack(
    store: ArtifactStore,
    reply: Reply,
    limit_bytes: int,
    *,
    kept: Mapping[str, Packed] | None = None,
) -> Luggage:
    """Get everything that the reply shows ready to be sent. `kept` holds the files that the message
    has already, by stem: they are not sent again."""
    job = _Packing(store, limit_bytes, kept or {})
    all_pieces = pieces(reply.media)
    for piece in all_pieces:
        if piece.kind == "text":
            await job.text(piece.main)
    files = [piece for piece in all_pieces if piece.kind != "text"]
    caps = _shares([_least(piece, limit_bytes) for piece in files[:MAX_FILES]], _REQUEST_BYTES)
    for piece, cap in zip(files, caps, strict=False):
        await job.main(piece, min(cap, limit_bytes))
    for piece in files[MAX_FILES:]:
        job.too_large.add(piece.main.id)
    for plot in (piece.plot for piece in files if piece.plot is not None):
        if job.room():
            await job.picture(plot, min(limit_bytes, job.left_bytes()), needed=False)
    for card in reply.cards:
        for picture in [one for one in card.media if kind(one) == "image"][:1]:
            if job.room():
                await job.picture(picture, min(limit_bytes, _THUMBNAIL_BYTES), needed=False)
    return job.luggage()


class _Packing:
    """One message's files while they are gathered."""

    def __init__(self, store: ArtifactStore, limit_bytes: int, kept: Mapping[str, Packed]) -> None:
        self._store, self._limit_bytes, self._kept = store, limit_bytes, kept
        self._files: dict[str, Packed] = {}
        self._texts: dict[str, str] = {}
        self.too_large: set[str] = set()
        self._missing: set[str] = set()

    def luggage(self) -> Luggage:
        return Luggage(
            self._files, self._texts, frozenset(self.too_large), frozenset(self._missing)
        )

    def room(self) -> bool:
        """Whether one more file may go along."""
        return len(self._files) < MAX_FILES

    def left_bytes(self) -> int:
        return max(0, _REQUEST_BYTES - sum(one.size_bytes for one in self._files.values()))

    async def text(self, artifact: Artifact) -> None:
        """A text to be shown; where facts tell all of it, nothing is read. It goes along as a file
        too where it is long: the message may have no room for all of it."""
        told = str(artifact.facts.get("text", ""))
        if len(told.encode()) < artifact.size_bytes:
            data = await self._read(artifact)
            if data is None and not told:
                return
            told = told if data is None else data[:_MAX_TEXT_BYTES].decode(errors="replace")
        self._texts[artifact.id] = told
        if not self._keep(artifact) and self.room():
            name = f"{stem(artifact)}.txt"
            self._files[artifact.id] = Packed(name, told.encode())

    async def main(self, piece: Piece, cap: int) -> None:
        """The thing itself: a picture made to fit, or the first of its formats that fits."""
        if self._keep(piece.main):
            return
        if piece.kind == "image":
            await self.picture(piece.main, cap)
            return
        own_kind = [one for one in piece.renditions if kind(one) == piece.kind]
        for one in (piece.main, *sorted(own_kind, key=lambda one: one.size_bytes, reverse=True)):
            if one.size_bytes > cap:
                continue
            data = await self._read(one)
            if data is not None:
                self._files[piece.main.id] = Packed(_name(one), data)
                return
        if piece.main.id not in self._missing:
            self.too_large.add(piece.main.id)

    async def picture(self, artifact: Artifact, cap: int, *, needed: bool = True) -> None:
        """A picture in at most `cap` bytes. One that is not `needed` is left out quietly."""
        if self._keep(artifact):
            return
        data = await self._read(artifact)
        if data is None:
            return
        fitted = await fitting.picture(data, artifact.mime, cap, stem=stem(artifact))
        if fitted is not None:
            self._files[artifact.id] = Packed(fitted.filename, fitted.data)
        elif needed:
            self.too_large.add(artifact.id)

    def _keep(self, artifact: Artifact) -> bool:
        there = self._kept.get(stem(artifact))
        if there is not None:
            self._files[artifact.id] = there
        return there is not None

    async def _read(self, artifact: Artifact) -> bytes | None:
        try:
            return await self._store.get(artifact.key)
        except ArtifactMissing:
            log.error("artifact without bytes", artifact_id=artifact.id)
            self._missing.add(artifact.id)
            return None


def _least(piece: Piece, limit_bytes: int) -> int:
    """What a piece needs of the request if it may have it; a picture can always be made smaller."""
    return min(piece.main.size_bytes, limit_bytes)


def _shares(wanted: Sequence[int], total: int) -> list[int]:
    """How much of `total` each may take: all it wants where there is enough, else the small ones
    what they want and the large ones equal parts of the rest."""
    shares = [0] * len(wanted)
    left = total
    by_size = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for done, index in enumerate(by_size):
        shares[index] = min(wanted[index], left // (len(by_size) - done))
        left -= shares[index]
    return shares


def _name(artifact: Artifact) -> str:
    return f"{stem(artifact)}.{_EXTENSIONS.get(_plain(artifact.mime), 'bin')}"


def _plain(mime: str) -> str:
    return mime.partition(";")[0].strip().lower()
