"""The gateway of the played Discord under the real client: every way a connection ends."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import discord
import pytest
from discord.http import Route
from discord_server import Channel, Guild, Member, PlayedDiscord
from discord_server.gateway import Gateway
from played_bot import Bot, Start, run


def gateway(discord_: PlayedDiscord) -> Gateway:
    return discord_.server.gateway


async def answer_ok(interaction: discord.Interaction[Any]) -> None:
    await interaction.response.send_message("ok")


async def test_what_happened_while_the_line_was_cut_is_replayed_on_resume(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    client.on = answer_ok
    played_discord.drop_gateway()
    asked = await played_discord.slash(ana, general, "imagine", prompt="x")
    await played_discord.until(lambda: gateway(played_discord).resumes == 1, what="a resume")
    assert (await asked.answer()).text == "ok"
    assert len(gateway(played_discord).identifies) == 1
    assert "RESUMED" in client.heard


@pytest.mark.parametrize("how", ["close", "reconnect", "invalid but resumable"])
async def test_a_client_resumes_where_it_may(
    played_discord: PlayedDiscord, start: Start, how: str
) -> None:
    await start()
    if how == "close":
        await played_discord.close_gateway(4000)
    elif how == "reconnect":
        played_discord.ask_to_reconnect()
    else:
        played_discord.invalidate_sessions(resumable=True)
    await played_discord.until(lambda: gateway(played_discord).resumes == 1, what="a resume")
    assert len(gateway(played_discord).identifies) == 1


async def test_an_invalidated_session_is_identified_anew(
    played_discord: PlayedDiscord, start: Start
) -> None:
    client = await start()
    client.heard.clear()
    played_discord.invalidate_sessions()
    identifies = gateway(played_discord).identifies
    await played_discord.until(lambda: len(identifies) == 2, what="a second IDENTIFY")
    assert "RESUMED" not in client.heard


async def test_a_revoked_token_ends_the_client_and_every_request(
    played_discord: PlayedDiscord, start: Start, ana: Member
) -> None:
    client = await start()
    await played_discord.revoke_token()
    await asyncio.wait_for(client.over.wait(), 20)
    assert isinstance(client.ended, discord.ConnectionClosed)
    assert client.ended.code == 4004
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bot {played_discord.token}"}
        url = played_discord.api_base + "/users/@me"
        async with session.get(url, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (401, 0)
    assert played_discord.invalid_requests == 1


async def test_privileged_intents_are_refused(
    played_discord: PlayedDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Route, "BASE", played_discord.api_base)
    client = Bot()
    client._connection._intents = discord.Intents(guilds=True, message_content=True)
    await asyncio.wait_for(run(client, played_discord.token), 20)
    assert isinstance(client.ended, discord.PrivilegedIntentsRequired)
    assert played_discord.forgive("message content")


async def test_guilds_are_announced_left_and_lost_for_a_while(
    played_discord: PlayedDiscord, start: Start, cats: Guild, general: Channel
) -> None:
    client = await start()
    await played_discord.until(lambda: client.get_guild(int(cats.id)), what="GUILD_CREATE")
    dogs = played_discord.guild("Dogs", locale="zh-CN")
    heard = ["READY", "GUILD_CREATE", "GUILD_CREATE"]
    played_discord.outage(dogs)
    played_discord.recover(dogs)
    played_discord.kick(cats)
    heard += ["GUILD_DELETE", "GUILD_CREATE", "GUILD_DELETE"]
    with pytest.raises(discord.NotFound) as refused:
        await client.http.get_channel(int(general.id))
    assert refused.value.code == 10003
    assert client.heard == heard
    assert [guild.name for guild in client.guilds] == ["Dogs"]


async def test_each_shard_hears_of_its_own_guilds_only(
    played_discord: PlayedDiscord, start: Start
) -> None:
    gateway(played_discord).shards = 3
    guilds = [played_discord.guild(f"Guild {i}") for i in range(5)]
    channels = [played_discord.channel(guild) for guild in guilds]
    client = await start()
    client.on = answer_ok
    assert sorted(i["shard"] for i in gateway(played_discord).identifies) == [
        [0, 3],
        [1, 3],
        [2, 3],
    ]
    asked = [
        await played_discord.slash(played_discord.member(g), c, "imagine", prompt="x")
        for g, c in zip(guilds, channels, strict=True)
    ]
    assert [(await each.answer()).text for each in asked] == ["ok"] * 5
    assert client.heard.count("INTERACTION_CREATE") == 5
    assert {g.shard_id for g in client.guilds} <= {0, 1, 2}


async def test_without_its_intent_the_bot_hears_nothing_of_messages(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    await played_discord.say(ana, general, "hello")
    client.on = answer_ok
    await (await played_discord.slash(ana, general, "imagine", prompt="x")).answer()
    assert "MESSAGE_CREATE" not in client.heard
    assert played_discord.intents == discord.Intents(guilds=True).value


async def test_frames_by_hand_are_refused_with_discords_close_codes(
    played_discord: PlayedDiscord,
) -> None:
    async def code_after(*frames: dict[str, Any]) -> int | None:
        url = played_discord.server.gateway_url + "?v=10&encoding=json"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            assert (await socket.receive_json())["op"] == 10
            for frame in frames:
                await socket.send_json(frame)
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            return socket.close_code

    good = {"token": played_discord.token, "intents": 1}
    assert await code_after({"op": 3, "d": {}}) == 4003
    assert await code_after({"op": 2, "d": good | {"token": "x"}}) == 4004
    assert await code_after({"op": 2, "d": good}, {"op": 2, "d": good}) == 4005
    assert await code_after({"op": 2, "d": good | {"shard": [2, 2]}}) == 4010
    assert await code_after({"op": 2, "d": good}, {"op": 77, "d": {}}) == 4001
    assert await code_after({"op": 2, "d": good | {"intents": 1 << 30}}) == 4013
    assert await code_after(*[{"op": 1, "d": None}] * 121) == 4008
    assert played_discord.forgive("intents")
    assert played_discord.forgive("120 gateway events in a minute")


async def test_members_are_not_asked_for_and_identifying_is_metered(
    played_discord: PlayedDiscord, start: Start
) -> None:
    gateway(played_discord).max_concurrency = 1
    client = await start()
    await client.shards[0]._parent.ws.request_chunks(1, query="", limit=0)
    url = played_discord.server.gateway_url + "?v=10&encoding=json"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json()
        await socket.send_json({"op": 2, "d": {"token": played_discord.token, "intents": 1}})
        assert (await socket.receive_json())["op"] == 9
    assert played_discord.forgive("members were asked for")
    assert played_discord.forgive("more than 1 IDENTIFY in five seconds")
