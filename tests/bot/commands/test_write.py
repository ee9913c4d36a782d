"""/write: entries and texts that go on."""

from __future__ import annotations

from typing import Any

Studio = Any  # the fixture's class, in conftest.py


async def test_a_word_asks_for_one_entry(studio: Studio) -> None:
    job = studio.job(await studio.say("/write lighthouse"))
    assert (job.command, job.generator, job.model, job.count) == ("write", "gpt2", "lexicon", 1)
    assert job.params["prompt"] == "lighthouse"


async def test_every_option_reaches_the_job(studio: Studio) -> None:
    job = studio.job(
        await studio.say(
            "/write Once upon\na time seed:3 count:2 max_new_tokens:50 temperature:0.8 top_k:10"
            " top_p:0.9 repetition_penalty:1.2 private:yes"
        )
    )
    assert job.params == {
        "prompt": "Once upon\na time",
        "max_new_tokens": 50,
        "temperature": 0.8,
        "top_k": 10,
        "top_p": 0.9,
        "repetition_penalty": 1.2,
    }
    assert (job.seed, job.count, job.private) == (3, 2, True)


async def test_an_entry_is_complete_and_a_text_can_go_on(studio: Studio) -> None:
    entry = await studio.made("/write lighthouse", texts=("lighthouse: a tower with a light",))
    answer = await studio.present(entry.id)
    assert [artifact.mime for artifact in answer.media] == ["text/plain"]
    rows = [[button.data.split(":")[0] for button in row] for row in answer.buttons]
    assert rows == [["reroll", "remix", "fav", "delete"], ["details", "copy"]]
    story = await studio.made("/write Once upon a time count:2", texts=("one two", "three four"))
    answer = await studio.present(story.id)
    assert [button.data.split(":")[0] for button in answer.buttons[0]] == ["c1", "c2"]


async def test_going_on_begins_with_what_was_written(studio: Studio) -> None:
    story = await studio.made(
        "/write Once upon a time count:2 temperature:0.8", texts=("Once A", "Once upon a time, B")
    )
    more = studio.job(await studio.press("c2", story.id))
    assert more.params["prompt"] == "Once upon a time, B"
    assert more.params["temperature"] == 0.8
    assert (more.count, more.parent_job_id) == (1, story.id)
    assert (await studio.press("c3", story.id)).text == "There is no text 3 in this answer."


async def test_a_long_text_goes_on_from_its_end(studio: Studio) -> None:
    written = "wörter " * 1500 + "the end"
    story = await studio.made("/write Once upon a time", texts=(written,))
    prompt = studio.job(await studio.press("c1", story.id)).params["prompt"]
    assert prompt.endswith("the end")
    assert prompt.startswith("wörter")
    assert 1900 < len(prompt) <= 2000


async def test_reroll_and_remix(studio: Studio) -> None:
    job = await studio.made("/write lighthouse seed:3 top_k:10 count:2", texts=("a", "b"))
    again = studio.job(await studio.press("reroll", job.id))
    assert again.params == job.params
    assert again.count == 2
    assert again.seed != 3
    form = (await studio.press("remix", job.id)).form
    shown = {option.name: value for option, value in form.fields}
    assert shown["prompt"] == "lighthouse"
    same = studio.job(await studio.fill("write", {**form.hidden, **shown}))
    assert same.params == job.params
    assert (same.seed, same.count) == (3, 2)


async def test_a_prompt_the_model_cannot_read_is_declined_in_words(studio: Studio) -> None:
    job = studio.job(await studio.say("/write 灯塔"))
    await studio.fail(job.id, "This model reads English only.")
    answer = await studio.present(job.id)
    assert answer.error
    assert "This model reads English only." in answer.text
    assert "nothing was charged" in answer.text
    assert studio.charged_gpu_ms == 0
