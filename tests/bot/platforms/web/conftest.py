"""The served studio, on the test's own loop or on the browser's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from browser import Pages
from web_studio import ServedStudio, serve_studio


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServedStudio]:
    """A studio on the test's own loop."""
    async with serve_studio(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def served_live(tmp_path: Path, pages: Pages) -> AsyncIterator[ServedStudio]:
    """The same on the loop that the browser runs on."""
    async with serve_studio(tmp_path) as running:
        yield running
        await pages.close()
