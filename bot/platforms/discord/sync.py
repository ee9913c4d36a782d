"""Tells Discord which commands there are, only where it knows others.

Discord allows 200 new commands a day and shows a changed command late, so what it has is asked for
first and compared. Nothing is kept on our side: whoever else changed the list, it is put right at
the next start. Used by `platform`, beside the gateway: members may go on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import discord
import structlog
from discord.http import Route

from bot.platforms.discord.declare import Payload

log = structlog.get_logger(__name__)

RETRY_S: Final = (5.0, 30.0, 120.0, 600.0)
FEW: Final = 10
"""In so few communities, lists of a time when the commands were tried out there are looked for."""

_GLOBAL_ONLY: Final = ("contexts", "integration_types")  # no keys of a community's own list
_KEPT: Final = frozenset(
    {
        *("type", "name", "name_localizations", "description", "description_localizations"),
        *("options", "required", "autocomplete", "choices", "value", "channel_types"),
        *("min_value", "max_value", "min_length", "max_length"),
        *("contexts", "integration_types", "default_member_permissions", "nsfw"),
    }
)
_UNORDERED: Final = frozenset({"contexts", "integration_types"})


class Sync:
    """Brings Discord's lists of commands in line with ours."""

    def __init__(self, commands: Sequence[Payload], communities: Sequence[int] = ()) -> None:
        """`commands` as declared; with `communities`, those alone are offered them."""
        self._commands, self._communities = list(commands), tuple(communities)
        self._tidy = False

    async def run(self, client: discord.Client) -> None:
        """Everything there is to be told, with patience. A list that Discord refuses is logged and
        left: the commands of before go on working. Raises nothing but cancellation."""
        everywhere = [] if self._communities else self._commands
        await self._patiently(client, everywhere, None)
        for guild_id in self._communities:
            await self._patiently(client, self._commands, guild_id)

    async def tidy(self, client: discord.Client) -> None:
        """Where the commands are offered everywhere, take back what was once offered to single
        communities: their members would see each command twice. Once is enough."""
        if self._communities or self._tidy or len(client.guilds) > FEW:
            return
        self._tidy = True
        for guild in client.guilds:
            await self._patiently(client, [], guild.id)

    async def _patiently(
        self, client: discord.Client, wanted: Sequence[Payload], guild_id: int | None
    ) -> None:
        for wait_s in (*RETRY_S, None):
            try:
                await self._bring(client, wanted, guild_id)
            except (discord.DiscordServerError, aiohttp.ClientError, TimeoutError) as error:
                log.warning("the commands could not be compared", error=repr(error))
            except discord.HTTPException as error:
                log.error(
                    "Discord refuses the commands; those of before stay",
                    community=guild_id,
                    code=error.code,
                    error=str(error),
                )
                return
            else:
                return
            if wait_s is not None:
                await asyncio.sleep(wait_s)

    async def _bring(
        self, client: discord.Client, wanted: Sequence[Payload], guild_id: int | None
    ) -> None:
        route = _path(guild_id)
        where: dict[str, Any] = {"application_id": client.application_id}
        if guild_id is not None:
            where["guild_id"] = guild_id
            wanted = [{k: v for k, v in one.items() if k not in _GLOBAL_ONLY} for one in wanted]
        known = await client.http.request(
            Route("GET", route, **where), params={"with_localizations": "true"}
        )
        if same(wanted, known, ignoring=() if guild_id is None else _GLOBAL_ONLY):
            return
        await client.http.request(Route("PUT", route, **where), json=list(wanted))
        log.info("Discord knows the commands", commands=len(wanted), community=guild_id)


def same(
    ours: Iterable[Mapping[str, Any]],
    theirs: Iterable[Mapping[str, Any]],
    *,
    ignoring: Iterable[str] = (),
) -> bool:
    """Whether two lists declare the same commands, whatever their order and whatever Discord adds
    (ids, versions, defaults written out)."""

    def by_name(commands: Iterable[Mapping[str, Any]]) -> dict[tuple[int, str], Any]:
        return {
            (one.get("type") or 1, one["name"]): _plain(
                {key: value for key, value in one.items() if key not in ignoring}
            )
            for one in commands
        }

    return by_name(ours) == by_name(theirs)


def _path(guild_id: int | None) -> str:
    place = "" if guild_id is None else "/guilds/{guild_id}"
    return f"/applications/{{application_id}}{place}/commands"


def _plain(value: Any, key: str = "") -> Any:
    """What was declared, without what is there by default anyway."""
    if isinstance(value, Mapping):
        localized = key.endswith("_localizations")
        parts = {
            name: _plain(part, name) for name, part in value.items() if localized or name in _KEPT
        }
        return {name: part for name, part in parts.items() if not _default(name, part)}
    if isinstance(value, list | tuple):
        parts_of = [_plain(part) for part in value]
        return sorted(parts_of) if key in _UNORDERED else parts_of
    # A number of permissions comes back as a string: too large for some JSON readers.
    return str(value) if key == "default_member_permissions" and value is not None else value


def _default(name: str, part: Any) -> bool:
    if name == "value":
        return False
    return part is None or part is False or part == "" or part == [] or part == {}
