"""From media to stored artifacts: what a supervisor does with a model's output. No torch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from generators.artifacts import ArtifactStore
from generators.contract import Media
from generators.engine.port import ArtifactRef

TRIES = 5
_FIRST_PAUSE_S = 0.2


async def keep(
    store: ArtifactStore, media: Sequence[Media], *, owner: str
) -> tuple[ArtifactRef, ...]:
    """Store the media for this owner, in order; a store that is away is tried again for a few
    seconds. Raises the last OSError."""
    for attempt in range(TRIES):
        try:
            keys = await asyncio.gather(*(store.put(item.data, owner=owner) for item in media))
            break
        except OSError:
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
    return tuple(
        ArtifactRef(
            key=key,
            mime=item.mime,
            size_bytes=len(item.data),
            role=item.role,
            facts=dict(item.facts),
        )
        for key, item in zip(keys, media, strict=True)
    )
