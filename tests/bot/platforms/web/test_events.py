"""The live stream: progress and answers reach every tab once, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from web_studio import ServedStudio, Visitor, picture

from bot.core.chat import Reply, Update
from bot.core.domain import Delivery, DeliveryState
from bot.platforms.web import hub as hub_module
from bot.platforms.web.hub import MAX_QUEUED, MAX_TABS, Hub, encode
from bot.platforms.web.visitors import Visitor as Identity


class Stream:
    """An open stream, event by event."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._lines = response.content

    async def next(self, *kinds: str) -> tuple[str, dict[str, Any]]:
        """The next event (of these kinds) and its data."""
        async with asyncio.timeout(10):
            while True:
                event: dict[str, str] = {}
                while (line := (await self._lines.readline()).decode()) not in ("\n", ""):
                    name, _, value = line.rstrip("\n").partition(": ")
                    event[name] = value
                if not line:
                    return "end", {}
                if not kinds or event["event"] in kinds:
                    return event["event"], json.loads(event["data"])


@asynccontextmanager
async def listening(visitor: Visitor) -> AsyncIterator[Stream]:
    """A tab that listens."""
    async with visitor.http.get("/api/events") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def mark_of(visitor: Visitor) -> str:
    """The mark of a page drawn now."""
    found = re.search(r'"mark":"([^"]+)"', await visitor.look("/"))
    assert found is not None
    return found[1]


