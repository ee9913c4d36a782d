"""The rules of the house as they are stored: a community's settings over those of the whole studio.

Pure. `read` never fails: a value that is no longer understood is left out, since a slip in a
setting must not stop a community. `rule_book` reads and changes them, admission enforces them;
`limits` (quota) has a module of its own.

  key                 value
  channels            [{"id", "name"}]: where one may make things; none: everywhere
  roles               [{"id", "name"}]: who may; none: everybody. Moderators always may
  default_model       {modality: model}: taken where none is named
  style               taken with the default model, where it has a style of this name
  nsfw                "never", or "age_restricted": in channels that the platform keeps for adults
  language            "en" or "zh": of everything said here; none: each member's own
  retention_days      after how many days answers are erased, favourites excepted
  prompt_rules        words and patterns that prompts may not hold (`moderation`)
  moderators_channel  {"id", "name"}: where reports are posted
  role_names          {role id: name}, for showing whose quota is another
  ephemeral           whether answers are for the member alone
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bot.core.chat import Origin
from bot.services.moderation import read_rules

STUDIO: Final = ""  # the community id of settings for the whole studio
MAX_PLACES: Final = 50  # channels or roles in one setting
MAX_RETENTION_DAYS: Final = 3650

Nsfw = Literal["never", "age_restricted"]
NSFW: Final = get_args(Nsfw)
Settings = Mapping[tuple[str, str], Any]


class Named(BaseModel):
    """A channel or a role: the platform's id, and what it was called when it was chosen."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1, max_length=100)
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.id


_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class HouseRules:
    """What holds in a community. Empty: nothing was decided."""

    channels: tuple[Named, ...] = ()
    roles: tuple[Named, ...] = ()
    default_model: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    style: str = ""
    nsfw: Nsfw | None = None
    language: str = ""
    retention_days: int = 0
    prompt_rules: tuple[str, ...] = ()
    moderators_channel: Named | None = None
    role_names: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    ephemeral: bool = False

    def allows_nsfw(self, origin: Origin) -> bool:
        """Whether explicit prompts may be worked on here. Where others read along, never outside of
        what the platform keeps for adults; for oneself, unless the host decided."""
        if self.nsfw == "never":
            return False
        alone = origin.personal and not origin.watched
        return origin.age_restricted or (alone and self.nsfw is None)


_KINDS: Mapping[str, TypeAdapter[Any]] = {
    "channels": TypeAdapter(tuple[Named, ...]),
    "roles": TypeAdapter(tuple[Named, ...]),
    "default_model": TypeAdapter(dict[str, str]),
    "style": TypeAdapter(str),
    "nsfw": TypeAdapter(Nsfw),
    "language": TypeAdapter(Literal["en", "zh"]),
    "retention_days": TypeAdapter(int),
    "moderators_channel": TypeAdapter(Named),
    "role_names": TypeAdapter(dict[str, str]),
    "ephemeral": TypeAdapter(bool),
}
KEYS: Final = (*_KINDS, "prompt_rules")
_OF_PLACES: Final = ("channels", "roles", "moderators_channel")
"""What a whole studio cannot decide: ids of one place."""


def read(settings: Settings, community_id: str) -> HouseRules:
    """The rules out of settings that were read, by (community id, key). What a community decided
    goes before what the studio did; prompt rules add up, and no community is laxer about explicit
    prompts than the studio."""
    values: dict[str, Any] = {}
    for place in dict.fromkeys((STUDIO, community_id)):
        for key in _KINDS:
            raw = settings.get((place, key))
            known = None if raw is None else _checked(key, raw)
            if known is None or (place == STUDIO and key in _OF_PLACES):
                continue
            values[key] = _over(key, values.get(key), known)
    return HouseRules(
        **values,
        prompt_rules=tuple(
            rule
            for place in dict.fromkeys((STUDIO, community_id))
            for rule in read_rules(settings.get((place, "prompt_rules")))
        ),
    )


def _checked(key: str, raw: Any) -> Any:
    try:
        return _KINDS[key].validate_python(raw, strict=False)
    except ValidationError:
        return None


def _over(key: str, studio: Any, community: Any) -> Any:
    """A value of the community's over the studio's."""
    if key == "nsfw":
        return "never" if "never" in (studio, community) else community
    return {**(studio or {}), **community} if key == "default_model" else community
