"""The frame codec: what goes in comes out, and what is no frame is noticed."""

from __future__ import annotations

import asyncio
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.engine import frames
from generators.engine.frames import Frame, FrameError, with_blobs

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


async def read_all(data: bytes) -> list[Frame]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while (frame := await frames.read(reader)) is not None:
        found.append(frame)
    return found


def read_all_blocking(data: bytes) -> list[Frame]:
    file, found = io.BytesIO(data), []
    while (frame := frames.read_blocking(file)) is not None:
        found.append(frame)
    return found


@given(st.lists(st.tuples(st.dictionaries(st.text(), JSON, max_size=4), st.binary()), max_size=4))
def test_frames_come_out_as_they_went_in(contents: list[tuple[dict[str, object], bytes]]) -> None:
    sent = [Frame(header, body) for header, body in contents]
    data = b"".join(map(frames.encode, sent))
    assert read_all_blocking(data) == sent
    assert asyncio.run(read_all(data)) == sent


@given(st.lists(st.binary(), max_size=5))
def test_blobs_come_out_as_they_went_in(blobs: list[bytes]) -> None:
    [frame] = read_all_blocking(frames.encode(with_blobs({"type": "x"}, blobs)))
    assert frame.blobs() == blobs


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0",  # ends inside the sizes
        struct.pack("!II", 2, 0),  # ends before the header
        struct.pack("!II", 2, 5) + b"{}ab",  # ends inside the body
        struct.pack("!II", 4, 0) + b"nope",  # no JSON
        struct.pack("!II", 2, 0) + b"[]",  # no object
        struct.pack("!II", 0, 0),  # nothing at all
        struct.pack("!II", frames.MAX_HEADER_BYTES + 1, 0),
        struct.pack("!II", 2, frames.MAX_BODY_BYTES + 1),
    ],
)
async def test_what_is_no_frame_is_noticed(data: bytes) -> None:
    with pytest.raises(FrameError):
        await read_all(data)
    with pytest.raises(FrameError):
        read_all_blocking(data)


def test_a_frame_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_BODY_BYTES", 10)
    frames.encode(Frame({}, b"x" * 10))
    with pytest.raises(FrameError, match="larger"):
        frames.encode(Frame({}, b"x" * 11))


def test_blobs_must_add_up() -> None:
    with pytest.raises(FrameError):
        Frame({"blobs": [1]}, b"ab").blobs()
