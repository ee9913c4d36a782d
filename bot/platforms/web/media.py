"""Artifacts over HTTP: by id and permission, with types a browser cannot be tricked by."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from bot.core.domain import Artifact
from bot.errors import NotFound
from bot.platforms.web.visitors import Visitor
from bot.services import sharing
from generators.artifacts import ArtifactMissing

if TYPE_CHECKING:
    from bot.services import Services

log = structlog.get_logger(__name__)

# What may be shown in the page. Anything else (HTML, SVG, unknown) could run script on our own
# origin if it were opened, so it is only ever saved.
SHOWN: Final = {
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

_NUMBER = re.compile(r"[1-9][0-9]?")


class Media:
    """Hands out artifacts."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def serve(self, request: web.Request, visitor: Visitor) -> web.Response:
        """The bytes. Raises NotFound alike for what is gone and for what is somebody else's."""
        wanted = self._services.jobs.artifact_for(
            visitor.origin(), request.match_info["artifact_id"]
        )
        return await self._served(request, wanted)

    async def shared(self, request: web.Request, visitor: Visitor) -> web.Response:
        """What a link from a chat names, whoever the visitor is here."""
        return await self._served(
            request, sharing.opened(self._services, request.match_info["token"])
        )

    async def _served(
        self, request: web.Request, wanted: Awaitable[tuple[Artifact, bytes]]
    ) -> web.Response:
        try:
            artifact, data = await wanted
        except ArtifactMissing as error:
            log.error("artifact without bytes", key=str(error))
            raise NotFound(
                "The file is not in the studio's store any more.", "文件已不在工作室的存储中。"
            ) from error
        name = None
        if plain_mime(artifact) not in SHOWN or "download" in request.query:
            name = file_name(artifact, request.query.get("download", ""))
        return answer_bytes(request, data, artifact.mime, artifact.key, save_as=name)


def answer_bytes(
    request: web.Request,
    data: bytes,
    mime: str,
    key: str,
    *,
    save_as: str | None = None,
    lasting: bool = True,
) -> web.Response:
    """Stored bytes, under their own type where a page may show it. `key` names the content;
    `lasting`: whether the address will always lead to it."""
    tag = f'"{key}"'
    plain = _plain(mime)
    headers = {
        "Cache-Control": f"private, {'max-age=31536000, immutable' if lasting else 'no-cache'}",
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    if save_as is not None:
        headers["Content-Disposition"] = f'attachment; filename="{save_as}"'
    headers["Content-Type"] = _content_type(plain)
    return answer_range(request, data, headers)


def answer_range(request: web.Request, data: bytes, headers: dict[str, str]) -> web.Response:
    """The bytes, or the one range of them that is asked for (RFC 9110, 14): players jump about in
    sounds and videos. Several ranges at once, and what is no range, get everything."""
    fresh = request.headers.get("If-Range") in {None, headers.get("ETag")}
    if "Range" not in request.headers or not fresh:
        return web.Response(body=data, headers=headers)
    try:
        start, stop, _ = request.http_range.indices(len(data))
    except ValueError:
        return web.Response(body=data, headers=headers)
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(status=206, body=data[start:stop], headers=headers)


def plain_mime(artifact: Artifact) -> str:
    """The type without parameters such as the character set."""
    return _plain(artifact.mime)


def file_name(artifact: Artifact, number: str = "") -> str:
    """What a downloaded artifact is called: plain ASCII, nothing a member chose. `number` is the
    piece's own, where the link tells it: the first sound's formats are all number 1."""
    extension = SHOWN.get(plain_mime(artifact), "bin")
    told = number if _NUMBER.fullmatch(number) else artifact.position + 1
    return f"atelier-{artifact.job_id[:8]}-{told}.{extension}"


def _plain(mime: str) -> str:
    return mime.split(";")[0].strip().lower()


def _content_type(mime: str) -> str:
    if mime not in SHOWN:
        return "application/octet-stream"
    return f"{mime}; charset=utf-8" if mime.startswith("text/") else mime
