"""Forms as modals, and back: a `Form` becomes a modal that needs no memory of ours to be read.

Used by `courier` (to show) and `reading` (when one is submitted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.core.signing import Signer

PREFIX = "form:"
"""How the custom_id of every modal of ours begins."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a member sent with a modal: the command it is for, its options as the platform gave
    them (hidden ones included), and the uploaded files as Discord's attachment objects, by
    option name."""

    command: str
    options: Mapping[str, Any] = field(default_factory=dict)
    attachments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def submission(data: Mapping[str, Any], signer: Signer) -> Submission:
    """Read the `data` of a modal-submit interaction (its JSON). Raises NotAllowed for a modal that
    we did not make."""
    raise LookupError(PREFIX)
