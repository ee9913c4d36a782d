"""/imagine: four pictures, and every button under them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.core.chat import OptionType
from generators.contract import MAX_SEED

Studio = Any  # the fixture's class, in conftest.py


async def test_a_prompt_alone_asks_for_four_with_the_models_own_settings(studio: Studio) -> None:
    reply = await studio.say("/imagine red heart")
    job = studio.job(reply)
    assert (job.command, job.generator, job.model, job.count) == (
        "imagine",
        "diffusion",
        "emoji",
        4,
    )
    assert job.params["prompt"] == "red heart"
    assert job.params["num_inference_steps"] is None
    assert reply.ticket.position == 1
    assert "you are next" in reply.text
    assert [button.data.split(":")[0] for row in reply.buttons for button in row] == ["cancel"]
    assert not reply.ephemeral
    assert not job.private


async def test_every_option_reaches_the_job(studio: Studio) -> None:
    reply = await studio.say(
        '/imagine red heart seed:7 count:2 model:turbo negative_prompt:"dark, blurry"'
        " guidance_scale:2.5 num_inference_steps:3 height:64 width:128 private:yes"
    )
    job = studio.job(reply)
    assert (job.seed, job.count, job.model, job.private) == (7, 2, "turbo", True)
    asked = {
        "prompt": "red heart",
        "negative_prompt": "dark, blurry",
        "guidance_scale": 2.5,
        "num_inference_steps": 3,
        "height": 64,
        "width": 128,
    }
    assert {name: job.params[name] for name in asked} == asked
    assert job.params["variation_seed"] is None
    assert reply.ephemeral


async def test_a_private_place_makes_a_private_job(studio: Studio) -> None:
    reply = await studio.say("/imagine red heart", private=True)
    assert reply.ephemeral
    assert studio.job(reply).private


async def test_the_answer_is_a_grid_with_its_buttons(studio: Studio) -> None:
    job = await studio.made("/imagine red heart seed:7")
    answer = await studio.present(job.id)
    assert answer.title == "red heart"
    assert "emoji" in answer.text
    assert "seed 7" in answer.text
    assert [artifact.role for artifact in answer.media] == ["item"] * 4 + ["grid"]
    rows = [[button.data.split(":")[0] for button in row] for row in answer.buttons]
    assert rows == [
        ["u1", "u2", "u3", "u4"],
        ["v1", "v2", "v3", "v4"],
        ["reroll", "remix", "fav", "delete"],
        ["details", "copy"],
    ]
    chinese = await studio.present(job.id, replace(studio.anna, locale="zh-TW"))
    assert "种子 7" in chinese.text
    assert chinese.buttons[0][2].description == "放大第 3 张图"


async def test_one_picture_has_one_pair_of_buttons(studio: Studio) -> None:
    job = await studio.made("/imagine red heart count:1")
    answer = await studio.present(job.id)
    assert [len(row) for row in answer.buttons] == [1, 1, 4, 2]
    reply = await studio.press("u2", job.id)
    assert reply.text == "There is no picture 2 in this answer."
    assert (await studio.press("v2", job.id)).error


async def test_u_makes_that_picture_larger(studio: Studio) -> None:
    job = await studio.made("/imagine red heart seed:7")
    items = await studio.items(job.id)
    larger = studio.job(await studio.press("u3", job.id))
    assert (larger.command, larger.model, larger.count) == ("upscale", "lanczos", 1)
    assert larger.params == {"scale": 4}
    assert larger.inputs["image"].key == items[2].key
    assert larger.parent_job_id == job.id
    assert larger.seed == 9
    await studio.finish(larger.id)
    answer = await studio.present(larger.id)
    assert len(answer.media) == 1
    assert "64 × 64 · lanczos" in answer.text
    assert [button.data.split(":")[0] for button in answer.buttons[0]] == ["v1", "fav", "delete"]


async def test_v_makes_relatives_of_that_picture(studio: Studio) -> None:
    job = await studio.made("/imagine red heart seed:7 num_inference_steps:3")
    family = studio.job(await studio.press("v2", job.id))
    assert (family.seed, family.count, family.parent_job_id) == (8, 4, job.id)
    assert family.params["prompt"] == "red heart"
    assert family.params["num_inference_steps"] == 3
    assert 0 <= family.params["variation_seed"] <= MAX_SEED
    assert family.params["variation_strength"] == pytest.approx(0.35)


async def test_relatives_of_a_relative_start_from_the_one_that_was_clicked(studio: Studio) -> None:
    job = await studio.made("/imagine red heart seed:7")
    family = studio.job(await studio.press("v2", job.id))
    await studio.finish(family.id)
    assert family.params["variation_trail"] == ""
    again = studio.job(await studio.press("v4", family.id))
    clicked = (family.params["variation_seed"] + 3) % (MAX_SEED + 1)
    assert again.seed == family.seed == 8
    assert again.params["variation_trail"] == f"{clicked}:0.35"
    assert again.params["variation_seed"] != family.params["variation_seed"]
    await studio.finish(again.id)
    third = studio.job(await studio.press("v1", again.id))
    first = f"{again.params['variation_seed']}:0.35"
    assert third.params["variation_trail"] == f"{clicked}:0.35,{first}"
    reroll = studio.job(await studio.press("reroll", again.id))
    assert reroll.seed == 8
    assert reroll.params["variation_trail"] == again.params["variation_trail"]
    assert reroll.params["variation_seed"] != again.params["variation_seed"]


async def test_a_family_has_an_end(studio: Studio) -> None:
    job = studio.job(await studio.say("/imagine red heart seed:7"))
    for _ in range(40):
        await studio.finish(job.id)
        reply = await studio.press("v1", job.id)
        if reply.error:
            break
        job = studio.job(reply)
    assert "variation of a variation too many times" in reply.text


async def test_the_last_seed_wraps_around(studio: Studio) -> None:
    job = await studio.made(f"/imagine red heart seed:{MAX_SEED}")
    assert studio.job(await studio.press("v3", job.id)).seed == 1


async def test_variations_of_a_larger_picture_go_back_to_where_it_came_from(
    studio: Studio,
) -> None:
    job = await studio.made("/imagine red heart seed:7")
    larger = studio.job(await studio.press("u3", job.id))
    await studio.finish(larger.id)
    family = studio.job(await studio.press("v1", larger.id))
    assert (family.model, family.seed, family.parent_job_id) == ("emoji", 9, job.id)
    await studio.press("delete", job.id)
    assert "deleted" in (await studio.press("v1", larger.id)).text


async def test_reroll_keeps_everything_but_the_seed(studio: Studio) -> None:
    job = await studio.made("/imagine red heart seed:7 count:3 model:turbo height:64 private:yes")
    again = studio.job(await studio.press("reroll", job.id))
    assert again.params == job.params
    assert (again.model, again.count, again.private) == (job.model, job.count, True)
    assert again.seed != job.seed


async def test_a_failed_enlargement_can_be_tried_again(studio: Studio) -> None:
    job = await studio.made("/imagine red heart")
    larger = studio.job(await studio.press("u1", job.id))
    await studio.fail(larger.id, "The worker went away.")
    answer = await studio.present(larger.id)
    assert answer.error
    assert "The worker went away." in answer.text
    assert larger.id in answer.text
    assert [button.data.split(":")[0] for button in answer.buttons[0]] == ["reroll"]
    again = studio.job(await studio.press("reroll", larger.id))
    assert again.inputs == larger.inputs
    assert again.params == larger.params


async def test_remix_opens_a_form_that_makes_the_same_job(studio: Studio) -> None:
    job = await studio.made('/imagine red heart seed:7 count:2 height:64 negative_prompt:"dark"')
    reply = await studio.press("remix", job.id)
    form = reply.form
    assert reply.ephemeral
    assert form.command == "imagine"
    assert 1 <= len(form.fields) <= 5  # what a Discord modal holds
    shown = {option.name: value for option, value in form.fields}
    assert shown["prompt"] == "red heart"
    assert shown["guidance_scale"] == ""
    assert form.hidden == {"model": "emoji", "count": 2, "height": 64}
    again = studio.job(await studio.fill("imagine", {**form.hidden, **shown}))
    assert again.params == job.params
    assert (again.seed, again.count) == (7, 2)
    changed = {**form.hidden, **shown, "prompt": "blue heart", "seed": ""}
    assert studio.job(await studio.fill("imagine", changed)).params["prompt"] == "blue heart"


async def test_a_favourite_shows_on_its_button_and_is_set_not_toggled(studio: Studio) -> None:
    job = await studio.made("/imagine red heart")
    for _ in range(2):  # a second click on the same button changes nothing
        reply = await studio.press("fav", job.id)
        assert reply.replaces_message
        star = reply.buttons[2][2]
        assert star.pressed is True
        assert star.data.startswith("unfav:")
    off = await studio.press("unfav", job.id)
    assert off.buttons[2][2].pressed is False
    assert len(off.media) == 5


async def test_delete_erases_content_and_message(studio: Studio) -> None:
    job = await studio.made("/imagine red heart")
    (first, *_) = await studio.items(job.id)
    reply = await studio.press("delete", job.id)
    assert reply.removes_message
    assert reply.ephemeral
    with pytest.raises(LookupError):
        await studio.artifacts.get(first.key)
    assert (await studio.say("/history")).cards == ()


async def test_a_model_that_left_says_so(studio: Studio) -> None:
    job = await studio.made("/imagine red heart model:turbo")
    studio.services.models._offers.pop("turbo")  # the host removed it
    assert not (await studio.present(job.id)).error  # old answers still look the same
    reply = await studio.press("reroll", job.id)
    assert "There is no model turbo." in reply.text


def test_options_are_the_generators_with_their_bounds(studio: Studio) -> None:
    options = {option.name: option for option in studio.commands["imagine"].option_list()}
    assert list(options)[:4] == ["prompt", "model", "count", "seed"]
    assert options["prompt"].rest
    assert options["prompt"].maximum == 1000
    assert (options["height"].minimum, options["height"].maximum) == (32, 2048)
    assert options["private"].type is OptionType.BOOLEAN
    assert [choice.value for choice in options["model"].choice_list()] == ["emoji", "turbo"]
    assert not {"variation_seed", "variation_strength", "scale"} & set(options)
