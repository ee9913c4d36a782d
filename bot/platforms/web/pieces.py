"""An answer's media as people see them: each thing made, with its other formats and its plot.

A sound comes as WAV, as Opus and as a drawn waveform, a video as MP4, GIF and WEBM: stored they are
artifacts in a row, shown they are one piece. Pure; used by `rendering`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.core.domain import Artifact
from bot.platforms.web.media import SHOWN, plain_mime

SMALL_PX = 128  # pictures up to this side are drawn larger, pixel by pixel


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing made. `number` counts from 1; `plot` is a picture of what cannot be seen."""

    main: Artifact
    number: int
    renditions: tuple[Artifact, ...] = ()
    plot: Artifact | None = None

    @property
    def kind(self) -> str:
        """How it is shown: image, audio, video, text, or file where it is only offered."""
        return kind(self.main)

    @property
    def downloads(self) -> tuple[Artifact, ...]:
        """Everything of it that can be saved, the main format first."""
        return (self.main, *self.renditions)

    @property
    def sources(self) -> tuple[Artifact, ...]:
        """What a player may play: the main format, then others of the same kind."""
        return tuple(one for one in self.downloads if kind(one) == self.kind)

    @property
    def small(self) -> bool:
        """Whether this is a picture so small that its pixels should be kept apart."""
        sides = [self.main.facts.get(side) for side in ("width", "height")]
        return all(isinstance(side, int) and side <= SMALL_PX for side in sides)


def kind(artifact: Artifact) -> str:
    """How an artifact is shown, by its type alone."""
    mime = plain_mime(artifact)
    return mime.split("/")[0] if mime in SHOWN else "file"


def format_name(artifact: Artifact) -> str:
    """What people call the format: `WAV`, `MP4`."""
    return SHOWN.get(plain_mime(artifact), "").upper()


def pieces(media: Sequence[Artifact]) -> list[Piece]:
    """The things made, in order. A contact sheet stands in only where there is nothing else."""
    found: list[Piece] = []
    for one in sorted(media, key=lambda artifact: artifact.position):
        if one.role == "item":
            found.append(Piece(main=one, number=len(found) + 1))
        elif one.role == "rendition" and found:
            found[-1] = replace(found[-1], renditions=(*found[-1].renditions, one))
        elif one.role == "plot" and found and kind(one) == "image":
            found[-1] = replace(found[-1], plot=one)
    sheets = [one for one in media if one.role == "grid"]
    return found or [Piece(main=one, number=n) for n, one in enumerate(sheets, start=1)]
