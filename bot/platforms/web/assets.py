"""Style sheets, scripts and icons: read once, served under a path that names their content.

The path changes with the content, so browsers may keep what they have for ever; modules import each
other relatively and so always come from one version. Used by `platform` and `rendering`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from aiohttp import web

FOLDER: Final = Path(__file__).parent / "static"
CONTENT_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Assets:
    """All files of `static/`, in memory (some tens of kilobytes)."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.name: path.read_bytes()
            for path in sorted(folder.iterdir())
            if path.suffix in CONTENT_TYPES
        }
        digest = hashlib.sha256()
        for name, data in self._files.items():
            digest.update(name.encode() + b"\0" + data)
        self.version = digest.hexdigest()[:12]

    def url(self, name: str) -> str:
        """The path of a file. Raises KeyError where there is none: a template is wrong then."""
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self.version}/{name}"

    def scripts(self) -> list[str]:
        """The paths of all scripts, to be fetched at once rather than one after another."""
        return [self.url(name) for name in self._files if name.endswith(".js")]

    async def serve(self, request: web.Request) -> web.Response:
        """A file; another version's path still finds today's, but is not kept."""
        name = request.match_info["name"]
        data = self._files.get(name)
        if data is None:
            raise web.HTTPNotFound
        current = request.match_info["version"] == self.version
        response = web.Response(
            body=data,
            content_type=CONTENT_TYPES[Path(name).suffix],
            charset="utf-8",
            headers={
                "Cache-Control": "public, max-age=31536000, immutable" if current else "no-store"
            },
        )
        response.enable_compression()
        return response
