"""What the page's script sends and what it gets: lines, forms, buttons, and one thing twice."""

from __future__ import annotations

import uuid
from html import unescape

import pytest
from web_studio import ServedStudio, actions, artifact_paths

from bot.platforms.web.api import split_line


async def test_a_command_is_answered_with_its_place_in_line_and_a_way_to_cancel(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        turn = await visitor.invoke("/imagine red heart seed:7")
    assert (turn["placement"], turn["error"]) == ("append", False)
    assert '<span class="command">/imagine</span> red heart seed:7' in turn["html"]
    assert turn["html"].count('class="frame"') == 4
    assert "cancel" in actions(turn["html"])
    assert turn["quota"]["fraction"] > 0


@pytest.mark.parametrize(
    "line", ["/Imagine red heart", "／imagine red heart", " / imagine red heart"]
)
async def test_the_slash_may_come_from_any_keyboard(line: str, served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        assert (await visitor.invoke(line))["prompt"] == "red heart"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("/imagine red heart", ("imagine", "red heart")),
        ("/write one\ntwo  three", ("write", "one\ntwo  three")),
        ("/write\nfirst line", ("write", "first line")),
        ("/PING", ("ping", "")),
        ("/", ("", "")),
        ("red heart", None),
        ("", None),
    ],
)
def test_a_line_is_a_name_and_what_follows(line: str, parts: tuple[str, str] | None) -> None:
    assert split_line(line) == parts


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("red heart", "Begin with a command, such as /imagine red heart."),
        ("", "Begin with a command"),
        ("/", "There is no command"),
        ("/imagin red heart", "Did you mean /imagine?"),
        ("/imagine", "/imagine needs prompt"),
        ("/imagine owl count:9", "count must be between 1 and 4."),
        ("/imagine owl\0", "cannot be shown"),
        ("/imagine \ud800", "cannot be shown"),
        ("/ping \ud800\0", "takes no text"),
        ("/imagine " + "😀" * 10_000, "too long"),
    ],
)
async def test_a_mistake_is_one_sentence_and_costs_nothing(
    line: str, says: str, served: ServedStudio
) -> None:
    async with served.visitor() as visitor:
        turn = await visitor.invoke(line)
        assert (turn["error"], turn["placement"], turn["state"]) == (True, "append", "said")
        assert says in turn["text"]
        assert says in unescape(turn["html"])
        assert turn["quota"]["fraction"] == 0
    assert served.store.tables.jobs == {}


async def test_the_same_invocation_again_gives_the_same_job(served: ServedStudio) -> None:
    once = str(uuid.uuid4())
    async with served.visitor() as visitor, served.visitor() as other:
        first = await visitor.invoke("/imagine red heart", id=once)
        again = await visitor.invoke("/imagine red heart", id=once)
        stolen = await other.invoke("/imagine red heart", id=once)
    assert first["key"] == again["key"]
    assert stolen["key"] != first["key"]
    assert len(served.store.tables.jobs) == 2


