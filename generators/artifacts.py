"""Where media lie: a content-addressed store behind a small port. No torch; used by all rooms.

People never fetch by hash: the gateway hands out artifact ids and checks permission first.
`open_store` gives a folder for a path and any fsspec file system for a URL (`s3://bucket/path`,
`memory://name`).
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

_KEY = re.compile(r"[0-9a-f]{64}")


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


def open_store(url: str) -> ArtifactStore:
    """The store at a folder path, a `file://` URL or any other fsspec URL."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return FolderStore(Path(url))
    if scheme == "file":
        return FolderStore(Path(rest))
    return FsspecStore(url)


class FolderStore:
    """A folder: `ab/cd/<key>` holds the bytes, `ab/cd/<key>.owners/` one empty file per claim.

    Bytes are written beside their place and renamed, so a `kill -9` leaves either nothing or all of
    them (and at worst a `.part` file, which nobody reads). A claim is made before the bytes appear:
    a crash between the two leaves a claim on nothing, never bytes that no deletion would find.
    A lock per fan-out folder, held by the kernel and so freed by any death, keeps a put from
    claiming what a forget is erasing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, data: bytes, *, owner: str) -> str:
        return await asyncio.to_thread(self._put, data, owner)

    async def get(self, key: str) -> bytes:
        return await asyncio.to_thread(self._get, key)

    async def forget(self, key: str, *, owner: str) -> None:
        await asyncio.to_thread(self._forget, key, owner)

    def _place(self, key: str) -> Path:
        return self._root / key[:2] / key[2:4] / key

    def _put(self, data: bytes, owner: str) -> str:
        key = hashlib.sha256(data).hexdigest()
        place = self._place(key)
        claims = place.with_name(f"{key}.owners")
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(place.parent):
            claims.mkdir(exist_ok=True)
            (claims / _owner_name(owner)).touch()
            if not place.exists():
                _write_whole(place, data)
        return key

    def _get(self, key: str) -> bytes:
        try:
            return self._place(_checked(key)).read_bytes()
        except FileNotFoundError:
            raise ArtifactMissing(key) from None

    def _forget(self, key: str, owner: str) -> None:
        if not _KEY.fullmatch(key):
            return
        place = self._place(key)
        claims = place.with_name(f"{key}.owners")
        if not place.parent.is_dir():
            return
        with _locked(place.parent):
            (claims / _owner_name(owner)).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                if any(claims.iterdir()):
                    return
                # Bytes first: a crash here leaves an empty claims folder, never unclaimed bytes.
                place.unlink(missing_ok=True)
                claims.rmdir()


class FsspecStore:
    """Any fsspec file system. It has no locks, so a put writes its bytes after its claim every
    time, and a forget looks for claims once more right before it erases."""

    def __init__(self, url: str) -> None:
        import fsspec  # heavy for those who keep a folder

        self._files: Any
        self._files, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")

    async def put(self, data: bytes, *, owner: str) -> str:
        return await asyncio.to_thread(self._put, data, owner)

    async def get(self, key: str) -> bytes:
        return await asyncio.to_thread(self._get, key)

    async def forget(self, key: str, *, owner: str) -> None:
        await asyncio.to_thread(self._forget, key, owner)

    def _place(self, key: str) -> str:
        return f"{self._root}/{key[:2]}/{key[2:4]}/{key}"

    def _put(self, data: bytes, owner: str) -> str:
        key = hashlib.sha256(data).hexdigest()
        place = self._place(key)
        # Object stores know no folders; others need them, and making one twice is no error.
        self._files.makedirs(f"{place}.owners", exist_ok=True)
        self._files.pipe_file(f"{place}.owners/{_owner_name(owner)}", b"1")
        self._files.pipe_file(place, data)
        return key

    def _get(self, key: str) -> bytes:
        try:
            return bytes(self._files.cat_file(self._place(_checked(key))))
        except FileNotFoundError:
            raise ArtifactMissing(key) from None

    def _forget(self, key: str, owner: str) -> None:
        if not _KEY.fullmatch(key):
            return
        place = self._place(key)
        with suppress(FileNotFoundError):
            self._files.rm_file(f"{place}.owners/{_owner_name(owner)}")
        if self._claims(place):
            return
        with suppress(FileNotFoundError):
            self._files.rm_file(place)
        with suppress(FileNotFoundError, OSError):
            self._files.rmdir(f"{place}.owners")

    def _claims(self, place: str) -> list[Any]:
        self._files.invalidate_cache()
        try:
            return list(self._files.ls(f"{place}.owners", detail=False))
        except FileNotFoundError:
            return []


def _checked(key: str) -> str:
    # A key becomes part of a path: whatever is not a hash is simply not there.
    if not _KEY.fullmatch(key):
        raise ArtifactMissing(key)
    return key


def _owner_name(owner: str) -> str:
    return hashlib.sha256(owner.encode()).hexdigest()[:32]


def _write_whole(place: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f"{place.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
