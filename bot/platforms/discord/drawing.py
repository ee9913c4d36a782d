"""From a reply to a message: its files fetched and made to fit, then drawn. Used by `courier`."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from bot.core.chat import Origin, Reply, Text
from bot.core.ports import Clock
from bot.core.signing import Signer
from bot.platforms.discord import expressions
from bot.platforms.discord.message import Message, Place
from bot.platforms.discord.packing import Luggage, Packed, pack
from bot.platforms.discord.rendering import draw
from bot.services import sharing
from generators.artifacts import ArtifactStore

log = structlog.get_logger(__name__)

_NOT_SHOWN = Text(
    en="Discord did not take the rest of this answer. It stays in /history.",
    zh="Discord 未能显示其余内容，可在 /history 中找到。",
)


class Drawing:
    """Draws replies with what the artifact store holds, and with Discord's own buttons."""

    def __init__(
        self, store: ArtifactStore, signer: Signer, clock: Clock, gallery_url: str = ""
    ) -> None:
        """`gallery_url`: the address of the web studio for people, empty where there is none."""
        self._store, self._signer, self._clock = store, signer, clock
        self._gallery_url = gallery_url.rstrip("/")

    def place(
        self,
        locale: str,
        limit_bytes: int,
        *,
        others: bool,
        guild: str | None = None,
        identity: str = "",
    ) -> Place:
        """Where a message is going to be; see `message.Place`. `guild` and `identity` say whose
        eyes a link to the web studio opens things with."""
        viewer = Origin(
            platform="discord",
            community_external_id=guild or identity,
            personal=guild is None,
            identity_external_id=identity,
            display_name="",
        )

        def link(artifact_id: str) -> str:
            token = sharing.token(self._signer, viewer, artifact_id, self._clock())
            return f"{self._gallery_url}/shared/{token}"

        return Place(locale, limit_bytes, others, link if self._gallery_url else None)

    async def draw(
        self,
        reply: Reply,
        place: Place,
        *,
        mention: str = "",
        note: str = "",
        kept: Mapping[str, Packed] | None = None,
    ) -> Message:
        """The reply as a message, files included; see `rendering.draw`. `kept`: the files that the
        message to be edited has, by stem."""
        luggage = await pack(self._store, reply, place.limit_bytes, kept=kept)
        more = expressions.rows(self._signer, reply.media, place.locale)
        return draw(reply, luggage, place, mention=mention, note=note, more_rows=more)

    def plain(self, reply: Reply, place: Place, *, mention: str = "", note: str = "") -> Message:
        """The reply without its files and cards, where Discord found fault with those: title,
        words and buttons, and where the rest is."""
        words = [reply.text, _NOT_SHOWN.in_(place.locale) if reply.media or reply.cards else ""]
        bare = Reply(
            title=reply.title,
            text="\n".join(one for one in words if one),
            error=reply.error,
            fields=reply.fields,
            buttons=reply.buttons,
        )
        return draw(bare, Luggage(), place, mention=mention, note=note)
