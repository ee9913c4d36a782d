"""Every rule about emoji, stickers and sounds, proven by one that breaks it."""

from __future__ import annotations

import base64
import io
from typing import Any

import aiohttp
import av
import numpy as np
import pytest
from discord_server import Guild, PlayedDiscord
from PIL import Image
from played_bot import Raw, picture


def uri(data: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def noise(side: int) -> bytes:
    """A PNG that does not compress."""
    out = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def ogg(seconds: float) -> bytes:
    """A tone as OGG/Vorbis."""
    out = io.BytesIO()
    rate = 24_000
    wave = np.sin(np.arange(int(rate * seconds)) / 20).astype(np.float32)[None]
    with av.open(out, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave, format="flt", layout="mono")
        frame.sample_rate = rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return out.getvalue()


def sticker(data: bytes, **changes: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for key, value in ({"name": "heart", "tags": "❤", "description": ""} | changes).items():
        form.add_field(key, value)
    form.add_field("file", io.BytesIO(data), filename="s.png", content_type="image/png")
    return form


def gif(seconds: int) -> bytes:
    out = io.BytesIO()
    frames = [Image.new("P", (320, 320), colour) for colour in range(seconds)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=1000)
    return out.getvalue()


EMOJI: list[tuple[dict[str, Any], int, str]] = [
    ({"name": "h", "image": uri(picture())}, 50035, "name"),
    ({"name": "he-art", "image": uri(picture())}, 50035, "2 to 32 letters"),
    ({"name": "heart", "image": "aGk="}, 50035, "carries no data"),
    ({"name": "heart", "image": uri(noise(400))}, 50045, "allowed are 262144"),
    ({"name": "heart", "image": uri(b"no picture")}, 50046, "is no PNG, JPEG"),
    ({"name": "heart", "image": uri(picture(), "image/gif")}, 50035, "says image/gif and is PNG"),
]


@pytest.mark.parametrize(("body", "code", "sentence"), EMOJI, ids=lambda part: str(part)[:50])
async def test_an_emoji_that_discord_refuses(
    played_discord: PlayedDiscord,
    cats: Guild,
    raw: Raw,
    body: dict[str, Any],
    code: int,
    sentence: str,
) -> None:
    status, answer = await raw("POST", f"/guilds/{cats.id}/emojis", body)
    assert (status, answer["code"]) == (400, code)
    assert played_discord.forgive(sentence)
    assert not cats.emojis


@pytest.mark.parametrize(
    ("data", "changes", "code", "sentence"),
    [
        (picture(319), {}, 50046, "is 319x319, not 320x320"),
        (picture(320, "WEBP"), {}, 50046, "is no PNG, APNG or GIF"),
        (noise(420), {}, 50045, "allowed are 524288"),
        (gif(6), {}, 50046, "lasts 6.0 s, at most 5.0"),
        (picture(320), {"description": "x"}, 50035, "description of 1 characters"),
        (picture(320), {"name": "x"}, 50035, "name"),
        (picture(320), {"tags": ""}, 50035, "tags"),
        (b"", {}, 50035, "carries no data"),
    ],
    ids=lambda part: str(part)[:40],
)
async def test_a_sticker_that_discord_refuses(
    played_discord: PlayedDiscord,
    cats: Guild,
    raw: Raw,
    data: bytes,
    changes: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    form = sticker(data, **changes)
    status, answer = await raw("POST", f"/guilds/{cats.id}/stickers", data=form)
    assert (status, answer["code"]) == (400, code)
    assert played_discord.forgive(sentence)
    assert not cats.stickers


async def test_sounds_are_short_small_and_mp3_or_ogg(
    played_discord: PlayedDiscord, cats: Guild, raw: Raw
) -> None:
    path = f"/guilds/{cats.id}/soundboard-sounds"

    async def code(sound: str, **changes: Any) -> int:
        _, answer = await raw("POST", path, {"name": "ding", "sound": sound} | changes)
        return int(answer.get("code", 0))

    assert await code(uri(ogg(5.0), "audio/ogg"), volume=0.5, emoji_name="🔔") == 0
    assert await code(uri(ogg(5.5), "audio/ogg")) == 50046
    assert played_discord.forgive("s, at most 5.2")
    assert await code(uri(b"RIFF1234", "audio/wav")) == 50046
    assert played_discord.forgive("is neither MP3 nor OGG")
    assert await code(uri(b"OggS" + b"x" * 512_000, "audio/ogg")) == 50045
    assert played_discord.forgive("allowed are 512000")
    assert await code(uri(ogg(1.0), "audio/ogg"), volume=1.5) == 50035
    assert played_discord.forgive("volume")
    _, listed = await raw("GET", path)
    assert [sound["emoji_name"] for sound in listed["items"]] == ["🔔"]
    assert (await raw("DELETE", f"{path}/{listed['items'][0]['sound_id']}"))[0] == 204


async def test_places_run_out_and_rights_are_needed(
    played_discord: PlayedDiscord, raw: Raw
) -> None:
    guild = played_discord.guild("Boosted", premium_tier=1)
    path = f"/guilds/{guild.id}/stickers"
    for _ in range(15):
        assert (await raw("POST", path, data=sticker(picture(320))))[0] == 201
        played_discord.advance(1)
    _, refused = await raw("POST", path, data=sticker(picture(320)))
    assert (refused["code"], refused["message"][-4:]) == (30039, "(15)")
    bare = played_discord.guild("Bare", bot_permissions=0)
    emoji = {"name": "heart", "image": uri(picture())}
    assert (await raw("POST", f"/guilds/{bare.id}/emojis", emoji))[1]["code"] == 50013
