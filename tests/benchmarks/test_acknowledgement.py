"""How soon a browser's command is acknowledged, while the worker computes flat out.

Baseline: a bare aiohttp server in a process of its own that answers the same POST with nothing
done, asked in the same way over the same loopback.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from studio import Guest, StudioProcess

if TYPE_CHECKING:
    from conftest import Report

BARE = """
from aiohttp import web
async def answer(request):
    await request.json()
    return web.json_response({})
async def ready(app):
    print("up", flush=True)
app = web.Application()
app.router.add_post("/", answer)
app.on_startup.append(ready)
import sys
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
ROUNDS = 6


@pytest.mark.parametrize("members", [1, 50])
async def test_acknowledgement_while_the_worker_is_busy(
    tmp_path: Path, report: Report, members: int, unused_tcp_port: int
) -> None:
    bare = await _bare_latencies(members, unused_tcp_port)
    async with StudioProcess(
        tmp_path, model_child=None, QUOTA_GPU_SECONDS=0, WAITING_JOBS=1000
    ) as studio:
        async with Guest(studio) as first:
            await first.ask("/imagine red heart count:1")  # the model is loaded now
            for _ in range(30):  # minutes of pictures for the worker to be busy with
                await first.say("/imagine red heart count:4")
        guests = [Guest(studio) for _ in range(members)]
        try:
            for guest in guests:
                await guest.visit()
            await guests[0].say("/imagine warm-up")
            rounds = [await _all_say(guests) for _ in range(ROUNDS if members > 1 else 40)]
        finally:
            for guest in guests:
                await guest.__aexit__(None, None, None)
    ours = [latency for one in rounds for latency in one]
    name = f"acknowledgement, {members} members at once"
    report.add(f"{name}, p50", _ms(ours, 0.5), "ms", "bare aiohttp", _ms(bare, 0.5))
    report.add(f"{name}, p99", _ms(ours, 0.99), "ms", "bare aiohttp", _ms(bare, 0.99))
    assert len(ours) == members * len(rounds)


async def _all_say(guests: list[Guest]) -> list[float]:
    async def one(guest: Guest) -> float:
        began = time.perf_counter()
        answer = await guest.say("/imagine blue car count:1")
        assert not answer["error"], answer["text"]
        return time.perf_counter() - began

    return list(await asyncio.gather(*(one(guest) for guest in guests)))


async def _bare_latencies(members: int, port: int) -> list[float]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BARE, str(port), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    await server.stdout.readline()
    url = f"http://127.0.0.1:{port}/"
    try:
        sessions = [aiohttp.ClientSession() for _ in range(members)]
        body: dict[str, Any] = {"line": "/imagine blue car"}

        async def one(session: aiohttp.ClientSession) -> float:
            began = time.perf_counter()
            async with session.post(url, json=body) as response:
                await response.json()
            return time.perf_counter() - began

        await one(sessions[0])
        latencies: list[float] = []
        for _ in range(ROUNDS if members > 1 else 40):
            latencies += await asyncio.gather(*(one(session) for session in sessions))
        for session in sessions:
            await session.close()
        return latencies
    finally:
        server.terminate()
        await server.wait()


def _ms(latencies: list[float], quantile: float) -> float:
    ranked = sorted(latencies)
    return 1000 * ranked[min(len(ranked) - 1, int(quantile * len(ranked)))]
