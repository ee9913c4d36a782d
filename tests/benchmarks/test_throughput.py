"""Jobs a second through the whole path: HTTP, admission, dispatch, engine, completion, delivery.

The model child does nothing. Baseline: the engine alone, from `send` to acknowledged result,
through the same worker process.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from studio import SCRIPTED, Guest, StudioProcess

from generators.engine.local import LocalEngine
from generators.engine.port import EngineJob
from generators.settings import GeneratorSettings

if TYPE_CHECKING:
    from conftest import Report

MEMBERS, EACH = 20, 15


async def test_jobs_through_the_whole_path(tmp_path: Path, report: Report) -> None:
    alone = await _engine_alone(tmp_path / "engine", MEMBERS * EACH)
    settings = {"QUOTA_GPU_SECONDS": 0, "ACTIVE_JOBS": 1000, "WAITING_JOBS": 1000}
    async with StudioProcess(tmp_path / "studio", **settings) as studio:
        guests = [Guest(studio) for _ in range(MEMBERS)]
        try:
            for guest in guests:
                await guest.visit()
            began = time.perf_counter()
            await asyncio.gather(*(_work(guest) for guest in guests))
            rate = MEMBERS * EACH / (time.perf_counter() - began)
        finally:
            for guest in guests:
                await guest.__aexit__(None, None, None)
    report.add("no-op jobs through the whole path", rate, "jobs/s", "engine alone", alone)


async def _work(guest: Guest) -> None:
    jobs = [(await guest.say('/write "dream"'))["job"] for _ in range(EACH)]
    while (await guest.turn(jobs[-1]))["state"] != "done":
        await asyncio.sleep(0.5)


async def _engine_alone(folder: Path, jobs: int) -> float:
    settings = GeneratorSettings(data_dir=folder, log_level="error")
    async with LocalEngine(settings, runner=str(SCRIPTED)) as engine:
        await engine.send(_job(jobs))
        results = engine.results()
        _, acknowledge = await anext(results)  # the worker is up
        await acknowledge()
        began = time.perf_counter()
        for number in range(jobs):
            await engine.send(_job(number))
        for _ in range(jobs):
            _, acknowledge = await anext(results)
            await acknowledge()
        return jobs / (time.perf_counter() - began)


def _job(number: int) -> EngineJob:
    return EngineJob(
        id=f"{number:032x}",
        generator="gpt2",
        model="gpt2",
        params={"prompt": "dream"},
        seed=number,
        compat="gpt2",
        owner="bench",
    )
