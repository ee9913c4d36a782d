"""Whether Discord is set up so that the bot works: what `atelier doctor` asks Discord.

Four requests with the bot's token, none of which changes anything; no client library, so that the
doctor can also say that it is missing. The token is in no sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from bot.platforms.discord import invitation
from bot.platforms.discord.settings import INTERACTIONS_PATH, DiscordSettings

TIMEOUT_S: Final = 10.0
_MANY: Final = 200  # communities asked for: one page


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing found. `trouble`: "" where all is well, "note", or "bad"; `link`: to be opened."""

    name: str
    detail: str
    trouble: str = ""
    remedy: str = ""
    link: str = ""


class Unreachable(Exception):
    """Discord gave no usable answer; says why."""


class Refused(Exception):
    """Discord takes the token for none of its own."""


async def examine(settings: DiscordSettings, public_url: str = "") -> list[Remark]:
    """What is to be said of Discord. `public_url`: where the web server can be reached from
    outside, empty where it cannot."""
    if settings.token is None:
        return [_switched_off(settings)]
    headers = {"Authorization": f"Bot {settings.token.get_secret_value()}"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            ask = _Asking(session, settings.api_base.rstrip("/"))
            application = await ask.get("/applications/@me")
            bot = application.get("bot") or await ask.get("/users/@me")
            limits = (await ask.get("/gateway/bot"))["session_start_limit"]
            guilds = await ask.get(f"/users/@me/guilds?limit={_MANY}")
    except Refused:
        remedy = "Make a new one under “Bot” in the developer portal: ATELIER_DISCORD_TOKEN."
        return [Remark("discord", "the token was refused", "bad", remedy)]
    except (Unreachable, KeyError, TypeError) as error:
        detail = f"no usable answer ({error})"
        remedy = "Check the network, a proxy, and ATELIER_DISCORD_API_BASE."
        return [Remark("discord", detail, "bad", remedy)]
    return [
        Remark("discord", f"signed in as {bot.get('username', '?')}"),
        _interactions(settings, application, public_url, int(limits["remaining"])),
        _permissions(guilds),
        _invitation(application, len(guilds)),
    ]


def _switched_off(settings: DiscordSettings) -> Remark:
    if settings.public_key:
        remedy = "Set ATELIER_DISCORD_TOKEN too: answers are sent with it."
        return Remark("discord", "ATELIER_DISCORD_PUBLIC_KEY without a token", "bad", remedy)
    return Remark("discord", "switched off (no ATELIER_DISCORD_TOKEN)")


def _interactions(
    settings: DiscordSettings, application: Mapping[str, Any], public_url: str, starts: int
) -> Remark:
    """How commands reach us: over the gateway, or over HTTP."""
    name, portal = "discord commands", application.get("interactions_endpoint_url") or ""
    if settings.public_key:
        return _over_http(name, settings, application, portal, public_url)
    if portal:
        remedy = (
            "Clear “Interactions Endpoint URL” in the developer portal, or set "
            "ATELIER_DISCORD_PUBLIC_KEY to take them there."
        )
        return Remark(name, f"Discord sends them to {portal}, not to us", "bad", remedy)
    if starts <= 0:
        remedy = "Something connects again and again: stop it, and wait for a day."
        return Remark(name, "no connection to the gateway is allowed today", "bad", remedy)
    detail = f"over the gateway, no privileged intents needed, {starts} connections left today"
    return Remark(name, detail)


def _over_http(
    name: str,
    settings: DiscordSettings,
    application: Mapping[str, Any],
    portal: str,
    public_url: str,
) -> Remark:
    key = str(application.get("verify_key", ""))
    if key and key.lower() != settings.public_key.lower():
        remedy = "Copy “Public Key” from “General Information” into ATELIER_DISCORD_PUBLIC_KEY."
        return Remark(name, "the public key is another application's", "bad", remedy)
    ours = f"{public_url.rstrip('/') or 'https://your.address'}{INTERACTIONS_PATH}"
    if not portal:
        remedy = f"With the studio running, enter {ours} as “Interactions Endpoint URL”."
        return Remark(name, "Discord does not know our address yet", "note", remedy)
    if public_url and portal != ours:
        remedy = f"If that is not this studio, enter {ours} as “Interactions Endpoint URL”."
        return Remark(name, f"Discord sends them to {portal}", "note", remedy)
    return Remark(name, f"over HTTP, to {portal}")


def _permissions(guilds: list[Mapping[str, Any]]) -> Remark:
    """What the communities have granted, all channels' own rules aside."""
    name = "discord permissions"
    if not guilds:
        remedy = "Invite it with the link below."
        return Remark(name, "the bot is in no community yet", "note", remedy)
    for asked, trouble in ((invitation.NEEDED, "bad"), (invitation.WANTED, "note")):
        short = dict(_short_of(guilds, asked))
        if short:
            lacking = sorted({one for names in short.values() for one in names})
            detail = f"{invitation.named(short)} did not grant {', '.join(lacking)}"
            remedy = "Grant them to the bot's role there, or invite it again with the link below."
            return Remark(name, detail, trouble, remedy)
    return Remark(name, f"granted in all {len(guilds)} communities")


def _short_of(
    guilds: list[Mapping[str, Any]], asked: Mapping[str, int]
) -> Iterator[tuple[str, list[str]]]:
    for guild in guilds:
        lacking = invitation.missing(int(guild.get("permissions") or 0), asked)
        if lacking:
            yield str(guild.get("name", guild.get("id", "?"))), lacking


def _invitation(application: Mapping[str, Any], communities: int) -> Remark:
    some = f"{communities}{' or more' if communities >= _MANY else ''}"
    detail = f"in {some} {'community' if communities == 1 else 'communities'}"
    if application.get("bot_public") is False:
        detail += "; only you can invite it (“Public Bot” is off)"
    return Remark("discord invitation", detail, link=invitation.link(str(application["id"])))


class _Asking:
    """GET requests to Discord's API."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session, self._base = session, base

    async def get(self, path: str) -> Any:
        """The JSON of a path. Raises Refused and Unreachable."""
        try:
            async with self._session.get(self._base + path) as response:
                if response.status in {401, 403}:
                    raise Refused
                if response.status != 200:
                    raise Unreachable(f"{path.partition('?')[0]}: status {response.status}")
                return await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(type(error).__name__) from error
