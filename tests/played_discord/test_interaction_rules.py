"""Every rule about answering interactions, and about modals, proven by breaking it."""

from __future__ import annotations

from typing import Any

import pytest
from discord_server import Asked, Channel, Guild, Member, PlayedDiscord
from discord_server.asked import AUTOCOMPLETE, COMMAND, COMPONENT
from discord_server.asking import command, interaction
from played_bot import IMAGINE, Raw

V2 = 1 << 15


@pytest.fixture
async def asked(played_discord: PlayedDiscord, general: Channel, ana: Member, raw: Raw) -> Asked:
    """`/imagine`, sent to nobody: the tests answer it by hand."""
    await raw("PUT", f"/applications/{played_discord.application_id}/commands", [IMAGINE])
    server = played_discord.server
    made = command(server, COMMAND, ana, general, "imagine", {"prompt": "x"})
    made.sent_at = played_discord.world.clock.now()
    return made


def callback(asked: Asked) -> str:
    return f"/interactions/{asked.id}/{asked.token}/callback"


def hook(asked: Asked, tail: str = "") -> str:
    return f"/webhooks/{asked.payload['application_id']}/{asked.token}{tail}"


async def test_one_answer_and_in_time(
    played_discord: PlayedDiscord, asked: Asked, raw: Raw
) -> None:
    assert await raw("POST", callback(asked), {"type": 5}, token=False) == (204, "")
    assert (await raw("POST", callback(asked), {"type": 5}, token=False))[1]["code"] == 40060
    assert played_discord.forgive("imagine was acknowledged a second time")
    assert asked.attempts == 2


async def test_after_three_seconds_it_is_unknown(
    played_discord: PlayedDiscord, asked: Asked, raw: Raw
) -> None:
    played_discord.advance(3.2)
    assert (await raw("POST", callback(asked), {"type": 5}, token=False))[1]["code"] == 10062
    assert played_discord.forgive("imagine was acknowledged after 3.2 s")
    assert played_discord.unacknowledged == [asked]


async def test_its_webhook_is_not_there_before_the_answer(
    played_discord: PlayedDiscord, asked: Asked, raw: Raw
) -> None:
    path = hook(asked, "/messages/@original")
    assert (await raw("PATCH", path, {"content": "x"}, token=False))[1]["code"] == 10015
    assert played_discord.forgive("its webhook was used before it was acknowledged")


async def test_an_unknown_interaction_is_unknown(
    played_discord: PlayedDiscord, asked: Asked, raw: Raw
) -> None:
    path = f"/interactions/{asked.id}/nonsense/callback"
    assert (await raw("POST", path, {"type": 5}, token=False))[1]["code"] == 10062


def field(**changes: Any) -> dict[str, Any]:
    text_input = {"type": 4, "custom_id": "p", "style": 1} | changes
    return {"type": 18, "label": "Prompt", "component": text_input}


def modal(*components: dict[str, Any], title: str = "Edit") -> dict[str, Any]:
    return {"type": 9, "data": {"custom_id": "m", "title": title, "components": list(components)}}


CALLBACKS = [
    ({"type": 6}, "a callback of type 6 is not allowed here"),
    ({"type": 7, "data": {"content": "x"}}, "a callback of type 7 is not allowed here"),
    ({"type": 8, "data": {"choices": []}}, "a callback of type 8 is not allowed here"),
    ({"type": 99}, "type 99 is not one of"),
    ({"type": 5, "data": {"flags": V2}}, "a defer knows no flag but ephemeral"),
    ({"type": 4, "data": {"content": "x" * 2001}}, "is too long"),
    ({"type": 4, "data": {"flags": V2, "components": []}}, "components V2 without any component"),
    ({"type": 4, "data": {}}, "an empty message"),
    (modal(), "components"),
    (modal(*[field(custom_id=str(i)) for i in range(6)]), "6 components, at most 5"),
    (modal(field(), title="x" * 46), "title"),
    (modal(field(), field()), "two fields of one custom_id"),
    (modal(field(min_length=5, max_length=4)), "min_length 5 above max_length 4"),
    (modal(field(value="x" * 11, max_length=10)), "its value of 11 characters exceeds 10"),
    (modal({"type": 1, "components": [field()["component"]]}), "text input p has no label"),
    (modal(field(placeholder="x" * 101)), "placeholder"),
]


@pytest.mark.parametrize(("body", "sentence"), CALLBACKS, ids=lambda part: str(part)[:60])
async def test_an_answer_that_discord_refuses(
    played_discord: PlayedDiscord, asked: Asked, raw: Raw, body: dict[str, Any], sentence: str
) -> None:
    status, answer = await raw("POST", callback(asked), body, token=False)
    assert status in (400, 204)
    assert len(played_discord.forgive(sentence)) == 1
    if status == 400:
        assert answer["code"] in (50035, 50006)
        assert asked.acknowledgement is None


