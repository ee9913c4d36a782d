"""Interactions over HTTP: signed as RFC 8032 says, refused where the endpoint verifies nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import MultipartWriter, web
from discord_server import Channel, Member, PlayedDiscord
from discord_server.http_interactions import HttpInteractions
from discord_server.signing import SigningKey
from played_bot import IMAGINE, Raw, picture

VECTORS = (  # RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
)


@pytest.mark.parametrize(("seed", "public", "message", "signature"), VECTORS)
def test_signatures_are_those_of_the_standard(
    seed: str, public: str, message: str, signature: str
) -> None:
    key = SigningKey(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature


class Endpoint:
    """A bot behind a URL; Ed25519 is deterministic, so that signing again is verifying."""

    def __init__(self, http: HttpInteractions) -> None:
        self._key = http._key
        self.verifies = True
        self.answers: Any = {"type": 4, "data": {"content": "hello"}}

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        signed = self._key.sign(request.headers["X-Signature-Timestamp"].encode() + raw).hex()
        if self.verifies and request.headers["X-Signature-Ed25519"] != signed:
            return web.Response(status=401)
        if json.loads(raw)["type"] == 1:
            return web.json_response({"type": 1})
        if isinstance(self.answers, int):
            return web.Response(status=self.answers)
        if isinstance(self.answers, MultipartWriter):
            return web.Response(body=self.answers, headers=self.answers.headers)
        return web.json_response(self.answers)


@pytest.fixture
async def endpoint(played_discord: PlayedDiscord) -> AsyncIterator[tuple[Endpoint, str]]:
    endpoint = Endpoint(played_discord.server.http)
    app = web.Application()
    app.router.add_post("/discord/interactions", endpoint.take)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield endpoint, f"http://127.0.0.1:{runner.addresses[0][1]}/discord/interactions"
    await runner.cleanup()


async def test_a_url_that_verifies_nothing_is_not_accepted(
    played_discord: PlayedDiscord, endpoint: tuple[Endpoint, str]
) -> None:
    bot, url = endpoint
    bot.verifies = False
    with pytest.raises(AssertionError, match="forged signature was answered with 200"):
        await played_discord.use_http(url)
    bot.verifies = True
    await played_discord.use_http(url)


async def test_the_bodys_answer_is_the_callback_and_later_ones_come_by_rest(
    played_discord: PlayedDiscord,
    endpoint: tuple[Endpoint, str],
    general: Channel,
    ana: Member,
    raw: Raw,
) -> None:
    bot, url = endpoint
    app = played_discord.application_id
    await raw("PUT", f"/applications/{app}/commands", [IMAGINE])
    await played_discord.use_http(url)
    asked = await played_discord.slash(ana, general, "imagine", prompt="x")
    assert (await asked.answer()).text == "hello"
    hook = f"/webhooks/{app}/{asked.token}/messages/@original"
    assert (await raw("PATCH", hook, {"content": "more"}, token=False))[0] == 200
    assert asked.history[-1]["content"] == "more"
    callback = f"/interactions/{asked.id}/{asked.token}/callback"
    assert (await raw("POST", callback, {"type": 5}, token=False))[1]["code"] == 40060
    assert played_discord.forgive("acknowledged a second time")

    form = MultipartWriter("form-data")
    part = form.append_json({"type": 4, "data": {"attachments": [{"id": 0}]}})
    part.set_content_disposition("form-data", name="payload_json")
    file = form.append(picture(), {"Content-Type": "image/png"})  # type: ignore[arg-type]
    file.set_content_disposition("form-data", name="files[0]", filename="heart.png")
    bot.answers = form
    asked = await played_discord.slash(ana, general, "imagine", prompt="x")
    assert (await asked.answer()).uploads[0].data == picture()


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (500, "answered over HTTP with 500"),
        ({"type": 4, "data": {"content": "x" * 2001}}, "over HTTP: "),
        ({"type": 8, "data": {"choices": []}}, "a callback of type 8 is not allowed here"),
    ],
)
async def test_what_the_body_may_not_be(
    played_discord: PlayedDiscord,
    endpoint: tuple[Endpoint, str],
    general: Channel,
    ana: Member,
    raw: Raw,
    answers: Any,
    sentence: str,
) -> None:
    bot, url = endpoint
    await raw("PUT", f"/applications/{played_discord.application_id}/commands", [IMAGINE])
    await played_discord.use_http(url)
    bot.answers = answers
    asked = await played_discord.slash(ana, general, "imagine", prompt="x")
    await played_discord.until(lambda: played_discord.broken_rules)
    assert played_discord.forgive(sentence)
    assert asked.acknowledgement is None
