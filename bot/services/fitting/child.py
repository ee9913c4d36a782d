"""Where fitting is done: `python -m bot.services.fitting`, one job a process.

A decoder may crash on broken data, an encoder may take seconds or hold the interpreter's lock; in a
process of its own none of that reaches the gateway, and its memory is given back. What is to be
fitted goes in on stdin, what fits comes back on stdout: a line of JSON, then the bytes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from typing import IO, Any, Final
from weakref import WeakKeyDictionary

import structlog

from bot.services.fitting.values import MAX_INPUT_BYTES, Fitted, Unfit

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 60.0
AT_ONCE: Final = 2

_ROOM: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def fitted(task: str, data: bytes, **options: Any) -> Fitted:
    """Run one task of `bot.services.fitting.__main__` on the data. Raises Unfit with the child's
    sentence, or with a general one where it died or took too long."""
    if len(data) > MAX_INPUT_BYTES:
        raise Unfit("The file is too large to be worked on.", "文件太大，无法处理。")
    room = _ROOM.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))
    async with room:
        out = await _run(task, data, json.dumps(options))
    head, _, body = out.partition(b"\n")
    try:
        said = json.loads(head)
    except ValueError:
        log.error("fitting failed", task=task, size_bytes=len(data))
        raise Unfit(
            "This file could not be worked on; the host's log says why.",
            "无法处理这个文件；原因见主机日志。",
        ) from None
    if "en" in said:
        raise Unfit(said["en"], said["zh"])
    return Fitted(body, said["mime"], said["filename"], said["facts"])


async def _run(task: str, data: bytes, options: str) -> bytes:
    """The child's output; empty where it had to be killed. Both ways go through files without a
    name: megabytes in a pipe would have to be carried by the event loop."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        await asyncio.to_thread(_fill, source, data)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot.services.fitting",
            task,
            options,
            stdin=source,
            stdout=target,
            start_new_session=True,  # Ctrl-C on a terminal is for the gateway, which waits for us
        )
        try:
            await asyncio.wait_for(process.wait(), TIMEOUT_S)
        except TimeoutError:
            log.error("fitting took too long", task=task, size_bytes=len(data))
            return b""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return await asyncio.to_thread(_read, target)


def _fill(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()
    file.seek(0)


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
