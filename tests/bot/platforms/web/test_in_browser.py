"""The studio in a real Chromium: what only scripts, styles and a keyboard can show.

Every page here also fails on a console error, so a refused style or a broken script is seen.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from browser import NewPage
from playwright.async_api import expect
from studio_pages import PHONE, UNFINISHED, made, nameless, opened, say, width_of
from web_studio import ServedStudio, picture

from bot.core.chat import Role

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# --- typing ---


def guests(served: ServedStudio) -> int:
    """How many commands a guest may use."""
    return sum(command.role is Role.MEMBER for command in served.web.commands)


async def test_from_a_slash_to_four_pictures_by_keyboard(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    line = page.locator("#line")
    await expect(line).to_be_focused()
    await line.press_sequentially("/im")
    first = page.get_by_role("option").first
    await expect(first).to_have_text("/imagineDraw pictures from words")
    await expect(line).to_have_attribute("aria-activedescendant", "suggestion-0")
    await page.keyboard.press("Enter")
    await expect(line).to_have_value("/imagine ")
    await line.press_sequentially("red heart se")
    await expect(page.get_by_role("option")).to_contain_text("seed:")
    await expect(line).not_to_have_attribute("aria-activedescendant", re.compile("."))
    await page.keyboard.press("Tab")
    await line.press_sequentially("7 cou")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await line.press_sequentially("4")
    await expect(line).to_have_value("/imagine red heart seed:7 count:4")
    await page.keyboard.press("Enter")

    turn = page.locator("article.turn")
    await expect(turn).to_have_attribute("data-state", re.compile("queued|sent"))
    await expect(turn.locator(".frame")).to_have_count(4)
    await expect(line).to_have_value("")
    lease = await served_live.painter.take()
    await served_live.painter.step(lease, 4, 16, preview=picture(3), preview_mime="image/png")
    await expect(turn.get_by_text("Step 4 of 16")).to_be_visible()
    await expect(turn.get_by_role("progressbar")).to_have_js_property("value", 4)
    await expect(turn.locator("[data-frames] img")).to_have_attribute("src", re.compile("^data:"))
    await served_live.painter.finish(lease)

    pictures = turn.locator(".picture img")
    await expect(pictures).to_have_count(4)
    for index in range(4):
        await expect(pictures.nth(index)).to_have_js_property("naturalWidth", 64)
        await expect(pictures.nth(index)).to_have_attribute("alt", "red heart")
    await expect(page.get_by_role("status")).to_contain_text("Ready: red heart")
    await expect(page.locator("[data-quota-text]")).to_have_text("0.4 s of 10 min used")
    await expect(line).to_be_focused()


async def test_choices_and_the_keys_of_the_list(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    line = page.locator("#line")
    options = page.get_by_role("option")
    await line.fill("/")
    await expect(options).to_have_count(guests(served_live))
    await page.keyboard.press("ArrowUp")
    await expect(options.last).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("listbox")).to_be_hidden()
    await expect(line).to_have_attribute("aria-expanded", "false")

    await line.fill("/write a tale model:")
    await expect(options).to_have_text(["gpt2"])
    await page.keyboard.press("Tab")
    await expect(line).to_have_value("/write a tale model:gpt2 ")
    await page.keyboard.press("Tab")  # asked for, all options are listed
    await expect(options.first).to_contain_text("count:")
    await options.filter(has_text="private:").click()
    await expect(line).to_have_value("/write a tale model:gpt2 private:")
    await expect(options).to_have_text(["yes", "no"])

    await line.fill("a lighthouse at dusk")
    await expect(options.first).to_have_text(re.compile("/imagine a lighthouse at dusk"))
    await page.keyboard.press("Enter")
    await expect(line).to_have_value("/imagine a lighthouse at dusk")


async def test_an_input_method_keeps_its_keys_and_several_lines_can_be_written(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    line = page.locator("#line")
    await line.fill("/ping")
    await line.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    await expect(line).to_have_value("/ping")
    await line.fill("/write one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    await expect(line).to_have_value("/write one\ntwo")
    await expect(page.locator("article.turn")).to_have_count(0)


async def test_arrow_up_brings_back_what_was_sent(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    for line in ("/ping", "/quota"):
        await say(page, line)
    await expect(page.locator("article.turn")).to_have_count(2)
    for expected in ("/quota", "/ping"):
        await page.keyboard.press("ArrowUp")
        await expect(page.locator("#line")).to_have_value(expected)
    for expected in ("/quota", ""):
        await page.keyboard.press("ArrowDown")
        await expect(page.locator("#line")).to_have_value(expected)


async def test_an_example_fills_the_line_and_goes_with_the_first_turn(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    await page.get_by_role("button", name="/write lighthouse").click()
    await expect(page.locator("#line")).to_have_value("/write lighthouse")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("What shall we make?")).to_be_hidden()
    lease = await served_live.painter.take()
    await served_live.painter.step(lease, 1, 9, text="a tower\nby the <sea>")
    await expect(page.locator("[data-draft]")).to_have_text("a tower\nby the <sea>")
    await served_live.painter.finish(lease)
    text = page.locator("div.prose:not([data-draft])")
    await expect(text).to_contain_text("and the rest of <b>it</b>.")
    assert "\n" in (await text.inner_text())


# --- what one does with an answer ---


async def test_buttons_toggle_reroll_and_delete_only_when_pressed_twice(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    turn = await made(page, served_live, "/imagine red heart")
    star = turn.get_by_role("button", name="Favourite")
    await star.click()
    await expect(star).to_have_attribute("aria-pressed", "true")
    await expect(star).to_be_focused()
    await star.press("Enter")
    await expect(star).to_have_attribute("aria-pressed", "false")

    await turn.get_by_role("button", name="U2").click()
    await served_live.painter.finish(await served_live.painter.take())
    await expect(page.locator("article.turn")).to_have_count(2)
    await expect(page.locator("article.turn").last.locator(".picture")).to_have_count(1)

    delete = turn.get_by_role("button", name="Delete")
    await delete.click()
    await expect(page.get_by_role("button", name="Press again to delete")).to_be_visible()
    await page.get_by_role("button", name="Press again to delete").click()
    await expect(page.locator("article.turn")).to_have_count(1)


async def test_remix_is_a_dialog_that_starts_the_next_job(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    turn = await made(page, served_live, "/imagine red heart seed:5")
    await turn.get_by_role("button", name="Remix").click()
    dialog = page.get_by_role("dialog", name="Remix")
    prompt = dialog.get_by_role("textbox", name="prompt")
    await expect(prompt).to_be_focused()
    await expect(prompt).to_have_value("red heart")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(turn.get_by_role("button", name="Remix")).to_be_focused()
    await page.keyboard.press("Enter")
    await prompt.fill("blue heart")
    await dialog.get_by_role("spinbutton", name="seed").fill("9")
    await dialog.get_by_role("button", name="Start").click()
    await expect(dialog).to_have_count(0)
    lease = await served_live.painter.take()
    assert (lease.job.params["prompt"], lease.job.seed) == ("blue heart", 9)
    await expect(page.locator("article.turn")).to_have_count(2)


async def test_any_command_can_be_filled_in_as_a_form(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    await page.locator("#line").fill("/imagine owl")
    await page.get_by_role("button", name="Open this command as a form").click()
    dialog = page.get_by_role("dialog", name="/imagine")
    await dialog.get_by_text("More options").click()
    await dialog.get_by_role("spinbutton", name="count").fill("2")
    await dialog.get_by_role("combobox", name="model").select_option("diffusion")
    await dialog.get_by_role("checkbox", name="private").check()
    await page.keyboard.press("Control+Enter")
    lease = await served_live.painter.take()
    assert (lease.job.params["prompt"], lease.job.count) == ("owl", 2)
    await expect(page.locator("#line")).to_have_value("")


async def test_a_mistake_in_a_form_is_said_and_the_form_stays_as_it_was_sent(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    await say(page, "/imagine owl count:9")
    error = page.locator("article.turn .is-error")
    await expect(error).to_have_text("count must be between 1 and 4.")
    await expect(page.get_by_role("status")).to_contain_text("count must be between")


async def test_pictures_open_large_and_are_turned_by_keys(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    turn = await made(page, served_live, "/imagine red heart")
    second = turn.locator(".picture").nth(1)
    await second.focus()
    await page.keyboard.press("Enter")
    box = page.get_by_role("dialog", name="Picture")
    await expect(box.locator("img")).to_have_attribute("src", re.compile("/artifacts/"))
    await expect(box).to_contain_text("red heart (2/4)")
    await page.keyboard.press("ArrowLeft")
    await expect(box).to_contain_text("red heart (1/4)")
    async with page.expect_download() as download:
        await box.get_by_role("link", name="Download").click()
    assert re.fullmatch(r"atelier-\w{8}-1\.png", (await download.value).suggested_filename)
    await page.keyboard.press("Escape")
    await expect(box).to_be_hidden()
    await expect(turn.locator(".picture").first).to_be_focused()


async def test_a_running_job_can_be_cancelled(new_page: NewPage, served_live: ServedStudio) -> None:
    page = await opened(new_page, served_live)
    await say(page, "/imagine red heart")
    await page.get_by_role("button", name="Cancel").click()
    turn = page.locator("article.turn")
    await expect(turn).to_have_attribute("data-state", "cancelled")
    await expect(turn).to_contain_text("Nothing was charged.")


# --- several tabs, lost connections ---


async def test_every_tab_shows_the_same_conversation_once(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    other = await page.context.new_page()
    async with other.expect_response("**/api/events"):
        await other.goto(served_live.url)
    await made(page, served_live, "/imagine red heart")
    for tab in (page, other):
        await expect(tab.locator("article.turn")).to_have_count(1)
        await expect(tab.locator(".picture")).to_have_count(4)
    await other.reload()
    await expect(other.locator("article.turn")).to_have_count(1)


async def test_after_a_lost_connection_the_page_says_so_and_catches_up(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    page.expected_errors = ["ERR_INTERNET_DISCONNECTED"]  # type: ignore[attr-defined]
    await say(page, "/imagine red heart")
    lease = await served_live.painter.take()
    await page.context.set_offline(True)
    for tabs in list(served_live.web._hub._tabs.values()):
        for tab in tabs:
            tab.drop()
    await expect(page.get_by_role("alert")).to_have_text("Connection lost. Trying again…")
    await served_live.painter.finish(lease)
    await page.context.set_offline(False)
    await expect(page.locator(".picture")).to_have_count(4)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(page.locator("article.turn")).to_have_count(1)


async def test_what_could_not_be_sent_is_given_back(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    page.expected_errors = ["Failed to load resource"]  # type: ignore[attr-defined]
    tries: list[str] = []

    async def fail(route: Any) -> None:
        tries.append(route.request.post_data_json["id"])
        if len(tries) < 3:
            await route.abort()
        else:
            await route.fulfill(status=503, json={"error": "The studio is just starting."})

    await page.route("**/api/invoke", fail)
    await say(page, "/imagine red heart")
    await expect(page.get_by_text("The studio is just starting.").first).to_be_visible()
    await expect(page.locator("#line")).to_have_value("/imagine red heart")
    await expect(page.locator("article.turn")).to_have_count(0)
    assert len(tries) == 3
    assert len(set(tries)) == 1  # repeated under the same id: it could happen only once


# --- for everybody ---


async def test_light_and_dark_follow_the_system_until_one_chooses(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live, color_scheme="dark")

    async def paper() -> str:
        return str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert await paper() == "rgb(23, 22, 20)"
    await page.get_by_role("button", name="Switch between light and dark").click()
    assert await paper() == "rgb(250, 248, 244)"
    await page.goto(f"{served_live.url}/history")
    assert await paper() == "rgb(250, 248, 244)"


async def test_less_motion_is_no_motion(new_page: NewPage, served_live: ServedStudio) -> None:
    page = await opened(new_page, served_live, reduced_motion="reduce")
    await say(page, "/imagine red heart")
    frame = page.locator(".frame").first
    await expect(frame).to_have_css("animation-name", "none")


@pytest.mark.parametrize("width", [375, 320])
async def test_on_a_phone_nothing_is_wider_than_the_screen(
    width: int, new_page: NewPage, served_live: ServedStudio
) -> None:
    phone = PHONE | {"viewport": {"width": width, "height": 812}}
    page = await opened(new_page, served_live, **phone)
    assert await width_of(page) == width
    await made(page, served_live, "/imagine red heart")
    await made(page, served_live, "/write " + "w" * 300)
    await say(page, "/history")
    await expect(page.locator(".card")).to_have_count(2)
    await page.locator("#line").fill("/")
    await expect(page.get_by_role("option")).to_have_count(guests(served_live))
    assert await width_of(page) == width
    await expect(page.get_by_role("button", name="Send")).to_be_in_viewport()
    await page.locator("[data-open-form]").tap()
    await expect(page.get_by_role("dialog")).to_be_in_viewport(ratio=1)
    for path in ("/history", "/help", "/owner?token=x", "/nowhere"):
        await page.goto(served_live.url + path)
        assert await width_of(page) == width, path
    page.expected_errors = ["404"]  # type: ignore[attr-defined]


async def test_every_control_has_an_accessible_name(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    assert await nameless(page) == []
    await page.locator("#line").fill("/")
    assert await nameless(page) == []
    await say(page, "/imagine red heart")
    assert await nameless(page) == []
    await served_live.painter.finish(await served_live.painter.take())
    await expect(page.locator(UNFINISHED)).to_have_count(0)
    for line in ("/quota", "/history", "/models"):
        await say(page, line)
        await expect(page.locator(UNFINISHED)).to_have_count(0)
    assert await nameless(page) == []
    await page.locator(".picture").first.click()
    assert await nameless(page) == []
    await page.keyboard.press("Escape")
    await page.locator("#line").fill("/imagine owl")
    await page.locator("[data-open-form]").click()
    await page.get_by_text("More options").click()
    assert await nameless(page) == []
    await page.goto(f"{served_live.url}/history")
    assert await nameless(page) == []


async def test_everything_can_be_reached_and_seen_by_keyboard(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await opened(new_page, served_live)
    await made(page, served_live, "/imagine red heart")
    await page.goto(served_live.url)
    await page.locator(".skip").focus()
    await expect(page.locator(".skip")).to_be_in_viewport()
    seen: set[str] = set()
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement === document.body"):
            break  # past the last control
        focused = await page.evaluate(
            """() => {
              const it = document.activeElement;
              const ring = getComputedStyle(it.closest('.composer-line') ?? it);
              return {what: it.id || it.dataset.action?.split(':')[0] || it.textContent.trim(),
                      ring: ring.outlineStyle !== 'none' || ring.boxShadow !== 'none'};
            }"""
        )
        assert focused["ring"], f"no visible focus on {focused['what']}"
        seen.add(focused["what"])
    assert {"u1", "v4", "remix", "fav", "delete", "line", "Help"} <= seen


async def test_the_gallery_works_on_its_own(new_page: NewPage, served_live: ServedStudio) -> None:
    page = await opened(new_page, served_live)
    await made(page, served_live, "/imagine red heart")
    await page.get_by_role("link", name="History").click()
    card = page.locator(".gallery .turn")
    await card.get_by_role("button", name="Favourite").click()
    await expect(card.get_by_role("button", name="Favourite")).to_have_attribute(
        "aria-pressed", "true"
    )
    await expect(card.get_by_text("More actions")).to_be_visible()
    await card.get_by_role("button", name="🔁").click()
    await page.get_by_role("link", name="Show").click()
    await expect(page.locator("article.turn")).to_have_count(2)


async def test_the_owner_link_is_opened_and_confirmed(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await new_page()
    await page.goto(served_live.web.owner_link(served_live.url))
    await page.get_by_role("button", name="I host this studio").click()
    await expect(page.get_by_text("Owner", exact=True)).to_be_visible()
    assert page.url.rstrip("/") == served_live.url.rstrip("/")


async def test_speaks_chinese_throughout(new_page: NewPage, served_live: ServedStudio) -> None:
    page = await opened(new_page, served_live, locale="zh-CN")
    await expect(page.get_by_role("heading", name="今天做点什么？")).to_be_visible()
    await say(page, "/imagine 红心")
    await expect(page.locator("[data-place]")).to_have_text(re.compile("下一个就是你|正在生成"))
    await page.get_by_role("button", name="English").click()
    await expect(page.get_by_role("link", name="History")).to_be_visible()
