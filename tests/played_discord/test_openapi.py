"""Discord's document as the judge: lenient where Discord is, missing only where that is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from discord_server import PlayedDiscord, openapi
from discord_server.openapi import OpenApi, discord_openapi

MESSAGES = "/channels/7/messages"


@pytest.fixture
def document(played_discord: PlayedDiscord) -> OpenApi:
    return played_discord.server.openapi


def faults(document: OpenApi, body: Any, path: str = MESSAGES) -> list[str]:
    return document.request_faults("POST", path, {}, body, "application/json")


def test_literal_parts_of_a_path_go_before_names(document: OpenApi) -> None:
    assert document.template("/users/@me") == "/users/@me"
    assert document.template("/users/7") == "/users/{user_id}"
    hook = "/webhooks/{webhook_id}/{webhook_token}/messages/"
    assert document.template("/webhooks/7/t/messages/@original") == hook + "@original"
    assert document.template("/webhooks/7/t/messages/8") == hook + "{message_id}"


def test_ids_may_be_numbers_and_numbers_digits(document: OpenApi) -> None:
    attachments = [{"id": 0}, {"id": "1"}]
    assert not faults(document, {"attachments": attachments, "flags": "4096"})
    assert faults(document, {"attachments": [{"id": "x"}]})
    assert faults(document, {"flags": "many"})


def test_a_fault_names_the_place_and_of_a_long_value_only_what_is_wrong(document: OpenApi) -> None:
    inside = {"type": 17, "components": [{"type": 10, "content": "hi"}, {"type": 99}]}
    (fault,) = faults(document, {"components": [inside]})
    assert fault.startswith("components.0.components.1: type 99 is not one of")
    (fault,) = faults(document, {"content": "x" * 5000})
    assert len(fault) < 200
    assert fault.endswith("is too long")


@pytest.mark.parametrize("everything", [True, False])
def test_without_the_document_tests_are_skipped_or_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, everything: bool
) -> None:
    monkeypatch.setattr(openapi, "DOCUMENT", tmp_path / "gone.json")
    monkeypatch.setenv("TEST_REQUIRE", "all" if everything else "")
    outcome = pytest.fail.Exception if everything else pytest.skip.Exception
    with pytest.raises(outcome, match=r"not at .*gone\.json"):
        discord_openapi.__wrapped__()