async def test_every_button_of_a_grid_does_what_it_says(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart")
        buttons = actions(made["html"])
        larger = await visitor.invoke(action=buttons["u2"])
        assert larger["placement"] == "append"
        relatives = await visitor.invoke(action=buttons["v3"])
        assert relatives["html"].count('class="frame"') == 4
        again = await visitor.invoke(action=buttons["reroll"])
        assert '<span class="command">/imagine</span> red heart' in again["html"]

        starred = await visitor.invoke(action=buttons["fav"])
        assert (starred["placement"], starred["key"]) == ("replace", made["key"])
        assert 'aria-pressed="true"' in starred["html"]
        assert made["key"] in await visitor.look("/history?favorites=1")
        folded = await visitor.invoke(action=actions(starred["html"])["unfav"], compact=True)
        assert 'aria-pressed="false"' in folded["html"]
        assert '<details class="more">' in folded["html"]

        gone = await visitor.invoke(action=buttons["delete"])
        assert gone["placement"] == "remove"
        assert made["key"] not in await visitor.look("/history")
        async with visitor.http.get(artifact_paths(made["html"])[0]) as response:
            assert response.status == 404


async def test_remix_opens_a_form_and_the_form_makes_the_next_job(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart guidance_scale:3")
        form = await visitor.invoke(action=actions(made["html"])["remix"])
        assert form["placement"] == "form"
        assert '<textarea id="ask-' in form["html"]
        assert ">red heart</textarea>" in form["html"]
        options = {"prompt": "blue heart", "seed": 7, "guidance_scale": 3.0, "private": False}
        turn = await visitor.invoke(command="imagine", options=options)
        assert turn["prompt"] == "blue heart"
    job = served.store.tables.jobs[turn["key"]]
    assert (job.seed, job.params["guidance_scale"]) == (7, 3.0)


async def test_any_command_opens_as_a_form_filled_with_what_was_typed(
    served: ServedStudio,
) -> None:
    async with served.visitor() as visitor:
        for line in ("/imagine owl count:2", "/imagine owl count:2 nonsense:1", "owl", ""):
            status, answer = await visitor.post("/api/form", {"line": line})
            assert status == 200
            assert 'data-ask="imagine"' in answer["html"]
            assert (">owl</textarea>" in answer["html"]) == (line == "/imagine owl count:2")
        status, answer = await visitor.post("/api/form", {"line": "/write <b>"})
        assert 'data-ask="write"' in answer["html"]
        assert "&lt;b&gt;</textarea>" in answer["html"]


async def test_a_waiting_job_is_cancelled_at_once_and_says_so(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        turn = await visitor.invoke("/imagine red heart")
        said = await visitor.invoke(action=actions(turn["html"])["cancel"])
        assert (said["placement"], said["error"]) == ("note", False)
        await visitor.ended(turn["key"])
        after = await visitor.turn(turn["key"])
        assert after["state"] == "cancelled"
        assert "Nothing was charged." in after["html"]
        assert "reroll" in actions(after["html"])


async def test_the_history_command_shows_cards_whose_buttons_work(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/imagine red heart")
        listed = await visitor.invoke("/history")
        assert f'class="card" data-key="{made["key"]}"' in listed["html"]
        shown = await visitor.invoke(action=actions(listed["html"])["show"])
        assert shown["placement"] == "append"
        assert shown["key"] != made["key"]  # a second place for the same job
        assert f'data-job="{made["key"]}"' in shown["html"]
        assert len(artifact_paths(shown["html"])) == 4


async def test_text_that_streams_is_answered_in_lines(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        made = await visitor.made("/write lighthouse")
    assert (
        '<div class="prose">lighthouse\n  and the rest of &lt;b&gt;it&lt;/b&gt;.</div>'
        in (made["html"])
    )


async def test_fields_of_a_reply_are_rows_with_meters(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        turn = await visitor.invoke("/quota")
    assert "<dt>GPU time</dt>" in turn["html"]
    assert "<meter" in turn["html"]


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"line": "/ping"},
        {"id": "not a uuid", "line": "/ping"},
        {"id": str(uuid.uuid4())},
        {"id": str(uuid.uuid4()), "line": "/ping", "action": "x"},
        {"id": str(uuid.uuid4()), "line": "/ping", "extra": 1},
        {"id": str(uuid.uuid4()), "command": "imagine", "options": {"prompt": ["a"]}},
    ],
)
async def test_requests_that_are_none_are_refused(body: object, served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        status, answer = await visitor.post("/api/invoke", body)
    assert (status, answer["error"]) == (400, "The studio could not read that request.")


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{", "application/json", 400),
        (b"[" * 20_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"x" * 300_000, "application/json", 413),
    ],
)
async def test_bodies_are_bounded_and_of_one_type(
    data: bytes, content_type: str, status: int, served: ServedStudio
) -> None:
    headers = {"Origin": served.url, "Content-Type": content_type}

    async def slowly() -> object:
        yield data

    async with served.visitor() as visitor:
        for body in (data, slowly()):  # with a length, and without one
            async with visitor.http.post("/api/invoke", data=body, headers=headers) as response:
                assert response.status == status


async def test_while_the_studio_starts_it_says_so(served: ServedStudio) -> None:
    async with served.visitor() as visitor:
        await served.web.close()
        status, answer = await visitor.post(
            "/api/invoke", {"id": str(uuid.uuid4()), "line": "/ping"}
        )
    assert (status, answer["error"]) == (
        503,
        "The studio is just starting. Try again in a moment.",
    )
