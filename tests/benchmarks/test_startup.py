"""How soon the gateway takes commands after its process began, and what it weighs.

Baseline: a Python that only imports the gateway's third-party libraries.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from studio import Guest, StudioProcess

if TYPE_CHECKING:
    from conftest import Report

IMPORTS = "import aiohttp, jinja2, alembic.command, sqlalchemy.ext.asyncio, structlog, PIL"


async def test_startup_and_memory_of_the_gateway(tmp_path: Path, report: Report) -> None:
    bare = min([await _bare_start() for _ in range(3)])
    ready = []
    for attempt in range(4):
        studio = StudioProcess(tmp_path / str(attempt // 2))  # new folder, then an existing one
        began = time.perf_counter()
        await studio.start()
        async with Guest(studio) as guest:
            await guest.say("/ping")
        ready.append(time.perf_counter() - began)
        process = psutil.Process(studio.pid)
        memory = process.memory_info().rss / 2**20
        maps = {Path(m.path).name for m in process.memory_maps()}
        await studio.stop()
    report.add("first command answered, new folder", min(ready[::2]), "s", "imports", bare)
    report.add("first command answered, restart", min(ready[1::2]), "s", "imports", bare)
    report.add("memory of the gateway", memory, "MiB")
    assert not [name for name in maps if "torch" in name]


async def _bare_start() -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", IMPORTS)
    await process.wait()
    return time.perf_counter() - began
