"""What the README promises: start the studio, open the page, `/imagine red heart`, four pictures.

The real gateway process, the real worker with the weights that ship, a real browser. Whether the
pictures are hearts is for people (and the evaluation) to judge; here, that they are four different
pictures with colour in them, the same again for the same seed after a restart.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from browser import NewPage
from PIL import Image
from playwright.async_api import Locator, Page, expect
from studio import Guest, StudioProcess

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MODEL_MS = 60_000


async def test_four_pictures_and_the_same_four_after_a_restart(
    new_page: NewPage, tmp_path: Path
) -> None:
    studio = StudioProcess(tmp_path, model_child=None)
    await studio.start()
    page = await new_page()
    await page.goto(studio.url)
    first = await _pictures(page, await _ask(page, "/imagine red heart seed:7"))
    assert len(set(first)) == 4
    for data in first:
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == (64, 64)
            colours = Counter(picture.convert("RGB").quantize(8).tobytes())
            assert len(colours) > 1

    await page.close()
    await studio.stop()
    await studio.start()
    async with Guest(studio) as guest:
        turn = await guest.ask("/imagine red heart seed:7")
        again = [await guest.fetch(path) for path in _artifacts(turn["html"])]
    assert again == first
    await studio.stop()


async def test_text_streams_in_and_an_entry_stays(new_page: NewPage, tmp_path: Path) -> None:
    async with StudioProcess(tmp_path, model_child=None) as studio:
        page = await new_page()
        await page.goto(studio.url)
        turn = await _ask(page, "/write dragon seed:1")
        await expect(turn.locator(".prose").first).to_contain_text("dragon (")
        await page.reload()
        again = page.locator("article.turn").last.locator(".prose").first
        await expect(again).to_contain_text("dragon (")
        await page.close()


async def _ask(page: Page, line: str) -> Locator:
    """Type a line as a person does, and wait for the answer."""
    await page.locator("#line").fill(line)
    await page.keyboard.press("Escape")
    await page.keyboard.press("Enter")
    turn = page.locator("article.turn").last
    await expect(turn).to_have_attribute("data-state", "done", timeout=MODEL_MS)
    return turn


async def _pictures(page: Page, turn: Locator) -> list[bytes]:
    """The pictures of a turn, fetched as the page itself would."""
    html = await turn.inner_html()
    return [await (await page.request.get(path)).body() for path in _artifacts(html, page.url)]


def _artifacts(html: str, base: str = "/") -> list[str]:
    """The addresses of the four pictures in the order they are shown."""
    found: list[str] = []
    for part in html.split('src="')[1:]:
        path = part.split('"')[0]
        if path.startswith("/artifacts/") and path not in found:
            found.append(path)
    return [base.rstrip("/") + path if base != "/" else path for path in found]
