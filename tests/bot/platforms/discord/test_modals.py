"""Forms as modals and back: nothing is lost, nothing can be forged, and Discord takes each one."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from discord_rules import modal_complaints

from bot.core.chat import Choice, Form, Option, OptionType, Text
from bot.core.signing import Signer
from bot.errors import NotAllowed
from bot.platforms.discord import modals

SIGNER = Signer(b"k" * 32)
SAYS = Text(en="What it is. " * 20, zh="这是什么。" * 40)


def option(name: str, kind: OptionType = OptionType.STRING, **more: Any) -> Option:
    return Option(name=name, description=SAYS, type=kind, **more)


PROMPT = option("prompt", required=True, rest=True, maximum=2000)
SEED = option("seed", OptionType.INTEGER, minimum=0, maximum=2**32 - 1)
MODEL = option("model", choices=(Choice("emoji", "Emoji"), Choice("photo", "Photo")))
TILE = option("tile", OptionType.BOOLEAN, default=False)
IMAGE = option("image", OptionType.IMAGE)
EVERY = Form(
    title="Change it and make it again, with everything that there is to change about it",
    command="imagine",
    fields=((PROMPT, "a *red* heart"), (SEED, "7"), (MODEL, "photo"), (TILE, "true"), (IMAGE, "")),
    hidden={"guidance_scale": 2.5, "count": 4, "private": True, "note": "心"},
)


def opened(form: Form, locale: str = "en") -> dict[str, Any]:
    data = modals.modal(form, SIGNER, locale)
    assert data is not None
    assert modal_complaints(json.loads(json.dumps(data))) == []
    return data


def sent(data: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The modal as Discord sends it back, untouched but for the changes (by option name)."""
    rows = []
    for n, label in enumerate(data["components"], start=1):
        field = label["component"]
        name = field["custom_id"].partition("~")[0]
        body = {"type": field["type"], "id": n, "custom_id": field["custom_id"]}
        if field["type"] == 4:
            body["value"] = changes.get(name, field.get("value", ""))
        elif field["type"] == 3:
            chosen = [one["value"] for one in field["options"] if one.get("default")]
            body["values"] = changes.get(name, chosen)
        else:
            kept = [one["id"] for one in field.get("default_values", ())]
            body["values"] = changes.get(name, kept)
        rows.append({"type": 18, "id": 90 + n, "component": body})
    return {"custom_id": data["custom_id"], "components": rows}


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_each_kind_of_option_has_its_own_field_prefilled(locale: str) -> None:
    fields = [one["component"] for one in opened(EVERY, locale)["components"]]

    assert [field["type"] for field in fields] == [4, 4, 3, 3, 19]
    assert [field.get("value") for field in fields[:2]] == ["a *red* heart", "7"]
    assert next(one for one in fields[2]["options"] if one.get("default"))["value"] == "photo"
    assert next(one for one in fields[3]["options"] if one.get("default"))["value"] == "true"
    assert fields[0]["required"]
    assert fields[0]["style"] == 2
    assert fields[0]["max_length"] == 2000


def test_what_was_typed_and_what_was_hidden_come_back() -> None:
    submission = modals.submission(sent(opened(EVERY), prompt="a blue heart", seed=""), SIGNER)

    assert submission.command == "imagine"
    assert submission.options == {
        "prompt": "a blue heart",
        "seed": "",
        "model": "photo",
        "tile": "true",
        **EVERY.hidden,
    }
    assert submission.attachments == {}


def test_a_file_comes_as_discord_describes_it() -> None:
    data = sent(opened(EVERY), image=["55"])
    data["resolved"] = {"attachments": {"55": {"id": "55", "url": "https://cdn.example/a.png"}}}

    submission = modals.submission(data, SIGNER)

    assert submission.attachments["image"]["url"] == "https://cdn.example/a.png"
    assert "image" not in submission.options


def test_a_picture_meant_before_stays_unless_a_file_is_given() -> None:
    form = Form("t", "imagine", ((PROMPT, "x"), (IMAGE, f"{'a' * 32}@image")))

    submission = modals.submission(sent(opened(form)), SIGNER)

    assert submission.options["image"] == f"{'a' * 32}@image"


def test_members_roles_and_channels_are_picked_from_discords_own_lists() -> None:
    kinds = (OptionType.MEMBER, OptionType.ROLE, OptionType.CHANNEL)
    fields = tuple((option(kind.value, kind), "55") for kind in kinds)

    data = opened(Form("t", "settings", fields))

    assert [one["component"]["type"] for one in data["components"]] == [5, 6, 8]
    assert modals.submission(sent(data), SIGNER).options == {
        "member": "55",
        "role": "55",
        "channel": "55",
    }


def test_of_many_fields_the_needed_and_the_filled_are_asked_for_and_the_rest_survives() -> None:
    others = tuple((option(f"o{n}"), str(n) if n > 2 else "") for n in range(8))
    form = Form("t", "imagine", (*others, (PROMPT, "x")))

    data = opened(form)

    asked = [one["component"]["custom_id"].partition("~")[0] for one in data["components"]]
    assert asked == ["o3", "o4", "o5", "o6", "prompt"]
    assert modals.submission(sent(data), SIGNER).options == {
        "prompt": "x",
        **{f"o{n}": str(n) for n in range(3, 8)},
    }


def test_open_choices_and_long_lists_are_typed() -> None:
    many = tuple(Choice(f"m{n}", f"m{n}") for n in range(40))
    form = Form(
        "t",
        "x",
        (
            (option("a", choices=many), "m7"),
            (option("b", choices=many[:3], open_choices=True), "own"),
        ),
    )

    assert [one["component"]["type"] for one in opened(form)["components"]] == [4, 4]


def test_long_hidden_values_travel_in_the_ids_of_the_fields() -> None:
    words = "blurry, low quality, watermark, extra fingers, signature, text, jpeg artefacts, "
    form = Form("t", "imagine", EVERY.fields, {"negative_prompt": words * 20})

    data = opened(form)

    ids = [data["custom_id"], *(one["component"]["custom_id"] for one in data["components"])]
    assert max(map(len, ids)) <= 100
    assert modals.submission(sent(data), SIGNER).options["negative_prompt"] == words * 20


def test_what_no_id_can_carry_is_not_cut_but_refused() -> None:
    noise = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=3000))

    assert modals.modal(Form("t", "x", ((PROMPT, "p"),), {"n": noise}), SIGNER, "en") is None
    assert modals.modal(Form("t", "x", ()), SIGNER, "en") is None


@pytest.mark.parametrize("change", ["command", "key", "cut", "nonsense"])
def test_a_forged_form_is_refused(change: str) -> None:
    data = sent(opened(EVERY))
    signer = SIGNER
    if change == "command":
        other = opened(Form("t", "settings", EVERY.fields))
        data["custom_id"] = data["custom_id"][:30] + other["custom_id"][30:]
    elif change == "key":
        signer = Signer(b"x" * 32)
    elif change == "cut":
        data["custom_id"] = data["custom_id"][:-3]
    else:
        data = {"custom_id": "form:\udcff心", "components": [{"type": 18}, {"type": 1}]}

    with pytest.raises(NotAllowed):
        modals.submission(data, signer)
