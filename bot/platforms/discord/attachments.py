"""Fetches what members attach, from Discord and nobody else, and never more than was promised.

The payload names an address; a forged or surprising one must not make the gateway fetch from
inside the host's network, so only Discord's own file servers (and the configured API's host, for
those who put a proxy there) are asked, and redirects are not followed. Used by `interactions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
import structlog
from yarl import URL

from bot.core.chat import Text, Upload
from bot.core.i18n import formats
from bot.errors import BadOption
from bot.platforms.discord.reading import Attached

log = structlog.get_logger(__name__)

HOSTS: Final = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
FETCH_S: Final = 30.0
_AT_ONCE: Final = 8  # files in memory at the same time, of all members
_PIECE_BYTES: Final = 64 * 1024
_MAX_NAME: Final = 200

_NOT_DISCORD: Final = Text(
    en="{name}: that file does not lie with Discord. Please attach it again.",
    zh="{name}：该文件不在 Discord 上，请重新上传附件。",
)
_TOO_LARGE: Final = Text(
    en="{name}: the file has {size}; at most {limit} are allowed.",
    zh="{name}：文件大小为 {size}，最多允许 {limit}。",
)
_NO_PICTURE: Final = Text(
    en="{name}: that is no picture, but {what}.", zh="{name}：那不是图片，而是 {what}。"
)
_GONE: Final = Text(
    en="{name}: Discord does not hand the file out any more. Please attach it again.",
    zh="{name}：Discord 已不再提供该文件，请重新上传附件。",
)
_SLOW: Final = Text(
    en="{name}: the file could not be fetched from Discord just now. Please try again.",
    zh="{name}：暂时无法从 Discord 获取该文件，请再试一次。",
)


class Fetcher:
    """Downloads attachments, each of at most `max_bytes`."""

    def __init__(self, api_base: str, *, max_bytes: int) -> None:
        self._base, self._max_bytes = URL(api_base), max_bytes
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, files: Mapping[str, Attached]) -> dict[str, Upload]:
        """The files by option name. Raises BadOption for one that is too large, no picture, not
        Discord's, or not to be had."""
        for name, file in files.items():
            self._judge(name, file)
        # One after the other: no command takes more than two, and nothing is left behind.
        return {name: await self._fetch(name, file) for name, file in files.items()}

    async def close(self) -> None:
        """End what is being fetched."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _judge(self, name: str, file: Attached) -> None:
        """What Discord says of the file, before anything is asked for."""
        if not self._may_ask(file.url):
            log.warning("an attachment lies elsewhere", option=name)
            raise _bad(_NOT_DISCORD, name)
        if file.size_bytes > self._max_bytes:
            raise self._too_large(name, file.size_bytes)
        if file.mime and not file.mime.startswith("image/"):
            raise _bad(_NO_PICTURE, name, what=file.mime[:_MAX_NAME])

    def _may_ask(self, url: str) -> bool:
        try:
            asked = URL(url)
            origin = asked.origin()
        except ValueError:  # relative, or no address at all
            return False
        theirs = asked.scheme == "https" and asked.host in HOSTS and asked.port == 443
        return theirs or origin == self._base.origin()

    async def _fetch(self, name: str, file: Attached) -> Upload:
        try:
            async with self._room, asyncio.timeout(FETCH_S):
                data = await self._read(name, file.url)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("an attachment could not be fetched", option=name, error=repr(error))
            raise _bad(_SLOW, name) from error
        return Upload(data=data, mime=file.mime[:_MAX_NAME], filename=file.filename[:_MAX_NAME])

    async def _read(self, name: str, url: str) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        # The address carries a signature: it must be asked for exactly as it was given.
        async with self._session.get(URL(url, encoded=True), allow_redirects=False) as response:
            if response.status >= 500 or response.status == 429:
                raise _bad(_SLOW, name)
            if response.status != 200:
                raise _bad(_GONE, name)
            data = bytearray()
            async for piece in response.content.iter_chunked(_PIECE_BYTES):
                data += piece
                if len(data) > self._max_bytes:
                    raise self._too_large(name, max(len(data), response.content_length or 0))
            return bytes(data)

    def _too_large(self, name: str, size_bytes: int) -> BadOption:
        limit = formats.size(self._max_bytes)
        return _bad(_TOO_LARGE, name, size=formats.size(size_bytes), limit=limit)


def _bad(text: Text, name: str, **values: str) -> BadOption:
    said = text.format(name=name, **values)
    return BadOption(said.en, said.zh)
