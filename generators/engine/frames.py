"""Frames on a byte stream: a JSON header and raw bytes behind it. Never pickle, always bounded.

Both private sockets of a worker speak this (gateway to supervisor, supervisor to model child), so a
message is data and nothing in it can run. Layout: two big-endian unsigned 32-bit sizes (header,
body), the header as UTF-8 JSON, the body. A stream that ends between frames has ended; one that
ends inside a frame, or announces more than the bounds, is broken (`FrameError`).
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_HEADER_BYTES = 8 * 1024 * 1024
MAX_BODY_BYTES = 1024 * 1024 * 1024
_SIZES = struct.Struct("!II")


class FrameError(Exception):
    """What came is not a frame, or is larger than a frame may be."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `header["blobs"]`, where there is one, cuts the body into pieces."""

    header: Mapping[str, Any]
    body: bytes = b""

    def blobs(self) -> list[bytes]:
        """The pieces of the body, as `with_blobs` put them in."""
        pieces, start = [], 0
        for size in self.header.get("blobs", ()):
            pieces.append(self.body[start : start + size])
            start += size
        if start != len(self.body):
            raise FrameError("the pieces of a frame do not add up to its body")
        return pieces


def with_blobs(header: Mapping[str, Any], blobs: Sequence[bytes]) -> Frame:
    """A frame that carries several pieces of bytes."""
    return Frame({**header, "blobs": [len(blob) for blob in blobs]}, b"".join(blobs))


def encode(frame: Frame) -> bytes:
    """The bytes of a frame. Raises FrameError where it is larger than a frame may be."""
    header = json.dumps(frame.header, separators=(",", ":")).encode()
    _check(len(header), len(frame.body))
    return _SIZES.pack(len(header), len(frame.body)) + header + frame.body


async def read(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, or None at the end of the stream."""
    try:
        sizes = await reader.readexactly(_SIZES.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise FrameError("the stream ended inside a frame") from error
        return None
    header_bytes, body_bytes = _SIZES.unpack(sizes)
    _check(header_bytes, body_bytes)
    try:
        header = await reader.readexactly(header_bytes)
        body = await reader.readexactly(body_bytes)
    except asyncio.IncompleteReadError as error:
        raise FrameError("the stream ended inside a frame") from error
    return Frame(_parse(header), body)


def read_blocking(file: BinaryIO) -> Frame | None:
    """The same for a thread: the next frame of a buffered binary file, or None at its end."""
    sizes = file.read(_SIZES.size)
    if not sizes:
        return None
    if len(sizes) < _SIZES.size:
        raise FrameError("the stream ended inside a frame")
    header_bytes, body_bytes = _SIZES.unpack(sizes)
    _check(header_bytes, body_bytes)
    header, body = file.read(header_bytes), file.read(body_bytes)
    if len(header) < header_bytes or len(body) < body_bytes:
        raise FrameError("the stream ended inside a frame")
    return Frame(_parse(header), body)


def _check(header_bytes: int, body_bytes: int) -> None:
    if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise FrameError(
            f"a frame of {header_bytes} + {body_bytes} bytes is larger than"
            f" {MAX_HEADER_BYTES} + {MAX_BODY_BYTES}"
        )


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise FrameError(f"the header of a frame is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise FrameError("the header of a frame is not a JSON object")
    return header
