"""Every rule about messages, proven by a request that breaks it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import aiohttp
import pytest
from discord_server import Channel, Member, PlayedDiscord, Upload
from discord_server.message_rules import MIB
from played_bot import Raw, picture

V2 = 1 << 15
VOICE = 1 << 13
OGG = b"OggS" + b"\0" * 60
WAVEFORM = base64.b64encode(b"\x10" * 100).decode()


def text(content: str = "hi") -> dict[str, Any]:
    return {"type": 10, "content": content}


def button(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "b", "custom_id": f"b{number}"} | changes


def row(*inside: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(inside)}


def select(*values: str, **changes: Any) -> dict[str, Any]:
    options = [{"label": value, "value": value} for value in values]
    return {"type": 3, "custom_id": "s", "options": options} | changes


def gallery(*urls: str) -> dict[str, Any]:
    return {"type": 12, "items": [{"media": {"url": url}} for url in urls]}


def v2(*components: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"flags": V2, "components": list(components)} | more


def plain(*components: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"content": "hi", "components": list(components)} | more


def embed(letters: int) -> dict[str, Any]:
    return {"description": "x" * letters}


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"content": "x" * 2001}, "content of 2001 characters, at most 2000"),
    ({"content": ""}, "an empty message"),
    ({}, "an empty message"),
    ({"embeds": [embed(3500), embed(2501)]}, "6001 characters in embeds, at most 6000"),
    ({"embeds": [embed(4097)]}, "is too long"),
    ({"content": "hi", "nonce": "x" * 26}, "nonce"),
    ({"content": "hi", "enforce_nonce": True}, "enforce_nonce without a nonce"),
    ({"content": "hi", "flags": 64}, "ephemeral is for answers to interactions only"),
    ({"content": "hi", "flags": 128}, "flags 128 hold what a bot cannot set"),
    (
        {"content": "hi", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        "allowed_mentions parses users and names some",
    ),
    ({"content": "hi", "allowed_mentions": {"parse": ["all"]}}, "allowed_mentions"),
    (plain(text()), "component type 10 without the components V2 flag"),
    (plain(*[row(button(i)) for i in range(6)]), "6 action rows, at most 5"),
    (plain(row(*[button(i) for i in range(6)])), "components"),
    (plain(row(button(1), button(1))), "two components with one custom_id"),
    (plain(row(button(1, custom_id="x" * 101))), "components"),
    (plain(row(button(1, label="x" * 81))), "components"),
    (plain(row(button(1, label=None))), "has neither label nor emoji"),
    (plain(row(button(1, custom_id=None))), "needs a custom_id and no address"),
    (plain(row(button(1, url="https://example.org"))), "needs a custom_id and no address"),
    (plain(row(button(1, emoji={"name": "↻"}))), "'↻' is no emoji"),
    (plain(row(button(1, emoji={"name": "heart"}))), "'heart' is no emoji"),
    (plain(row(button(1, style=5))), "needs an address and no custom_id"),
    (plain(row(select("a"), button(1))), "a select shares its row"),
    (plain(row(select())), "options: [] should be non-empty"),
    (plain(row(select(*map(str, range(26))))), "components"),
    (plain(row(select("a", "a"))), "two options of a select with one value"),
    (plain(row(select("a", max_values=2))), "a select of 1 options, min 1, max 2"),
    (v2(), "components V2 without any component"),
    (v2(text(), content="hi"), "components V2 together with content"),
    (v2(text(), embeds=[embed(1)]), "components V2 together with embeds"),
    (v2(text("x" * 2001), text("y" * 2000)), "4001 characters in text displays, at most 4000"),
    (v2({"type": 17, "components": [text()] * 40}), "41 components, at most 40"),
    (v2(gallery("attachment://no.png")), "attachment://no.png is no file of this message"),
    (v2(gallery("file:///etc/passwd")), "media address 'file:///etc/passwd'"),
    (v2(gallery(*["https://example.org/a.png"] * 11)), "components"),
    (v2({"type": 9, "components": [text()]}), "components"),
    (v2({"type": 17, "components": [{"type": 17, "components": [text()]}]}), "components"),
]


@pytest.mark.parametrize(("payload", "sentence"), BROKEN, ids=lambda part: str(part)[:60])
async def test_a_message_that_discord_refuses(
    played_discord: PlayedDiscord,
    general: Channel,
    raw: Raw,
    payload: dict[str, Any],
    sentence: str,
) -> None:
    status, body = await raw("POST", f"/channels/{general.id}/messages", payload)
    assert (status, body["code"]) in ((400, 50035), (400, 50006))
    assert len(played_discord.forgive(sentence)) == 1
    assert not played_discord.messages(general)


FINE = [
    plain(
        row(*[button(i, emoji={"name": e}) for i, e in enumerate(("🎲", "✏️", "👩‍🎨", "🇩🇪", "1️⃣"))])
    ),
    {"content": "x" * 2000},
    {"embeds": [embed(3000), embed(3000)]},
    plain(row(*[button(i) for i in range(5)]), row(select("a", "b", max_values=2))),
    v2(text("x" * 2000), text("y" * 2000)),
    v2({"type": 17, "components": [text("x")] * 39}),
    v2({"type": 9, "components": [text()], "accessory": button()}, {"type": 14}),
    v2(gallery(*["https://example.org/a.png"] * 10), row(select("a"))),
    {"content": "hi", "nonce": "x" * 25, "enforce_nonce": True, "flags": 1 << 12},
]


@pytest.mark.parametrize("payload", FINE, ids=lambda part: str(part)[:60])
async def test_a_message_at_its_limits_is_taken(
    general: Channel, raw: Raw, payload: dict[str, Any]
) -> None:
    assert (await raw("POST", f"/channels/{general.id}/messages", payload))[0] == 200


def form(payload: dict[str, Any], *files: tuple[str, bytes]) -> aiohttp.FormData:
    out = aiohttp.FormData()
    out.add_field("payload_json", json.dumps(payload), content_type="application/json")
    for index, (name, data) in enumerate(files):
        out.add_field(f"files[{index}]", io.BytesIO(data), filename=name)
    return out


def voice(**changes: Any) -> dict[str, Any]:
    about = {"id": 0, "filename": "v.ogg", "duration_secs": 1.5, "waveform": WAVEFORM}
    return {"flags": VOICE, "attachments": [about | changes]}


SHOWN = v2(gallery("attachment://a.png"), attachments=[{"id": 0}])
WITH_FILES: list[tuple[dict[str, Any], list[tuple[str, bytes]], int, str]] = [
    ({}, [("a.png", b"x" * (10 * MIB + 1))], 40005, "a.png has 10485761 bytes"),
    ({}, [(f"{i}.png", b"x" * (9 * MIB)) for i in range(3)], 40005, "the request has"),
    ({}, [(f"{i}.png", b"x") for i in range(11)], 50035, "11 files, at most 10"),
    ({}, [("a.png", b"")], 50006, "an empty file"),
    ({"attachments": [{"id": 1}]}, [("a.png", b"x")], 50035, "files ['0'] are not named"),
    ({"attachments": [{"id": 5}]}, [], 50035, "['5'] are neither uploaded nor in the message"),
    (v2(text()), [("a.png", b"x")], 50035, "a.png is shown by no component"),
    (voice() | {"content": "hi"}, [("v.ogg", OGG)], 50159, "voice message with other content"),
    (voice(), [("v.ogg", b"ID3" + OGG)], 50161, "without exactly one OGG file"),
    (voice(waveform=None), [("v.ogg", OGG)], 50161, "without duration_secs and waveform"),
    (voice(waveform="%%"), [("v.ogg", OGG)], 50161, "whose waveform is not base64"),
    (
        voice(waveform=base64.b64encode(b"x" * 257).decode()),
        [("v.ogg", OGG)],
        50161,
        "whose waveform has 257 bytes, allowed are 256",
    ),
]


@pytest.mark.parametrize(
    ("payload", "files", "code", "sentence"), WITH_FILES, ids=lambda part: str(part)[:40]
)
async def test_files_that_discord_refuses(
    played_discord: PlayedDiscord,
    general: Channel,
    raw: Raw,
    payload: dict[str, Any],
    files: list[tuple[str, bytes]],
    code: int,
    sentence: str,
) -> None:
    path = f"/channels/{general.id}/messages"
    status, body = await raw("POST", path, data=form(payload, *files))
    assert (status, body["code"]) == (413 if code == 40005 else 400, code)
    assert len(played_discord.forgive(sentence)) == 1


async def test_boosts_and_the_interaction_raise_the_limit_of_a_file(
    played_discord: PlayedDiscord, raw: Raw
) -> None:
    channel = played_discord.channel(played_discord.guild("Boosted", premium_tier=3))
    big = form({}, ("a.bin", b"x" * (30 * MIB)))
    assert (await raw("POST", f"/channels/{channel.id}/messages", data=big))[0] == 200


async def test_a_voice_message_is_taken_once_and_never_edited(
    played_discord: PlayedDiscord, general: Channel, raw: Raw
) -> None:
    path = f"/channels/{general.id}/messages"
    status, sent = await raw("POST", path, data=form(voice(), ("v.ogg", OGG)))
    assert (status, sent["attachments"][0]["duration_secs"]) == (200, 1.5)
    assert (await raw("PATCH", f"{path}/{sent['id']}", {"flags": 4}))[1]["code"] == 50173
    assert played_discord.forgive("a voice message cannot be edited")


async def test_components_v2_stay_and_content_must_leave_for_them(
    played_discord: PlayedDiscord, general: Channel, raw: Raw
) -> None:
    path = f"/channels/{general.id}/messages"
    _, sent = await raw("POST", path, v2(text("first")))
    one = f"{path}/{sent['id']}"
    assert (await raw("PATCH", one, {"content": "hi"}))[0] == 400
    assert played_discord.forgive("components V2 together with content")
    assert (await raw("PATCH", one, {"components": [text("second")]}))[1]["flags"] == V2
    _, sent = await raw("POST", path, {"content": "classic"})
    one = f"{path}/{sent['id']}"
    assert (await raw("PATCH", one, v2(text())))[0] == 400
    assert played_discord.forgive("put on a message that keeps its content")
    assert (await raw("PATCH", one, v2(text(), content=None)))[0] == 200


async def test_files_stay_by_their_id_or_go(
    played_discord: PlayedDiscord, general: Channel, raw: Raw
) -> None:
    path = f"/channels/{general.id}/messages"
    _, sent = await raw("POST", path, data=form(SHOWN, ("a.png", picture())))
    kept = {"id": sent["attachments"][0]["id"]}
    media = sent["components"][0]["items"][0]["media"]
    assert (media["width"], media["attachment_id"]) == (8, kept["id"])
    both = v2(gallery("attachment://a.png", "attachment://b.png"), attachments=[kept, {"id": 0}])
    one = f"{path}/{sent['id']}"
    status, edited = await raw("PATCH", one, data=form(both, ("b.png", picture(9))))
    assert (status, [a["filename"] for a in edited["attachments"]]) == (200, ["a.png", "b.png"])
    status, edited = await raw("PATCH", one, v2(text(), attachments=[]))
    assert (status, edited["attachments"]) == (200, [])


async def test_mentions_reach_only_those_allowed(
    played_discord: PlayedDiscord, general: Channel, ana: Member, raw: Raw
) -> None:
    bob = played_discord.member(ana.guild, "bob")
    both = v2(text(f"{ana.user.mention} {bob.user.mention}"))
    path = f"/channels/{general.id}/messages"
    _, sent = await raw("POST", path, both | {"allowed_mentions": {"users": [ana.id]}})
    assert [user["id"] for user in sent["mentions"]] == [ana.id]
    _, sent = await raw("POST", path, both | {"allowed_mentions": {"parse": []}})
    assert sent["mentions"] == []
    _, sent = await raw("POST", path, both)
    assert len(sent["mentions"]) == 2


async def test_a_members_upload_is_at_its_signed_address_only(
    played_discord: PlayedDiscord, general: Channel, ana: Member
) -> None:
    said = await played_discord.say(ana, general, "look", Upload(picture(), "cat.png"))
    url = said.states[-1]["attachments"][0]["url"]
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            assert (response.content_type, await response.read()) == ("image/png", picture())
        async with session.get(url.partition("?")[0]) as response:
            assert response.status == 404
        played_discord.fail_next("GET /attachments/*", 503)
        async with session.get(url) as response:
            assert response.status == 503
