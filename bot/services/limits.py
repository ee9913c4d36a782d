"""What a member may use: the host's defaults, the studio's and the community's setting `limits`,
then the strongest override among the member's roles. Pure; used by `quota`.

A setting holds some of the fields of `Limits`, and under `roles` the same by role (`moderator`,
`owner`, or a platform's role id):

    {"gpu_ms": 300000, "roles": {"moderator": {"gpu_ms": null}, "8401...": {"weight": 2}}}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.domain import Limits, Member
from bot.errors import SettingsError

SETTING = "limits"

Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[int, Field(ge=0)]


class LimitsOverride(BaseModel):
    """Some of the fields of `Limits`; what is not given stays as it was. None: no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    gpu_ms: Amount | None = None
    jobs: Amount | None = None
    window_s: Positive = 86_400
    active_jobs: Positive = 3
    waiting_jobs: Positive = 50
    community_gpu_ms: Amount | None = None
    weight: float = Field(default=1.0, ge=0.01, le=100.0)

    def given(self) -> dict[str, Any]:
        """Only what was said."""
        return self.model_dump(include=self.model_fields_set)


class LimitsSetting(LimitsOverride):
    """What the setting holds."""

    roles: dict[str, LimitsOverride] = {}

    def given(self) -> dict[str, Any]:
        """Only what was said, roles left out."""
        return self.model_dump(include=self.model_fields_set - {"roles"})


def limits_of(defaults: Limits, settings: Iterable[Any], member: Member) -> Limits:
    """The member's limits. `settings` are the layers from weakest to strongest, None where there is
    none. Raises SettingsError for a setting that does not follow the schema."""
    values: dict[str, Any] = {}
    roles: dict[str, dict[str, Any]] = {
        role: dict(overrides) for role, overrides in defaults.roles.items()
    }
    for raw in settings:
        if raw is None:
            continue
        layer = read_setting(raw)
        values.update(layer.given())
        for role, override in layer.roles.items():
            roles.setdefault(role, {}).update(override.given())
    mine = [roles[role] for role in (member.role, *member.platform_roles) if role in roles]
    return replace(defaults, **{**values, **strongest(mine)}, roles=roles)


def read_setting(raw: Any) -> LimitsSetting:
    """The setting as it is stored, checked. Raises SettingsError naming the field."""
    try:
        return LimitsSetting.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (SETTING, *first["loc"]))
        raise SettingsError(f"the community setting {where} is wrong: {first['msg']}") from error


def strongest(overrides: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Field by field what allows most: no limit before any, more before less, and the shorter
    window (it frees earlier) before the longer."""
    found: dict[str, Any] = {}
    for override in overrides:
        for name, value in override.items():
            if name not in found or _strength(name)(value) > _strength(name)(found[name]):
                found[name] = value
    return found


def _strength(name: str) -> Callable[[Any], float]:
    sign = -1.0 if name == "window_s" else 1.0
    return lambda value: float("inf") if value is None else sign * float(value)
