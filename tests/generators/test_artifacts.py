"""One contract suite for every artifact store, and what only the folder must stand."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from generators.artifacts import ArtifactMissing, ArtifactStore, FolderStore, open_store

HOUSE = Path(__file__).parents[2]


@pytest.fixture(params=["folder", "file://", "memory://"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    urls = {
        "folder": str(tmp_path / "artifacts"),
        "file://": f"file://{tmp_path / 'artifacts'}",
        "memory://": f"memory://{uuid4().hex}",
    }
    return open_store(urls[request.param])


async def test_bytes_come_back_by_their_hash(store: ArtifactStore) -> None:
    for data in (b"", b"a picture", os.urandom(100_000)):
        key = await store.put(data, owner="ann")
        assert key == hashlib.sha256(data).hexdigest()
        assert await store.get(key) == data


async def test_what_is_not_there_is_missing(store: ArtifactStore) -> None:
    for key in ("0" * 64, "", "../../etc/passwd", "A" * 64, "0" * 63):
        with pytest.raises(ArtifactMissing):
            await store.get(key)
        await store.forget(key, owner="ann")


async def test_putting_twice_changes_nothing(store: ArtifactStore) -> None:
    keys = {await store.put(b"x", owner="ann") for _ in range(2)}
    assert len(keys) == 1
    assert await store.get(keys.pop()) == b"x"


async def test_bytes_are_erased_with_their_last_owner(store: ArtifactStore) -> None:
    key = await store.put(b"shared", owner="ann")
    await store.put(b"shared", owner="ben")
    await store.forget(key, owner="ann")
    await store.forget(key, owner="ann")
    await store.forget(key, owner="stranger")
    assert await store.get(key) == b"shared"
    await store.forget(key, owner="ben")
    with pytest.raises(ArtifactMissing):
        await store.get(key)
    await store.forget(key, owner="ben")
    assert await store.put(b"shared", owner="ann") == key
    assert await store.get(key) == b"shared"


async def test_owners_may_have_any_name(store: ArtifactStore) -> None:
    key = await store.put(b"x", owner="../ann/\x00 🙂")
    await store.forget(key, owner="../ann/\x00 🙂")
    with pytest.raises(ArtifactMissing):
        await store.get(key)


async def test_many_hands_at_once(store: ArtifactStore) -> None:
    owners = [f"owner {number}" for number in range(12)]
    [key] = set(await asyncio.gather(*(store.put(b"common", owner=owner) for owner in owners)))
    await asyncio.gather(*(store.forget(key, owner=owner) for owner in owners[1:]))
    assert await store.get(key) == b"common"


async def test_the_folder_keeps_no_claim_and_no_bytes_of_a_person_who_is_gone(
    tmp_path: Path,
) -> None:
    store = FolderStore(tmp_path)
    for number in range(3):
        await store.forget(await store.put(str(number).encode(), owner="ann"), owner="ann")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_put_and_a_forget_never_lose_the_other_owners_bytes(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for _ in range(50):
        key = await store.put(b"contested", owner="ann")
        await asyncio.gather(store.forget(key, owner="ann"), store.put(b"contested", owner="ben"))
        assert await store.get(key) == b"contested"
        await store.forget(key, owner="ben")


PUTTER = """
import asyncio, os, sys
from pathlib import Path
from generators.artifacts import FolderStore
async def main():
    store = FolderStore(Path(sys.argv[1]))
    while True:
        print(await store.put(os.urandom(300_000), owner="ann"), flush=True)
asyncio.run(main())
"""


@pytest.mark.kill
async def test_a_kill_leaves_whole_bytes_or_none(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(3):
        putter = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PUTTER, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=HOUSE
        )
        assert putter.stdout is not None
        told += [(await putter.stdout.readline()).decode().strip() for _ in range(5)]
        putter.send_signal(signal.SIGKILL)
        told += (await putter.stdout.read()).decode().split()
        await putter.wait()
    store = FolderStore(tmp_path)
    for key in told:
        assert hashlib.sha256(await store.get(key)).hexdigest() == key
    for path in tmp_path.rglob("*"):
        if path.is_file() and len(path.name) == 64:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