async def test_a_job_is_followed_from_its_place_in_line_to_the_answer(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor, listening(visitor) as tab:
        assert await tab.next() == ("hello", {"mark": await mark_of(visitor)})
        turn = await visitor.invoke("/imagine red heart")
        lease = await served.painter.take()
        await served.painter.step(lease, 3, 16, preview=picture(1), preview_mime="image/png")
        _, news = await tab.next("update")
        while news["step"] is None:
            _, news = await tab.next("update")
        assert (news["key"], news["state"]) == (turn["key"], "running")
        assert (news["step"], news["total"]) == (3, 16)
        assert news["preview"].startswith("data:image/png;base64,")
        await served.painter.finish(lease)
        _, answer = await tab.next("answer")
        assert (answer["key"], answer["state"], answer["prompt"]) == (
            turn["key"],
            "done",
            "red heart",
        )
        assert answer["html"] == (await visitor.turn(turn["key"]))["html"]
        assert answer["quota"]["text"] == "0.4 s of 10 min used"
        assert answer["mark"] == await mark_of(visitor)


async def test_text_is_shown_while_it_is_written(served: ServedStudio) -> None:
    async with served.visitor() as visitor, listening(visitor) as tab:
        await visitor.invoke("/write lighthouse")
        lease = await served.painter.take()
        await served.painter.step(lease, 2, 40, text="a tower\nwith <light>")
        _, news = await tab.next("update")
        while news["text"] is None:
            _, news = await tab.next("update")
        assert news["text"] == "a tower\nwith <light>"


async def test_all_tabs_of_a_visitor_hear_and_nobody_elses(served: ServedStudio) -> None:
    async with (
        served.visitor() as visitor,
        served.visitor() as other,
        listening(visitor) as one,
        listening(visitor) as two,
        listening(other) as foreign,
    ):
        mine = await visitor.made("/imagine red heart")
        theirs = await other.made("/imagine owl")
        assert (await one.next("answer"))[1]["key"] == mine["key"]
        assert (await two.next("answer"))[1]["key"] == mine["key"]
        assert (await foreign.next("answer"))[1]["key"] == theirs["key"]


async def test_with_no_tab_open_the_answer_is_there_on_the_next_load(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart")
        async with served.store.unit_of_work(write=False) as uow:
            delivery = await uow.deliveries.get(made["key"])
        assert delivery is not None
        assert (delivery.state, delivery.message_id) == (DeliveryState.DELIVERED, made["key"])
        assert made["key"] in await visitor.look("/")


async def test_a_tab_that_was_away_sees_by_the_mark_that_it_missed_something(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        before = await mark_of(visitor)
        made = await visitor.made("/imagine red heart")
        async with listening(visitor) as tab:
            _, hello = await tab.next("hello")
        assert hello["mark"] != before
        async with visitor.http.get("/api/turns") as response:
            caught_up = await response.json()
    assert caught_up["mark"] == hello["mark"]
    assert [(one["key"], one["state"]) for one in caught_up["turns"]] == [(made["key"], "done")]


async def test_delivering_twice_shows_the_same_turn_twice_by_the_same_key(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor, listening(visitor) as tab:
        made = await visitor.made("/imagine red heart")
        async with served.store.unit_of_work(write=False) as uow:
            delivery = await uow.deliveries.get(made["key"])
        assert delivery is not None
        _, first = await tab.next("answer")
        for _ in range(2):
            assert await served.web.deliver(delivery, Reply(text="again")) == made["key"]
            assert (await tab.next("answer"))[1]["key"] == first["key"]


async def test_updates_and_answers_for_what_was_deleted_meanwhile_are_no_error(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor, listening(visitor) as tab:
        identity = (await visitor.invoke("/ping")) and next(iter(served.web._hub._tabs))
        ghost = Delivery(
            job_id="0" * 32,
            account_id="",
            platform="web",
            address={"identity": identity},
            private=False,
            state=DeliveryState.PENDING,
        )
        await served.web.update(ghost, Update(job_id=ghost.job_id, state="running"))
        assert await served.web.deliver(ghost, Reply(text="gone")) == ghost.job_id
        nowhere = Delivery("1" * 32, "", "web", {}, False, DeliveryState.PENDING)
        await served.web.update(nowhere, Update(job_id=nowhere.job_id, state="running"))
        assert await served.web.deliver(nowhere, Reply()) == nowhere.job_id
        await visitor.made("/imagine red heart")
        assert (await tab.next("answer"))[1]["prompt"] == "red heart"


@pytest.mark.parametrize(
    ("mime", "size"), [("image/svg+xml", 10), ("text/html", 10), ("image/png", 200_000)]
)
async def test_previews_are_small_pictures_or_nothing(
    mime: str, size: int, served: ServedStudio
) -> None:
    async with served.visitor() as visitor, listening(visitor) as tab:
        await visitor.invoke("/imagine red heart")
        lease = await served.painter.take()
        await served.painter.step(lease, 1, 2, preview=b"x" * size, preview_mime=mime)
        _, news = await tab.next("update")
        while news["step"] is None:
            _, news = await tab.next("update")
        assert news["preview"] is None


async def test_the_stream_gives_signs_of_life(
    served: ServedStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.web.api.SIGN_OF_LIFE_S", 0.01)
    async with served.visitor() as visitor, listening(visitor) as tab:
        assert (await tab.next("alive")) == ("alive", {})


async def test_streams_end_when_the_studio_stops(served: ServedStudio) -> None:
    async with served.visitor() as visitor, listening(visitor) as tab:
        await tab.next("hello")
        await served.server.stop()
        assert await tab.next() == ("end", {})


async def test_a_visitor_with_too_many_streams_loses_the_oldest(served: ServedStudio) -> None:
    async with served.visitor() as visitor, listening(visitor) as oldest:
        await oldest.next("hello")
        others = [await visitor.http.get("/api/events") for _ in range(MAX_TABS - 1)]
        async with listening(visitor) as newest:
            assert (await newest.next())[0] == "hello"
            assert await oldest.next() == ("end", {})
        for response in others:
            response.close()


async def test_a_full_studio_says_so(served: ServedStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_STREAMS", 1)
    async with (
        served.visitor() as visitor,
        served.visitor() as other,
        listening(visitor),
        other.http.get("/api/events") as response,
    ):
        assert response.status == 503
        assert "more visitors" in (await response.json())["error"]


async def test_a_client_that_does_not_read_is_let_go(
    served: ServedStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.web.api.SLOW_CLIENT_S", 0.05)
    host, _, port = served.url.removeprefix("http://").partition(":")
    async with served.visitor() as visitor:
        cookies = "; ".join(f"{one.key}={one.value}" for one in visitor.http.cookie_jar)
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(
            f"GET /api/events HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n\r\n".encode()
        )
        await reader.readline()  # and then nothing more
        async with asyncio.timeout(10):
            while tabs := next(iter(served.web._hub._tabs.values()), []):
                tabs[0].update("job", {"text": "x" * 1_000_000})
                await asyncio.sleep(0.001)
        writer.close()


async def test_strangers_get_no_stream_and_no_turns(served: ServedStudio) -> None:
    async with served.stranger() as stranger:
        for path in ("/api/events", "/api/turns", f"/api/turns/{'0' * 32}"):
            async with stranger.http.get(path) as response:
                assert response.status == 401


def _identity(name: str = "a") -> Identity:
    return Identity(identity=name * 32, issued_at=datetime.now(UTC))


async def test_only_the_newest_update_of_a_job_waits() -> None:
    tab = Hub().open(_identity())
    assert tab is not None
    for step in range(1000):
        tab.update("job", {"step": step})
    assert await tab.next() == encode("update", {"step": 999})


async def test_an_update_never_comes_after_its_answer() -> None:
    tab = Hub().open(_identity())
    assert tab is not None
    tab.update("job", {"step": 1})
    tab.forget("job")
    tab.post("answer", {"key": "job"}, mark="m-1")
    assert await tab.next() == b'id: m-1\nevent: answer\ndata: {"key": "job"}\n\n'


async def test_a_tab_that_does_not_keep_up_is_dropped_not_buffered() -> None:
    hub = Hub()
    slow, quick = hub.open(_identity()), hub.open(_identity())
    assert slow is not None
    assert quick is not None
    for number in range(MAX_QUEUED + 1):
        for tab in (slow, quick):
            tab.post("answer", {"key": str(number)})
        await quick.next()
    assert await slow.next() is None
    hub.leave(slow)
    hub.leave(slow)  # twice is no error
    assert hub.tabs(_identity().identity) == (quick,)


def test_marks_differ_by_answer_visitor_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_MARKS", 2)
    hub, restarted = Hub(), Hub()
    assert hub.mark("anna") != restarted.mark("anna")
    first = hub.advance("anna")
    assert hub.mark("anna") == first
    assert hub.advance("bob") != first
    assert hub.mark("anna") == first
    hub.advance("carl")  # forgets anna's: her tabs ask once too often, which is no harm
    assert hub.mark("anna") != first


def test_data_of_an_event_is_one_line_whatever_it_holds() -> None:
    event = encode("update", {"text": "a\nb\r\u2028c\n\nevent: answer"})
    assert event.count(b"\n") == 3
    assert event.endswith(b"\n\n")
