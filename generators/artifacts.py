"""Where media lie: a content-addressed store behind a small port. No torch; used by all rooms.

People never fetch by hash: the gateway hands out artifact ids and checks permission first.
"""

from __future__ import annotations

from typing import Protocol


class ArtifactMissing(LookupError):
    """No bytes are stored under this key."""


class ArtifactStore(Protocol):
    """Bytes by content hash. Every put names its owner account, for deletion and later encryption.

    An implementer must not overwrite (equal keys are equal bytes), must make a put visible whole or
    not at all, and must do file work outside the event loop's thread.
    """

    async def put(self, data: bytes, *, owner: str) -> str:
        """Store the bytes for this owner; returns their key (hex SHA-256). Idempotent."""
        ...

    async def get(self, key: str) -> bytes:
        """The bytes. Raises ArtifactMissing."""
        ...

    async def forget(self, key: str, *, owner: str) -> None:
        """Drop this owner's claim; bytes without an owner left are erased. Idempotent."""
        ...
