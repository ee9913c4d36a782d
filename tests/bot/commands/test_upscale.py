"""/upscale and U: a picture made larger by the best model that can."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot.core.chat import Upload

Studio = Any  # the fixture's class, in conftest.py


def upload(width: int = 40, height: int = 30) -> Upload:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 0, 0)).save(buffer, "JPEG")
    return Upload(buffer.getvalue(), "image/jpeg", "cat.jpg")


def actions(reply: Any) -> list[list[str]]:
    return [[button.data.split(":")[0] for button in row] for row in reply.buttons]


async def test_an_upload_is_made_larger_and_kept_with_the_job(workshop: Studio) -> None:
    reply = await workshop.say("/upscale", uploads={"image": upload()})
    job = workshop.job(reply)
    assert (job.command, job.model, job.count) == ("upscale", "super_resolution", 1)
    assert job.params == {"scale": 4}
    assert job.inputs["image"].role == "input"
    stored = Image.open(io.BytesIO(await workshop.artifacts.get(job.inputs["image"].key)))
    assert (stored.format, stored.size) == ("PNG", (40, 30))
    await workshop.finish(job.id)
    answer = await workshop.present(job.id)
    assert [artifact.role for artifact in answer.media] == ["item"]
    assert actions(answer) == [["fav", "delete"], ["details", "copy"]]
    [card] = (await workshop.say("/history")).cards
    assert card.text.startswith(f"/upscale {job.id}@image model:super_resolution scale:4")
    again = workshop.job(await workshop.say(card.text.split(" · ")[0]))
    assert again.inputs == job.inputs


async def test_a_picture_of_the_history_is_made_larger(workshop: Studio) -> None:
    job = await workshop.made("/imagine red heart seed:7")
    items = await workshop.items(job.id)
    larger = workshop.job(await workshop.say("/upscale last#2 scale:2 model:lanczos"))
    assert larger.inputs["image"].key == items[1].key
    assert (larger.model, larger.params) == ("lanczos", {"scale": 2})


async def test_u_takes_the_best_model_on_offer_and_v_goes_back(workshop: Studio) -> None:
    job = await workshop.made("/imagine red heart seed:7")
    larger = workshop.job(await workshop.press("u2", job.id))
    assert (larger.command, larger.model) == ("upscale", "super_resolution")
    await workshop.finish(larger.id)
    assert actions(await workshop.present(larger.id)) == [
        ["v1", "fav", "delete"],
        ["details", "copy"],
    ]
    family = workshop.job(await workshop.press("v1", larger.id))
    assert (family.command, family.model, family.seed) == ("imagine", "emoji", 8)


@pytest.mark.parametrize(
    ("line", "uploads", "says"),
    [
        ("/upscale", {}, "/upscale needs image. For example: /upscale last"),
        ("/upscale", {"image": Upload(b"")}, "/upscale needs image"),
        ("/upscale", {"image": Upload(b"text")}, "image: The picture cannot be read"),
        ("/upscale", {"photo": upload()}, "/upscale takes no file as photo."),
        ("/upscale last", {}, "image: there is no such picture"),
        ("/upscale my cat", {}, "image takes a file, “last”"),
        ("/upscale scale:8", {"image": upload(600, 400)}, "4800 × 3200 pixels; at most 4096"),
        ("/upscale model:emoji", {"image": upload()}, "model cannot be “emoji”."),
        ("/ping", {"image": upload()}, "/ping takes no file as image."),
    ],
)
async def test_what_does_not_work_is_said_and_nothing_is_kept(
    workshop: Studio, line: str, uploads: dict[str, Upload], says: str
) -> None:
    reply = await workshop.say(line, uploads=uploads)
    assert reply.error
    assert reply.ephemeral
    assert says in reply.text
    assert workshop.jobs == []
    assert workshop.charged_gpu_ms == 0
    assert not [path for path in workshop.folder.rglob("*") if path.is_file()]


async def test_a_bad_upload_is_refused_in_chinese_too(workshop: Studio) -> None:
    anna = replace(workshop.anna, locale="zh")
    reply = await workshop.say("/upscale", anna, uploads={"image": Upload(b"text")})
    assert reply.text.startswith("image：无法读取这张图片")
