"""Links from chats to what was too large for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from web_studio import ServedStudio, artifact_paths

from bot.core.chat import Origin
from bot.services import sharing


def maker(served: ServedStudio) -> Origin:
    """The one person who has made anything here."""
    ((platform, identity),) = served.store.tables.identities
    return Origin(platform, identity, True, identity, "")


async def test_a_link_opens_one_thing_for_whoever_has_it(served: ServedStudio) -> None:
    async with served.visitor() as anna:
        turn = await anna.made("/imagine red heart count:2")
    first, second = (path.rpartition("/")[2] for path in artifact_paths(turn["html"]))
    services = served.services
    token = sharing.token(services.signer, maker(served), first, services.clock())

    async with served.stranger() as somebody:
        async with somebody.http.get(f"/shared/{token}") as response:
            data = await response.read()
            assert (response.status, response.content_type) == (200, "image/png")
        assert data.startswith(b"\x89PNG")
        async with somebody.http.get(f"/artifacts/{second}") as response:
            assert response.status == 404


@pytest.mark.parametrize("wrong", ["forged", "old", "stranger"])
async def test_a_link_that_is_forged_or_old_or_of_a_stranger_opens_nothing(
    served: ServedStudio, wrong: str
) -> None:
    async with served.visitor() as anna:
        turn = await anna.made("/imagine red heart count:1")
    artifact_id = artifact_paths(turn["html"])[0].rpartition("/")[2]
    services, viewer, when = served.services, maker(served), served.services.clock()
    if wrong == "old":
        when -= sharing.LASTS + timedelta(seconds=2)
    if wrong == "stranger":
        viewer = Origin("discord", "500", False, "700", "")
    token = sharing.token(services.signer, viewer, artifact_id, when)
    if wrong == "forged":
        token = token[:-2] + "xx"

    async with served.stranger() as somebody:
        await somebody.look(f"/shared/{token}", status=404 if wrong == "stranger" else 403)


async def test_what_was_deleted_is_not_behind_its_link_any_more(served: ServedStudio) -> None:
    services = served.services
    async with served.visitor() as anna:
        turn = await anna.made("/imagine red heart count:1")
        artifact_id = artifact_paths(turn["html"])[0].rpartition("/")[2]
        token = sharing.token(services.signer, maker(served), artifact_id, services.clock())
        await anna.invoke(action=services.signer.button("delete", turn["key"]))

        await anna.look(f"/shared/{token}", status=404)