async def test_a_modal_at_its_limits_opens_and_gives_what_was_typed(
    played_discord: PlayedDiscord, asked: Asked, raw: Raw
) -> None:
    select = {"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}]}
    upload = {"type": 19, "custom_id": "f", "min_values": 0, "max_values": 10, "required": False}
    fields = [
        field(value="x" * 4000, max_length=4000),
        {"type": 18, "label": "Style", "description": "d" * 100, "component": select},
        {"type": 18, "label": "Files", "component": upload},
        {"type": 10, "content": "read me"},
    ]
    status, _ = await raw("POST", callback(asked), modal(*fields, title="x" * 45), token=False)
    assert status == 204
    assert (await asked.modal())["components"] == fields


async def test_only_choices_answer_an_autocomplete_and_at_most_25(
    played_discord: PlayedDiscord, asked: Asked, ana: Member, general: Channel, raw: Raw
) -> None:
    server = played_discord.server
    values = {"prompt": "x", "model": "em"}
    typed = command(server, AUTOCOMPLETE, ana, general, "imagine", values, "model")
    typed.sent_at = played_discord.world.clock.now()
    path = callback(typed)

    def choices(*values: Any) -> dict[str, Any]:
        return {"type": 8, "data": {"choices": [{"name": "n", "value": v} for v in values]}}

    assert (await raw("POST", path, {"type": 5}, token=False))[0] == 400
    assert played_discord.forgive("type 5 is not allowed here")
    assert (await raw("POST", path, choices(*map(str, range(26))), token=False))[0] == 400
    assert played_discord.forgive("choices")
    assert (await raw("POST", path, choices(7), token=False))[0] == 400
    assert played_discord.forgive("no string as value")
    assert (await raw("POST", path, choices("a", "b"), token=False))[0] == 204


async def test_an_update_changes_the_message_that_was_pressed(
    played_discord: PlayedDiscord, ana: Member, general: Channel, raw: Raw
) -> None:
    button = {"type": 2, "style": 1, "label": "b", "custom_id": "b"}
    body = {"content": "x", "components": [{"type": 1, "components": [button]}]}
    await raw("POST", f"/channels/{general.id}/messages", body)
    (message,) = played_discord.messages(general)
    server = played_discord.server
    data = {"custom_id": "b", "component_type": 2, "id": 2}
    first, second = (
        interaction(server, COMPONENT, ana, general, data, source=message) for _ in range(2)
    )
    first.sent_at = second.sent_at = played_discord.world.clock.now()
    update = {"type": 7, "data": {"content": "pressed", "components": []}}
    status, answer = await raw("POST", callback(first) + "?with_response=true", update)
    assert (status, answer["resource"]["message"]["content"]) == (200, "pressed")
    assert (await raw("POST", callback(second), {"type": 6}))[0] == 204
    assert (await raw("PATCH", hook(second, "/messages/@original"), {"content": "again"}))[0] == 200
    assert (message.content, len(played_discord.messages(general))) == ("again", 1)


async def test_who_brought_the_bot_alone_gets_five_follow_ups(
    played_discord: PlayedDiscord, asked: Asked, raw: Raw
) -> None:
    asked.user_installed = True
    await raw("POST", callback(asked), {"type": 4, "data": {"content": "x"}}, token=False)
    for _ in range(5):
        assert (await raw("POST", hook(asked), {"content": "x"}, token=False))[0] == 200
        played_discord.advance(1)
    assert (await raw("POST", hook(asked), {"content": "x"}, token=False))[1]["code"] == 40094
    assert played_discord.forgive("more than five follow-ups")


async def test_requests_that_are_none(
    played_discord: PlayedDiscord, general: Channel, raw: Raw
) -> None:
    assert (await raw("GET", "/nonsense"))[0] == 404
    assert played_discord.forgive("no such path: /nonsense")
    assert (await raw("PUT", "/users/@me"))[0] == 400
    assert played_discord.forgive("/users/@me knows no PUT")
    assert (await raw("GET", "/channels/no-number"))[0] == 400
    assert played_discord.forgive("channel_id")
    path = f"/channels/{general.id}/messages"
    assert (await raw("POST", path))[0] == 400
    assert played_discord.forgive("a body is required")
    assert (await raw("POST", path, data=b"{"))[0] == 400
    assert played_discord.forgive("the body is not JSON")
    assert (await raw("POST", path, data=b'{"content": "x"}'))[0] == 400
    assert played_discord.forgive("content type application/octet-stream instead of")
    assert (await raw("GET", path + "?limit=500"))[0] == 400
    assert played_discord.forgive("limit")
    assert (await raw("GET", "/users/@me", token=False))[0] == 401
    assert played_discord.forgive("no valid Authorization header")
    assert played_discord.invalid_requests == 1


async def test_what_the_played_discord_does_not_play_fails_the_test(
    played_discord: PlayedDiscord, cats: Guild, raw: Raw
) -> None:
    assert (await raw("GET", f"/guilds/{cats.id}/audit-logs"))[0] == 501
    assert played_discord.forgive("OURS: the played Discord does not play GET /guilds/{guild_id}")


async def test_calling_on_with_a_revoked_token_is_noticed(
    played_discord: PlayedDiscord, raw: Raw
) -> None:
    await played_discord.revoke_token()
    for _ in range(11):
        assert (await raw("GET", "/users/@me"))[0] == 401
    assert played_discord.forgive("still calling with a revoked token")
    played_discord.restore_token()
    assert (await raw("GET", "/users/@me"))[0] == 200
