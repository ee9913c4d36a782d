"""`atelier gateway` and `atelier worker` as two processes over one data folder."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import settings as settings_module
from bot.app import serve
from bot.errors import SettingsError
from bot.settings import Settings
from generators.engine.port import EngineJob

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a studio in an empty folder, on a free port."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATELIER_WEB_BIND", "127.0.0.1:0")
    monkeypatch.setenv("ATELIER_PRELOAD", "false")
    return settings_module.load()


@pytest.fixture
async def worker(chosen: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """`atelier worker`, started before there is a gateway."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "worker",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )
    yield process
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    _, log = await asyncio.wait_for(process.communicate(), 20)
    assert b"Traceback" not in log


async def test_worker_joins_serves_and_joins_again_after_a_restart(
    chosen: Settings, worker: asyncio.subprocess.Process
) -> None:
    for _ in range(2):
        async with serve(chosen, worker=False) as studio:
            await studio.engine.send(_nonsense())
            result, acknowledge = await asyncio.wait_for(anext(studio.engine.results()), 60)
            await acknowledge()
            assert result.state == "failed"
            assert result.error_kind == "bad_request"
    assert worker.returncode is None


async def test_second_gateway_on_one_folder_is_refused(chosen: Settings) -> None:
    async with serve(chosen, worker=False):
        with pytest.raises(SettingsError, match="another gateway"):
            async with serve(chosen, worker=False):
                pass


def _nonsense() -> EngineJob:
    """A job that a worker refuses before it loads any model."""
    return EngineJob(
        id="0" * 32,
        generator="gpt2",
        model="gpt2",
        params={"nonsense": 1},
        seed=0,
        compat="x",
        owner="somebody",
    )
