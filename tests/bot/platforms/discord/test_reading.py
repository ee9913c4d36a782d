"""What interactions mean: commands, menu entries, buttons; who asks, where, in which language."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.actions import shared_menus
from bot.core.chat import Role
from bot.errors import NotFound
from bot.platforms.discord import reading
from bot.platforms.discord.address import Address
from bot.platforms.discord.reading import Attached, Reader

JOB = "0" * 31 + "7"


@pytest.fixture
def reader(workshop: Any) -> Reader:
    return Reader(workshop.services, workshop.commands.values(), shared_menus())


def _slash(name: str, *options: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "1", "name": name, "type": 1, "options": list(options), **more}


def _string(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "type": 3, "value": value}


def _picture(**more: Any) -> dict[str, Any]:
    file = {
        "id": "55",
        "filename": "cat.png",
        "size": 1234,
        "url": "https://cdn.discordapp.com/ephemeral-attachments/1/55/cat.png?ex=1&is=2&hm=3",
        "proxy_url": "https://media.discordapp.net/x",
        "content_type": "image/png",
    }
    return {"attachments": {"55": file | more}}


def test_a_command_with_its_options(reader: Reader, arrive: Any) -> None:
    data = _slash(
        "imagine", _string("prompt", "red heart"), {"name": "count", "type": 4, "value": 2}
    )
    interaction = arrive(data)
    asked = reader.read(interaction)
    said = asked.invocation
    assert (said.command, dict(said.options)) == ("imagine", {"prompt": "red heart", "count": 2})
    assert said.id == str(interaction.id)
    assert (said.private, asked.alone, asked.edits) == (False, False, False)


def test_who_asks_and_where(reader: Reader, arrive: Any) -> None:
    origin = reader.read(arrive()).invocation.origin
    assert (origin.platform, origin.community_external_id, origin.personal) == (
        "discord",
        "500",
        False,
    )
    assert (origin.identity_external_id, origin.display_name) == ("700", "Anna A.")
    assert (origin.role, origin.platform_roles) == (Role.MEMBER, ("31", "32"))
    assert (origin.channel_external_id, origin.age_restricted) == ("600", False)


@pytest.mark.parametrize("bit", [3, 5], ids=["administrator", "manage_guild"])
def test_whoever_may_manage_the_guild_moderates_its_community(
    reader: Reader, arrive: Any, bit: int
) -> None:
    origin = reader.read(arrive(member={"permissions": str(1 << bit)})).invocation.origin
    assert origin.role is Role.MODERATOR


def test_managing_roles_or_messages_is_not_enough(reader: Reader, arrive: Any) -> None:
    bits = (1 << 13) | (1 << 28)
    origin = reader.read(arrive(member={"permissions": str(bits)})).invocation.origin
    assert origin.role is Role.MEMBER


def test_a_direct_message_is_a_place_of_ones_own(reader: Reader, arrive: Any) -> None:
    said = reader.read(arrive(guild=None)).invocation
    assert (said.origin.personal, said.origin.community_external_id) == (True, "700")
    assert not said.origin.watched
    assert said.address["guild_id"] is None


def test_who_brings_the_studio_into_a_strangers_guild_stays_in_a_place_of_their_own(
    reader: Reader, arrive: Any
) -> None:
    asked = reader.read(
        arrive(authorizing_integration_owners={"1": "700"}, member={"permissions": str(1 << 3)})
    )
    origin = asked.invocation.origin
    assert (origin.personal, origin.community_external_id) == (True, "700")
    assert origin.watched  # others read along there
    assert (origin.role, origin.platform_roles) == (Role.MEMBER, ())


def test_age_restricted_channels_are_told_apart(reader: Reader, arrive: Any) -> None:
    channel = {"id": "600", "type": 0, "guild_id": "500", "name": "x", "position": 0, "nsfw": True}
    assert reader.read(arrive(channel=channel)).invocation.origin.age_restricted


@pytest.mark.parametrize(
    ("sent", "spoken"), [("zh-CN", "zh"), ("zh-TW", "zh"), ("en-GB", "en"), ("de", "en")]
)
def test_language_of_the_member(reader: Reader, arrive: Any, sent: str, spoken: str) -> None:
    said = reader.read(arrive(locale=sent)).invocation
    assert (said.origin.locale, said.address["locale"]) == (spoken, spoken)


def test_the_address_survives_sql_and_knows_when_its_token_dies(
    reader: Reader, arrive: Any
) -> None:
    interaction = arrive(attachment_size_limit=52_428_800)
    kept = reader.read(interaction).invocation.address
    address = Address.from_json(dict(kept) | {"of_a_later_version": 1})
    assert address.to_json() == dict(kept)
    assert (address.channel_id, address.guild_id, address.identity) == ("600", "500", "700")
    assert (address.token, address.limit_bytes) == ("the-token", 52_428_800)
    born = interaction.created_at
    assert address.lives(born + timedelta(minutes=14, seconds=59))
    assert not address.lives(born + timedelta(minutes=14), margin=timedelta(minutes=1))
    assert not address.lives(datetime.now(UTC) + timedelta(days=1))


def test_private_is_known_before_the_command_ran(reader: Reader, arrive: Any) -> None:
    private = {"name": "private", "type": 5, "value": True}
    asked = reader.read(arrive(_slash("imagine", _string("prompt", "x"), private)))
    assert asked.invocation.private
    assert asked.alone
    assert asked.invocation.address["ephemeral"] is True


def test_what_only_informs_is_probably_for_the_member_alone(reader: Reader, arrive: Any) -> None:
    assert reader.read(arrive(_slash("history"))).alone
    assert not reader.read(arrive(_slash("history"))).invocation.private


def test_an_attached_picture_is_named_not_fetched(reader: Reader, arrive: Any) -> None:
    option = {"name": "image", "type": 11, "value": "55"}
    asked = reader.read(arrive(_slash("upscale", option, resolved=_picture())))
    url = _picture()["attachments"]["55"]["url"]
    assert asked.files == {"image": Attached(url, 1234, "image/png", "cat.png")}
    assert dict(asked.invocation.options) == {}


def test_words_for_a_picture_of_the_past_are_the_image(reader: Reader, arrive: Any) -> None:
    asked = reader.read(
        arrive(_slash("blend", _string("image_from", "last"), _string("image_b_from", "last#2")))
    )
    assert dict(asked.invocation.options) == {"image": "last", "image_b": "last#2"}


def test_an_option_that_merely_ends_alike_keeps_its_name(reader: Reader, arrive: Any) -> None:
    asked = reader.read(arrive(_slash("imagine", _string("prompt_from", "x"))))
    assert dict(asked.invocation.options) == {"prompt_from": "x"}


def test_people_channels_and_roles_come_with_what_they_are_called(
    reader: Reader, arrive: Any
) -> None:
    resolved = {
        "users": {
            "71": {"id": "71", "username": "ben", "global_name": "Ben"},
            "72": {"id": "72", "username": "cem", "global_name": None},
        },
        "members": {"71": {"nick": "Benny"}},
        "roles": {"31": {"id": "31", "name": "Painters"}},
        "channels": {"600": {"id": "600", "name": "studio"}},
    }
    options = [
        {"name": "a", "type": 6, "value": "71"},
        {"name": "b", "type": 6, "value": "72"},
        {"name": "c", "type": 8, "value": "31"},
        {"name": "d", "type": 7, "value": "600"},
        _string("e", "71"),
    ]
    said = reader.read(arrive(_slash("block", *options, resolved=resolved))).invocation
    assert said.names == {"71": "Benny", "72": "cem", "31": "Painters", "600": "studio"}
    assert said.options["a"] == "71"


def _press(custom_id: str, flags: int = 0, **data: Any) -> dict[str, Any]:
    message = {
        "id": "44",
        "channel_id": "600",
        "author": {"id": "9", "username": "atelier", "discriminator": "0", "avatar": None},
        "content": "",
        "timestamp": "2026-11-22T20:00:00+00:00",
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": False,
        "type": 0,
        "flags": flags,
        "components": [],
    }
    return {
        "type": 3,
        "message": message,
        "data": {"custom_id": custom_id, "component_type": 2, **data},
    }


def test_a_button_is_its_signed_data(reader: Reader, arrive: Any, workshop: Any) -> None:
    data = workshop.services.signer.button("reroll", JOB)
    asked = reader.read(arrive(**_press(data)))
    assert (asked.invocation.action, asked.invocation.command) == (data, "")
    assert (asked.alone, asked.edits) == (False, False)


def test_a_choice_from_a_list_says_what_a_button_says(reader: Reader, arrive: Any) -> None:
    asked = reader.read(arrive(**_press("pick", component_type=3, values=["u2:job:sig"])))
    assert asked.invocation.action == "u2:job:sig"


@pytest.mark.parametrize(
    ("action", "alone", "edits"),
    [("fav", False, True), ("delete", False, True), ("details", True, False), ("u1", False, False)],
)
def test_late_presses_are_acknowledged_as_they_will_be_answered(
    reader: Reader, arrive: Any, workshop: Any, action: str, alone: bool, edits: bool
) -> None:
    asked = reader.read(arrive(**_press(workshop.services.signer.button(action, JOB))))
    assert (asked.alone, asked.edits) == (alone, edits)


def test_what_hangs_on_a_private_answer_stays_private(
    reader: Reader, arrive: Any, workshop: Any
) -> None:
    data = workshop.services.signer.button("reroll", JOB)
    asked = reader.read(arrive(**_press(data, flags=64)))
    assert asked.invocation.private
    assert asked.alone


def _menu(name: str, components: list[Any]) -> dict[str, Any]:
    message = {"id": "44", "components": components}
    return {
        "id": "1",
        "name": name,
        "type": 3,
        "target_id": "44",
        "resolved": {"messages": {"44": message}},
    }


def test_a_menu_entry_finds_the_job_in_the_messages_own_buttons(
    reader: Reader, arrive: Any, workshop: Any
) -> None:
    signer = workshop.services.signer
    row = [
        {"type": 2, "custom_id": "forged:x:y"},
        {"type": 2, "custom_id": signer.button("u1", JOB)},
    ]
    container = {
        "type": 17,
        "components": [{"type": 10, "content": "x"}, {"type": 1, "components": row}],
    }
    asked = reader.read(arrive(_menu("Show prompt", [container])))
    assert asked.invocation.action == signer.button("details", JOB)
    assert asked.alone


def test_a_menu_on_a_strangers_message_is_answered_with_a_sentence(
    reader: Reader, arrive: Any
) -> None:
    with pytest.raises(NotFound, match="not an answer of the studio"):
        reader.read(arrive(_menu("Report", [{"type": 2, "custom_id": "forged:x:y"}])))


def test_a_menu_entry_of_an_older_version(reader: Reader, arrive: Any) -> None:
    with pytest.raises(NotFound, match="no longer offered"):
        reader.read(arrive(_menu("Frame it", [])))


def test_the_application_is_known_for_answers_after_a_restart(reader: Reader, arrive: Any) -> None:
    interaction = arrive()
    assert reading.address(interaction).application_id == str(interaction.application_id)
