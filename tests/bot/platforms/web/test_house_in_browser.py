"""The host decides in the browser: rules in a form, reports in a list."""

from __future__ import annotations

import pytest
from browser import NewPage
from people_and_jobs import added, ended, joined, origin
from playwright.async_api import Page, expect
from studio_pages import nameless, opened, say
from web_studio import ServedStudio

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def as_host(new_page: NewPage, studio: ServedStudio) -> Page:
    page = await new_page()
    await page.goto(studio.web.owner_link(studio.url))
    async with page.expect_response("**/api/events"):
        await page.get_by_role("button", name="I host this studio").click()
    return page


async def test_rules_are_seen_and_changed_in_a_form(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    page = await as_host(new_page, served_live)
    await page.locator("#line").fill("/settings")
    await page.locator("[data-open-form]").click()
    form = page.get_by_role("dialog")
    await expect(form.get_by_label("quota", exact=True)).to_be_focused()
    await expect(form.get_by_text("allow_channel")).to_have_count(0)  # there are none here
    assert await nameless(page) == []
    await form.get_by_label("nsfw").select_option("never")
    await form.get_by_label("retention_days").fill("90")
    await form.locator("button[type=submit]").click()
    turn = page.locator("article.turn")
    await expect(turn).to_contain_text("/settings nsfw:never retention_days:90")
    await expect(turn).to_contain_text("Changed.")
    await expect(turn.get_by_text("after 90 days")).to_be_visible()
    guest = await opened(new_page, served_live)
    await say(guest, "/imagine a nude portrait")
    await expect(guest.locator("article.turn .is-error")).to_contain_text("age-restricted")
    await say(guest, "/settings nsfw:age_restricted")
    await expect(guest.locator("article.turn .is-error").last).to_contain_text("moderators")


async def test_a_report_is_decided_where_it_is_listed(
    new_page: NewPage, served_live: ServedStudio
) -> None:
    begin = served_live.store.unit_of_work
    anna = await joined(begin, origin("anna", community_name="Painters"))
    jobs = [ended(anna, params={"prompt": words}) for words in ("a rude heart", "another one")]
    await added(begin, *jobs)
    cases = served_live.services.house.cases
    for job in jobs:
        assert await cases.report(origin("ben"), job.id, "it is rude")
    page = await as_host(new_page, served_live)
    await say(page, "/cases")
    cards = page.locator(".card")
    await expect(cards).to_have_count(2)
    first = cards.filter(has_text="a rude heart")
    await first.get_by_role("button", name="Block").click()
    await expect(first).to_contain_text("its maker is blocked")
    await expect(first.get_by_role("button")).to_have_count(1)
    await first.get_by_role("button", name="Delete").click()
    await expect(
        cards.first.or_(cards.last).filter(has_text="the answer was deleted")
    ).to_be_visible()
    await expect(cards.filter(has_text="another one").get_by_role("button")).to_have_count(3)
    await say(page, "/cases")
    await expect(page.locator("article.turn").last.locator(".card")).to_have_count(1)
