"""Links to one thing that was made, for places that cannot hold it: a file too large for a chat.

A link opens what it names for as long as it lasts, with the eyes of the member it is for: what
they delete, or may no longer see, it does not show either. Made by platforms, opened by the web.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from bot.core.chat import Origin
from bot.core.signing import Signer

if TYPE_CHECKING:
    from bot.core.domain import Artifact
    from bot.services import Services

LASTS: Final = timedelta(days=30)
_PURPOSE: Final = "shared"


def token(signer: Signer, viewer: Origin, artifact_id: str, now: datetime) -> str:
    """What names the artifact in a link, and who may see it; URL-safe, about 200 characters. It is
    signed, not secret: whoever has it may look."""
    value = [
        *(viewer.platform, viewer.community_external_id, viewer.identity_external_id),
        *(int(viewer.personal), artifact_id),
    ]
    compact = json.dumps(value, separators=(",", ":"))
    return signer.sign(compact, _PURPOSE, expires_at=now + LASTS)


async def opened(services: Services, token: str) -> tuple[Artifact, bytes]:
    """The artifact and its bytes. Raises NotAllowed for a link that is forged or too old, NotFound
    where the member may not see it (any more), ArtifactMissing where the bytes are gone."""
    value = json.loads(services.signer.unsign(token, _PURPOSE, now=services.clock()))
    platform, community, identity, personal, artifact_id = value
    viewer = Origin(
        platform=platform,
        community_external_id=community,
        personal=bool(personal),
        identity_external_id=identity,
        display_name="",
    )
    return await services.jobs.artifact_for(viewer, artifact_id)
