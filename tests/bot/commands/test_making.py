"""/animate, /sound, /blend, /denoise and /imagine with a picture: what reaches the job, and what
its answer looks like."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot.core.chat import Upload
from generators.contract import BadRequest
from generators.engine.port import failed_result

Studio = Any  # the fixture's class, in conftest.py


def upload(shade: int = 200) -> Upload:
    buffer = io.BytesIO()
    Image.new("L", (32, 32), shade).save(buffer, "PNG")
    return Upload(buffer.getvalue(), "image/png", "cat.png")


AMONG_OTHERS = ["details", "copy"]


def actions(reply: Any) -> list[list[str]]:
    return [[button.data.split(":")[0] for button in row] for row in reply.buttons]


async def typed(studio: Studio) -> str:
    """The latest job as /history types it."""
    return str((await studio.say("/history")).cards[0].text.split(" · ")[0])


async def test_imagine_starts_from_a_picture(workshop: Studio) -> None:
    reply = await workshop.say("/imagine blue cat strength:0.4", uploads={"image": upload()})
    job = workshop.job(reply)
    assert (job.model, job.params["strength"]) == ("emoji", 0.4)
    assert job.inputs["image"].role == "input"
    await workshop.finish(job.id)
    form = (await workshop.press("remix", job.id)).form
    assert form.hidden["image"] == f"{job.id}@image"
    again = workshop.job(await workshop.fill("imagine", {**form.hidden, "prompt": "red cat"}))
    assert again.inputs == job.inputs
    family = workshop.job(await workshop.press("v3", job.id))
    assert family.inputs == job.inputs


async def test_a_model_that_cannot_start_from_a_picture_names_those_that_can(
    workshop: Studio,
) -> None:
    reply = await workshop.say("/imagine red cat model:gan", uploads={"image": upload()})
    assert reply.text == "The model gan cannot start from a picture. These can: emoji, turbo."
    assert (await workshop.say("/imagine red cat strength:0.5")).text.startswith("strength says")
    assert workshop.job(await workshop.say("/imagine red cat model:gan")).model == "gan"
    assert workshop.jobs[0].inputs == {}


async def test_a_loop_counts_its_frames(workshop: Studio) -> None:
    job = workshop.job(await workshop.say("/animate red heart seconds:3 seed:7"))
    assert (job.command, job.model, job.count, job.seed) == ("animate", "emoji", 1, 7)
    assert (job.params["frames"], job.params["fps"]) == (36, 12)
    assert job.reserved_gpu_ms == 36 * 1500  # a loop is more work than a picture
    await workshop.finish_with(
        job.id, ("video/mp4", "item"), ("image/gif", "rendition"), ("video/webm", "rendition")
    )
    answer = await workshop.present(job.id)
    assert [one.mime for one in answer.media] == ["video/mp4", "image/gif", "video/webm"]
    assert actions(answer) == [["reroll", "remix", "fav", "delete"], AMONG_OTHERS]
    assert await typed(workshop) == "/animate red heart model:emoji seed:7 seconds:3"
    form = (await workshop.press("remix", job.id)).form
    assert {option.name: value for option, value in form.fields}["seconds"] == "3"
    again = workshop.job(await workshop.press("reroll", job.id))
    assert again.params == job.params
    assert again.reserved_gpu_ms == 800  # measured by now
    assert workshop.job(await workshop.say("/imagine red heart count:1")).reserved_gpu_ms == 1500


async def test_a_loop_too_long_for_its_frames_is_refused(workshop: Studio) -> None:
    reply = await workshop.say("/animate red heart seconds:8 fps:24")
    assert reply.text == "At 24 frames a second a loop of this model lasts at most 4 seconds."


async def test_a_sound_comes_with_its_renditions_and_plot(workshop: Studio) -> None:
    job = workshop.job(await workshop.say("/sound violin C4 seconds:1.5 count:2 seed:7"))
    assert (job.command, job.model, job.count) == ("sound", "audio_gan", 2)
    assert job.params == {"prompt": "violin C4", "duration_s": 1.5}
    one = (("audio/wav", "item"), ("audio/ogg", "rendition"), ("image/png", "plot"))
    await workshop.finish_with(job.id, *one, *one)
    answer = await workshop.present(job.id)
    assert [artifact.role for artifact in answer.media] == ["item", "rendition", "plot"] * 2
    assert answer.title == "violin C4"
    assert actions(answer) == [["reroll", "remix", "fav", "delete"], AMONG_OTHERS]
    assert await typed(workshop) == "/sound violin C4 model:audio_gan seed:7 count:2 seconds:1.5"
    [card] = (await workshop.say("/history")).cards
    assert [artifact.role for artifact in card.media] == ["item", "rendition", "plot"] * 2
    await workshop.press("fav", job.id)
    assert len((await workshop.say("/favorites")).cards) == 1


async def test_two_pictures_are_blended(workshop: Studio) -> None:
    drawn = await workshop.made("/imagine red heart")
    uploads = {"image_b": upload()}
    job = workshop.job(await workshop.say("/blend last#2 count:3 blend:0.25", uploads=uploads))
    assert (job.model, job.count, job.params["blend"]) == ("vae", 3, 0.25)
    items = await workshop.items(drawn.id)
    assert job.inputs["image"].key == items[1].key
    assert (job.inputs["image"].role, job.inputs["image_b"].role) == ("item", "input")
    await workshop.finish(job.id)
    answer = await workshop.present(job.id)
    assert answer.title == "/blend"
    assert actions(answer) == [["u1", "u2", "u3"], ["fav", "delete"], AMONG_OTHERS]
    larger = workshop.job(await workshop.press("u3", job.id))
    assert larger.inputs["image"].key == (await workshop.items(job.id))[2].key


async def test_a_picture_is_cleaned(workshop: Studio) -> None:
    job = workshop.job(await workshop.say("/denoise denoise:0.5", uploads={"image": upload()}))
    assert (job.model, job.count, job.params["denoise"]) == ("vae", 1, 0.5)
    await workshop.finish(job.id)
    assert actions(await workshop.present(job.id)) == [["u1"], ["fav", "delete"], AMONG_OTHERS]


async def test_a_failure_is_said_in_the_members_language(workshop: Studio) -> None:
    job = workshop.job(await workshop.say("/sound violin"))
    why = BadRequest("No violin today.", "今天没有小提琴。")
    await workshop.services.jobs.complete(failed_result(job.id, why, "bad_request"))
    assert "No violin today." in (await workshop.present(job.id)).text
    chinese = replace(workshop.anna, locale="zh-CN")
    assert "今天没有小提琴。" in (await workshop.present(job.id, chinese)).text
    old = workshop.job(await workshop.say("/sound flute"))
    await workshop.fail(old.id, "Only English.")  # a row of an older release
    assert "Only English." in (await workshop.present(old.id, chinese)).text


@pytest.mark.parametrize("name", ["animate", "sound", "blend", "denoise", "upscale"])
async def test_help_tells_of_it_with_an_example(workshop: Studio, name: str) -> None:
    assert f"/{name}" in {field.label for field in (await workshop.say("/help")).fields}
    told = await workshop.say(f"/help {name}")
    assert f"/{name} " in told.text


async def test_help_says_nothing_of_what_no_model_can_do(studio: Studio) -> None:
    labels = {field.label for field in (await studio.say("/help")).fields}
    assert {"/imagine", "/animate", "/upscale"} <= labels
    assert not {"/sound", "/blend", "/denoise"} & labels
