"""What the README promises: start the studio, open the page, `/imagine red heart`, four pictures.

The real gateway process, the real worker with the weights that ship, a real browser. Whether the
pictures are hearts is for people (and the evaluation) to judge; here, that they are four different
pictures with colour in them, the same again for the same seed after a restart.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser import NewPage
from PIL import Image
from playwright.async_api import Locator, Page, expect
from studio import Guest, StudioProcess

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MODEL_MS = 120_000


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
            assert picture.width == picture.height >= 64
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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StudioProcess]:
    """One studio with the models that ship, each loaded when it is asked for, for the tests that do
    not restart it."""
    folder = tmp_path_factory.mktemp("studio")
    async with StudioProcess(folder, model_child=None, PRELOAD="false") as running:
        yield running


async def test_text_streams_in_and_an_entry_stays(new_page: NewPage, studio: StudioProcess) -> None:
    page = await new_page()
    await page.goto(studio.url)
    turn = await _ask(page, "/write dragon seed:1")
    await expect(turn.locator(".prose").first).to_contain_text("dragon (")
    await page.reload()
    again = page.locator("article.turn").last.locator(".prose").first
    await expect(again).to_contain_text("dragon (")
    await page.close()


async def test_a_picture_from_this_machine_comes_back_larger(
    new_page: NewPage, studio: StudioProcess
) -> None:
    page = await new_page()
    await page.goto(studio.url)
    drawing = Image.new("RGB", (48, 32), "white")
    drawing.paste((200, 30, 40), (8, 8, 40, 24))
    buffer = io.BytesIO()
    drawing.save(buffer, "PNG")
    await page.locator("[data-attach-input]").set_input_files(
        [{"name": "flag.png", "mimeType": "image/png", "buffer": buffer.getvalue()}]
    )
    turn = await _ask(page, "/upscale scale:4")
    [data] = await _pictures(page, turn)
    with Image.open(io.BytesIO(data)) as larger:
        assert larger.size == (192, 128)
        middle = larger.convert("RGB").getpixel((96, 64))
    assert isinstance(middle, tuple)
    assert middle[0] > 150 > 100 > middle[1]  # still a red flag
    await page.close()


async def test_a_sound_is_heard(new_page: NewPage, studio: StudioProcess) -> None:
    page = await new_page()
    await page.goto(studio.url)
    turn = await _ask(page, "/sound violin C4 seconds:1 seed:1")
    player = turn.locator("audio")
    await expect(player).to_have_js_property("readyState", 4)
    assert await player.evaluate("(one) => one.duration") == pytest.approx(1.0, abs=0.05)
    await expect(turn.locator(".plot img")).to_have_js_property("complete", True)
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
