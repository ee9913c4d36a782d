"""Changes of single settings, from the stored value to the one to be stored. Pure.

For `RuleBook.change`; each raises a UserError where it cannot be. None clears a setting.
"""

from __future__ import annotations

from typing import Any

from bot.core.suggest import did_you_mean, shown
from bot.errors import BadOption, NotFound
from bot.services.house_rules import MAX_PLACES, Named
from bot.services.limits import read_setting
from bot.services.moderation import MAX_RULES, check_rule, read_rules
from bot.services.rule_book import Change


def to(value: Any) -> Change:
    """This value, whatever there was."""
    return lambda stored: value


def with_place(place: Named) -> Change:
    """A channel or role more."""

    def change(stored: Any) -> Any:
        others = [one for one in stored or [] if one.get("id") != place.id]
        if len(others) >= MAX_PLACES:
            raise BadOption(
                f"There may be at most {MAX_PLACES} of these.", f"最多只能有 {MAX_PLACES} 个。"
            )
        return [*others, place.model_dump()]

    return change


def without_place(place_id: str) -> Change:
    """A channel or role less. Without any, there is no rule."""

    def change(stored: Any) -> Any:
        others = [one for one in stored or [] if one.get("id") != place_id]
        if len(others) == len(stored or []):
            raise NotFound("That is not in the list.", "列表中没有它。")
        return others or None

    return change


def with_entry(key: str, value: Any) -> Change:
    """A value more in a mapping."""
    return lambda stored: {**(stored or {}), key: value}


def with_rule(rule: str) -> Change:
    """A prompt rule more."""
    check_rule(rule)

    def change(stored: Any) -> Any:
        rules = list(read_rules(stored))
        if rule in rules:
            return rules
        if len(rules) >= MAX_RULES:
            raise BadOption(
                f"There may be at most {MAX_RULES} rules.", f"最多只能有 {MAX_RULES} 条规则。"
            )
        return [*rules, rule]

    return change


def without_rule(rule: str) -> Change:
    """A prompt rule less."""

    def change(stored: Any) -> Any:
        rules = list(read_rules(stored))
        if rule not in rules:
            hint = did_you_mean(rule, rules)
            raise NotFound(
                f"There is no rule “{shown(rule)}”.{hint.en}", f"没有规则“{shown(rule)}”。{hint.zh}"
            )
        return [one for one in rules if one != rule] or None

    return change


def with_quota(gpu_ms: int, role_id: str | None) -> Change:
    """What a member may use in the window; with a role, what members of that role may."""

    def change(stored: Any) -> Any:
        limits = dict(stored or {})
        if role_id is None:
            limits["gpu_ms"] = gpu_ms
        else:
            roles = dict(limits.get("roles", {}))
            roles[role_id] = {**roles.get(role_id, {}), "gpu_ms": gpu_ms}
            if len(roles) > MAX_PLACES:
                raise BadOption(
                    f"There may be at most {MAX_PLACES} of these.", f"最多只能有 {MAX_PLACES} 个。"
                )
            limits["roles"] = roles
        read_setting(limits)
        return limits

    return change
