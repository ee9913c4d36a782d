"""Reads a request that may bring pictures along: JSON alone, or a form with JSON and files.

Files are read in pieces and counted on the way, so nobody makes the studio hold more than it
promised to; what is in them is judged elsewhere (`services.pictures`). Used by `api`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from aiohttp import BodyPartReader, MultipartReader, web

from bot.core.chat import MAX_UPLOAD_BYTES, Upload
from bot.core.i18n import formats
from bot.platforms.web.guard import MAX_BODY_BYTES, Refused, read_json

MAX_UPLOADS: Final = 2  # no command takes more
MAX_REQUEST_BYTES: Final = MAX_UPLOADS * MAX_UPLOAD_BYTES + MAX_BODY_BYTES
UPLOAD_S: Final = 120.0
MAX_NAME: Final = 200
_PIECE_BYTES: Final = 64 * 1024


async def read_asked(request: web.Request, max_bytes: int) -> tuple[Any, dict[str, Upload]]:
    """The JSON (of the form field `asked`, where it is a form) and the files by field name, each of
    at most `max_bytes`.

    Raises Refused for too many or too large files, a form that takes too long, and what is no such
    request at all."""
    if request.content_type != "multipart/form-data":
        return await read_json(request), {}
    try:
        async with asyncio.timeout(UPLOAD_S):
            return await _read_form(await request.multipart(), max_bytes)
    except TimeoutError as error:
        raise Refused(408, "upload_too_slow") from error
    except (ValueError, AssertionError, RecursionError, RuntimeError) as error:
        # aiohttp's reader says "this is no form" in as many ways as there are ways to mangle one.
        raise Refused(400, "bad_request") from error


async def _read_form(form: MultipartReader, max_bytes: int) -> tuple[Any, dict[str, Upload]]:
    asked: Any = None
    uploads: dict[str, Upload] = {}
    while (part := await form.next()) is not None:
        if not isinstance(part, BodyPartReader) or not part.name:
            raise Refused(400, "bad_request")
        if part.name == "asked":
            asked = json.loads(await _read(part, MAX_BODY_BYTES, "request_too_large"))
            continue
        if len(uploads) == MAX_UPLOADS:
            raise Refused(413, "upload_too_many", limit=MAX_UPLOADS)
        uploads[part.name[:MAX_NAME]] = Upload(
            data=await _read(part, max_bytes, "upload_too_large"),
            mime=part.headers.get("Content-Type", "")[:MAX_NAME],
            filename=(part.filename or "")[:MAX_NAME],
        )
    return asked, uploads


async def _read(part: BodyPartReader, limit: int, refusal: str) -> bytes:
    data = bytearray()
    while piece := await part.read_chunk(_PIECE_BYTES):
        data += piece
        if len(data) > limit:
            raise Refused(413, refusal, limit=formats.size(limit))
    return bytes(data)
