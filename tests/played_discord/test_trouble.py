"""Faults on order, and what Discord does when things are gone, limited or too late."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import discord
import pytest
from discord_server import Channel, Guild, Member, PlayedDiscord
from discord_server.world import ATTACH_FILES, SEND_MESSAGES, VIEW_CHANNEL
from played_bot import Raw, Start

Interaction = discord.Interaction[Any]
ORIGINAL = "PATCH */messages/@original"


async def defer_and_edit(interaction: Interaction) -> None:
    await interaction.response.defer()
    await interaction.edit_original_response(content="done")


@pytest.mark.parametrize("scope", ["user", "shared"])
async def test_the_client_waits_as_a_429_tells_it(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member, scope: str
) -> None:
    client = await start()
    client.on = defer_and_edit
    played_discord.fail_next(ORIGINAL, 429, retry_after=0.15, times=2, scope=scope)
    asked = await played_discord.slash(ana, general, "imagine", prompt="x")
    assert (await asked.answer()).text == "done"
    edits = [seen for seen in played_discord.requests if seen.path.endswith("@original")]
    assert [seen.status for seen in edits] == [429, 429, 200]
    assert played_discord.invalid_requests == (0 if scope == "shared" else 2)


async def test_a_global_429_holds_every_route_of_the_client(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    played_discord.fail_next("GET /users/*", 429, retry_after=0.15, scope="global")
    fetching = asyncio.create_task(client.fetch_user(int(ana.id)))
    await played_discord.until(lambda: played_discord.requests[-1].status == 429)
    channel, user = await asyncio.gather(client.fetch_channel(int(general.id)), fetching)
    assert (str(channel), user.name) == ("general", "ana")


async def test_a_ban_by_the_proxy_is_no_rate_limit_to_wait_for(
    played_discord: PlayedDiscord, start: Start, ana: Member
) -> None:
    client = await start()
    user = await client.fetch_user(int(ana.id))
    played_discord.fail_next("POST */messages", 429, scope="cloudflare")
    with pytest.raises(discord.HTTPException) as refused:
        await user.send("x")
    assert refused.value.status == 429
    assert "1015" in refused.value.text


async def test_coming_back_too_early_is_a_broken_rule(
    played_discord: PlayedDiscord, general: Channel, raw: Raw
) -> None:
    path = f"/channels/{general.id}/messages"
    played_discord.fail_next("POST */messages", 429, retry_after=5.0)
    status, body = await raw("POST", path, {"content": "x"})
    assert (status, body["retry_after"], body["global"]) == (429, 5.0, False)
    assert (await raw("POST", path, {"content": "on its way already"}))[0] == 200
    played_discord.advance(1)
    assert (await raw("GET", f"/channels/{general.id}"))[0] == 200  # another bucket
    await raw("POST", path, {"content": "x"})
    assert len(played_discord.forgive("before a 429's retry_after was over")) == 1
    played_discord.advance(5)
    assert (await raw("POST", path, {"content": "x"}))[0] == 200


async def test_a_global_429_stops_all_but_interactions(
    played_discord: PlayedDiscord, general: Channel, raw: Raw
) -> None:
    played_discord.fail_next("GET /channels/*", 429, retry_after=5.0, scope="global")
    assert (await raw("GET", f"/channels/{general.id}"))[1]["global"] is True
    played_discord.advance(1)
    app = played_discord.application_id
    assert (await raw("GET", f"/webhooks/{app}/unknown/messages/@original"))[1]["code"] == 10015
    assert not played_discord.broken_rules
    await raw("GET", "/users/@me")
    assert played_discord.forgive("GET /users/@me: sent")


async def test_buckets_are_told_in_headers_and_kept(
    played_discord: PlayedDiscord, general: Channel
) -> None:
    url = f"{played_discord.api_base}/channels/{general.id}/messages"
    headers = {"Authorization": f"Bot {played_discord.token}"}
    seen = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for number in range(6):
            async with session.post(url, json={"content": str(number)}) as response:
                seen.append((response.status, response.headers["X-RateLimit-Remaining"]))
                last = response.headers
        played_discord.advance(float(last["X-RateLimit-Reset-After"]) + 0.01)
        async with session.post(url, json={"content": "again"}) as response:
            assert response.status == 200
    assert seen == [(200, "4"), (200, "3"), (200, "2"), (200, "1"), (200, "0"), (429, "0")]
    assert last["X-RateLimit-Scope"] == "user"
    assert int(last["Retry-After"]) == 5
    assert played_discord.invalid_requests == 1


async def test_a_lost_answer_did_take_effect_and_the_nonce_finds_it_again(
    played_discord: PlayedDiscord, general: Channel, raw: Raw
) -> None:
    played_discord.lose_answer("POST */messages")
    path, body = f"/channels/{general.id}/messages", {"content": "x", "nonce": "job-7"}
    with pytest.raises(aiohttp.ClientConnectionError):
        await raw("POST", path, body | {"enforce_nonce": True})
    (sent,) = played_discord.messages(general)
    _, again = await raw("POST", path, body | {"enforce_nonce": True})
    assert again["id"] == sent.id
    await raw("POST", path, body)  # without enforcing it, it is only an echo
    assert len(played_discord.messages(general)) == 2
    played_discord.advance(6 * 60)  # by then Discord has forgotten it
    await raw("POST", path, body | {"enforce_nonce": True})
    assert len(played_discord.messages(general)) == 3


async def test_upstream_errors_have_no_json_and_codes_have(
    played_discord: PlayedDiscord, general: Channel, raw: Raw
) -> None:
    played_discord.fail_next("* /channels/*", 502)
    played_discord.fail_next("* /channels/*", 403, 50001)
    path = f"/channels/{general.id}"
    assert await raw("GET", path) == (502, "<html>upstream</html>")
    assert await raw("GET", path) == (403, {"message": "Missing Access", "code": 50001})
    assert (await raw("GET", path))[0] == 200


async def test_a_held_request_has_no_effect_until_it_is_released(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    client.on = defer_and_edit
    hold = played_discord.hold(ORIGINAL)
    asked = await played_discord.slash(ana, general, "imagine", prompt="x")
    await asked.acknowledged()
    await played_discord.until(lambda: hold.waiting == 1)
    assert played_discord.thinking == [asked.original]
    hold.release()
    assert (await asked.answer()).text == "done"


@pytest.mark.parametrize("how", ["expired", "unknown", "fifteen minutes"])
async def test_after_its_token_an_interaction_takes_no_more(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member, how: str
) -> None:
    client = await start()
    met: list[int] = []
    acknowledged, dead, tried = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(interaction: Interaction) -> None:
        await interaction.response.defer()
        acknowledged.set()
        await dead.wait()
        try:
            await interaction.edit_original_response(content="done")
        except discord.HTTPException as error:
            met.append(error.code)
        tried.set()

    client.on = slow
    asked = await played_discord.slash(ana, general, "imagine", prompt="x")
    await acknowledged.wait()
    if how == "fifteen minutes":
        played_discord.advance(15 * 60)
    else:
        played_discord.expire_token(asked, 50027 if how == "expired" else 10015)
    dead.set()
    await tried.wait()
    assert met == [10015 if how == "unknown" else 50027]
    assert played_discord.requests[-1].status == (404 if how == "unknown" else 401)
    assert played_discord.thinking == [asked.original]


async def test_what_is_deleted_is_unknown(
    played_discord: PlayedDiscord, general: Channel, ana: Member, raw: Raw
) -> None:
    message = await played_discord.say(ana, general, "hello")
    path = f"/channels/{general.id}/messages/{message.id}"
    assert (await raw("GET", path))[0] == 200
    assert (await raw("PATCH", path, {"content": "x"}))[1]["code"] == 50005
    played_discord.delete_message(message)
    assert (await raw("GET", path))[1]["code"] == 10008
    played_discord.delete_channel(general)
    assert (await raw("GET", path))[1]["code"] == 10003
    assert not played_discord.messages(general)


async def test_permissions_taken_in_a_channel_are_missed(
    played_discord: PlayedDiscord, cats: Guild, general: Channel, raw: Raw
) -> None:
    me = cats.members[played_discord.application_id]
    path, body = f"/channels/{general.id}/messages", {"content": "x"}
    form = aiohttp.FormData()
    form.add_field("payload_json", '{"attachments": [{"id": 0}]}')
    form.add_field("files[0]", b"x", filename="x.txt")
    general.denied[me.roles[0].id] = ATTACH_FILES
    assert (await raw("POST", path, body))[0] == 200
    assert (await raw("POST", path, data=form))[1]["code"] == 50013
    general.denied[me.roles[0].id] = SEND_MESSAGES
    assert (await raw("POST", path, body))[1]["code"] == 50013
    general.denied[cats.everyone.id] = VIEW_CHANNEL
    assert (await raw("POST", path, body))[1]["code"] == 50001
