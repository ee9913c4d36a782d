"""Pictures sent along, sounds, videos, models and training runs, in a real Chromium.

A browser alone can tell whether a sound has a length, a video has pixels, and a dropped file
arrives. Few sessions, each walked through to its end.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import NewPage
from playwright.async_api import FilePayload, Locator, Page, expect
from studio_pages import PHONE, made, nameless, opened, say, width_of
from training_runs import begin
from web_studio import ServedStudio, picture

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def photo(name: str = "holiday.png", side: int = 96) -> FilePayload:
    """A file as one chooses it."""
    return {"name": name, "mimeType": "image/png", "buffer": picture(side, side=side)}


async def drop(page: Page, selector: str, name: str, kind: str = "image/png") -> None:
    """Let a file fall onto an element."""
    data = list(picture(9, side=48))
    await page.evaluate(
        """([selector, name, kind, data]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(data)], name, {type: kind}));
          const place = document.querySelector(selector);
          for (const type of ['dragenter', 'dragover', 'drop']) {
            place.dispatchEvent(new DragEvent(type, {
              dataTransfer: transfer, bubbles: true, cancelable: true}));
          }
        }""",
        [selector, name, kind, data],
    )


async def paste(page: Page, name: str) -> None:
    """Paste a file where the focus is."""
    await page.evaluate(
        """([name, data]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(data)], name, {type: 'image/png'}));
          document.activeElement.dispatchEvent(new ClipboardEvent('paste', {
            clipboardData: transfer, bubbles: true, cancelable: true}));
        }""",
        [name, list(picture(7, side=40))],
    )


async def of(players: Locator, what: str) -> list[Any]:
    """A property of each player."""
    return list(await players.evaluate_all(f"all => all.map((one) => one.{what})"))


# --- pictures that go along ---


async def test_a_chosen_picture_is_seen_sent_and_made_larger(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    tray = page.locator("[data-attached]")
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Add pictures").click()
    await (await chooser.value).set_files([photo()])
    await expect(tray.get_by_role("img", name="holiday.png")).to_be_visible()
    # With a picture in hand, what can be done with it is offered.
    await expect(page.get_by_role("option").filter(has_text="/upscale")).to_be_visible()
    await expect(page.get_by_role("option").filter(has_text="/write")).to_have_count(0)
    await page.locator("#line").fill("/upscale scale:2")
    await expect(tray.locator("[data-slot]")).to_have_text("image")
    assert await nameless(page) == []
    await page.keyboard.press("Enter")
    await expect(tray).to_be_hidden()
    assert list(await served_live.painter.answer_one()) == ["image"]
    turn = page.locator("article.turn")
    await expect(turn).to_have_attribute("data-state", "done")
    await expect(turn.locator(".worked-on img")).to_have_js_property("naturalWidth", 96)


async def test_dropped_and_pasted_pictures_become_two_options(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    await drop(page, "main", "first.png")
    await page.locator("#line").fill("/blend")
    await page.keyboard.press("Escape")
    await paste(page, "second.png")
    tray = page.locator("[data-attached]")
    await expect(tray.locator("[data-slot]")).to_have_text(["image", "image_b"])
    await tray.get_by_role("button", name="Remove first.png").click()
    await drop(page, "main", "third.png")
    await expect(tray.get_by_role("img")).to_have_count(2)

    # What does not fit stays in hand and is said.
    await say(page, "/ping")
    await expect(page.get_by_text("/ping takes no picture.").first).to_be_visible()
    await drop(page, "main", "notes.pdf", "application/pdf")
    await expect(page.get_by_text("notes.pdf is not a picture").first).to_be_visible()
    await page.evaluate("() => { document.querySelector('#line').value = ''; }")
    await say(page, "/blend")
    assert sorted(await served_live.painter.answer_one()) == ["image", "image_b"]


async def test_a_refused_picture_is_given_back(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    broken: FilePayload = {"name": "b.png", "mimeType": "image/png", "buffer": b"\x89PNG no more"}
    await page.locator("[data-attach-input]").set_input_files([broken])
    await expect(page.get_by_text("b.png cannot be read.").first).to_be_visible()
    await say(page, "/upscale")
    await expect(page.locator("article.turn .is-error")).to_contain_text("cannot be read")
    await expect(page.locator("[data-attached] li")).to_have_count(1)
    await expect(page.locator("#line")).to_have_value("/upscale")


async def test_a_picture_of_an_answer_is_used_for_the_next_thing(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    await made(page, served_live, "/imagine red heart")
    turn = page.locator("article.turn").first
    await expect(turn.locator(".picture img").first).to_have_css("image-rendering", "pixelated")
    # Large: arrows, and the buttons that are about this very picture.
    await turn.locator(".picture").nth(1).click()
    box = page.get_by_role("dialog", name="Picture")
    await page.keyboard.press("ArrowRight")
    await expect(box).to_contain_text("red heart (3/4)")
    await page.keyboard.press("End")
    await expect(box.get_by_role("button", name="Enlarge picture 4")).to_be_visible()
    await page.keyboard.press("Home")
    await box.get_by_role("button", name="Enlarge picture 1").click()
    await expect(box).to_be_hidden()
    await served_live.painter.finish(await served_live.painter.take())
    await expect(page.locator("article.turn")).to_have_count(2)

    await turn.locator(".picture").nth(1).click()
    await box.get_by_role("button", name="Use this picture").click()
    uses = page.get_by_role("dialog", name="Use this picture for…")
    assert await nameless(page) == []
    await uses.get_by_role("button", name="/blend").click()
    await expect(page.locator("#line")).to_have_value("/blend ")
    await expect(page.locator("[data-attached] img")).to_have_js_property("naturalWidth", 64)
    await turn.locator("li").nth(2).hover()
    await turn.locator("[data-use]").nth(2).click()
    await uses.get_by_role("button", name="/blend").click()
    await expect(page.locator("[data-slot]")).to_have_text(["image", "image_b"])
    await page.keyboard.press("Enter")
    assert sorted(await served_live.painter.answer_one()) == ["image", "image_b"]

    # From the history page too.
    await page.goto(f"{served_live.url}/history")
    card = page.locator(".gallery .turn", has_text="/imagine red heart")
    await card.locator("li").first.hover()
    await card.locator("[data-use]").first.click()
    await page.get_by_role("button", name="/denoise").click()
    await expect(page.locator("#line")).to_have_value("/denoise ")
    await expect(page.locator("[data-attached] img")).to_have_count(1)
    assert page.url.rstrip("/") == served_live.url.rstrip("/")


async def test_a_form_takes_files_and_pictures_of_the_past(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    await made(page, served_live, "/imagine red heart count:1")
    await page.locator("#line").fill("/blend")
    await page.locator("[data-open-form]").click()
    form = page.get_by_role("dialog", name="/blend")
    first = form.get_by_role("group", name="image required", exact=True)
    await expect(first.get_by_role("button", name="Choose a file")).to_be_focused()
    await form.get_by_role("button", name="Start").click()
    await expect(page.get_by_text("image: a picture is needed.").first).to_be_visible()
    await first.get_by_role("button", name="From your history").click()
    picker = page.get_by_role("dialog", name="Choose a picture")
    await picker.get_by_role("button", name="red heart").click()
    await expect(first.get_by_role("img", name="red heart")).to_be_visible()
    await drop(page, "[data-picture-field=image_b] .drop", "dropped.png")
    await expect(form.get_by_text("dropped.png")).to_be_visible()
    assert await nameless(page) == []
    await form.get_by_role("button", name="Start").click()
    assert sorted(await served_live.painter.answer_one()) == ["image", "image_b"]
    await expect(form).to_have_count(0)


# --- sounds and videos ---


async def test_sounds_have_a_length_and_play_one_at_a_time(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    turn = await made(page, served_live, "/sound drum seconds:2 count:2")
    players = turn.locator("audio")
    await expect(players).to_have_count(2)
    for index in range(2):
        await expect(players.nth(index)).to_have_js_property("readyState", 4)
    assert await of(players, "duration") == pytest.approx([2.0, 2.0], abs=0.01)
    await expect(turn.locator(".plot img").first).to_have_js_property("naturalWidth", 720)
    for index in range(2):
        await players.nth(index).evaluate("(one) => one.play()")
    assert await of(players, "paused") == [True, False]
    await players.nth(1).evaluate("(one) => { one.currentTime = 1.5; }")  # asks for a part
    await expect(players.nth(1)).not_to_have_js_property("seeking", True)
    assert await nameless(page) == []

    # The other formats play as well.
    opus = await turn.get_by_role("link", name=re.compile("OGG")).first.get_attribute("href")
    length = await page.evaluate(
        """async (address) => {
          const sound = new Audio(address.split('?')[0]);
          await new Promise((resolve) => { sound.onloadedmetadata = resolve; });
          return sound.duration;
        }""",
        opus,
    )
    assert length == pytest.approx(2.0, abs=0.05)


async def test_a_video_runs_by_itself_but_not_for_who_wants_less_motion(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    turn = await made(page, served_live, "/animate red heart")
    player = turn.locator("video")
    await expect(player).to_have_js_property("videoWidth", 64)
    await expect(player).to_have_js_property("muted", True)
    await expect(player).to_have_js_property("paused", False)
    for name in ("MP4", "GIF", "WEBM"):
        await expect(turn.get_by_role("link", name=name)).to_be_visible()
    await page.emulate_media(reduced_motion="reduce")
    await page.reload()
    await expect(player).to_have_js_property("readyState", 4)
    await expect(player).to_have_js_property("paused", True)


# --- models and training ---


async def test_models_and_training_runs_fit_every_screen(
    new_page: NewPage, served_live: ServedStudio, tmp_path: Path
) -> None:
    run = begin(tmp_path / "runs", "hearts", updated_at=4e9, loss=0.5, eta_s=60.0)
    page = await new_page(**PHONE)
    await page.goto(served_live.web.owner_link(served_live.url))
    async with page.expect_navigation():
        await page.get_by_role("button", name="I host this studio").tap()
    for path in ("/models", "/runs", "/"):
        await page.goto(served_live.url + path)
        assert await width_of(page) == 375, path
        assert await nameless(page) == [], path
    await page.set_viewport_size({"width": 320, "height": 640})
    for path in ("/models", "/runs", "/"):
        await page.goto(served_live.url + path)
        assert await width_of(page) == 320, path

    # The page follows the run; what one has opened stays open.
    await page.goto(f"{served_live.url}/runs")
    shown = page.locator("[data-runs] article")
    await shown.get_by_text("Earlier samples").tap()
    progress = json.loads((run / "progress.json").read_text()) | {"step": 77}
    (run / "progress.json").write_text(json.dumps(progress))
    begin(tmp_path / "runs", "second", updated_at=4e9 - 1)
    await expect(shown).to_have_count(2)
    await expect(shown.first).to_contain_text("Step 77 of 100")
    await expect(shown.first.locator("details")).to_have_attribute("open", "")
