"""How the rules of the house are shown to who decides them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from bot.core.chat import Field, Origin, Reply, Text
from bot.core.domain import Limits
from bot.core.i18n import formats
from bot.services import limits
from bot.services.house_rules import HouseRules, Named

if TYPE_CHECKING:
    from bot.services import Services

View = tuple[HouseRules, Mapping[str, Any]]

_TITLE = Text(en="Rules of this community", zh="本社区的规则")
_STUDIO_TITLE = Text(en="Rules of the whole studio", zh="整个工作室的规则")
_DECIDED = Text(en="{label} (decided here)", zh="{label}（此处决定）")
_EVERYWHERE = Text(en="everywhere", zh="所有频道")
_EVERYBODY = Text(en="everybody", zh="所有人")
_STUDIOS = Text(en="the studio's choice", zh="由工作室决定")
_NONE = Text(en="none", zh="无")
_NEVER = Text(en="never", zh="从不允许")
_FOLLOWS = Text(en="in age-restricted channels", zh="仅限有年龄限制的频道")
_NOT_DECIDED = Text(
    en="in age-restricted channels, and for oneself alone", zh="有年龄限制的频道，以及私下使用"
)
_OWN = Text(en="each member's own", zh="各成员自己的语言")
_FOR_EVER = Text(en="kept until they are deleted", zh="保留到被删除为止")
_DAYS = Text(
    en="answers are erased after {days} days, favourites excepted", zh="{days} 天后删除，收藏除外"
)
_NO_CHANNEL = Text(en="nowhere; /cases lists them", zh="未设置；用 /cases 查看")
_MEMBER_ALONE = Text(en="shown to the member alone", zh="只有成员自己可见")
_ALL_SEE = Text(en="shown to all, unless asked for in private", zh="所有人可见，除非成员要求私密")
_NO_LIMIT = Text(en="no limit", zh="不限量")
_IN_WINDOW = Text(en="{amount} in {time}", zh="{time}内 {amount}")
_ROLE = Text(en="@{role}: {amount}", zh="@{role}：{amount}")
_LANGUAGES: Final = {"en": "English", "zh": "中文"}

_LABELS: Final = {
    "channels": Text(en="Channels", zh="频道"),
    "roles": Text(en="Roles", zh="身份"),
    limits.SETTING: Text(en="Quota", zh="额度"),
    "default_model": Text(en="Model", zh="模型"),
    "style": Text(en="Style", zh="风格"),
    "nsfw": Text(en="Explicit prompts", zh="露骨的提示词"),
    "language": Text(en="Language", zh="语言"),
    "retention_days": Text(en="Retention", zh="保留时间"),
    "prompt_rules": Text(en="Forbidden in prompts", zh="提示词禁词"),
    "moderators_channel": Text(en="Reports go to", zh="举报发布到"),
    "ephemeral": Text(en="Answers", zh="结果"),
}
SHOWN: Final = tuple(_LABELS)
"""The settings that one sees and may reset, in their order."""

_OF_A_COMMUNITY: Final = ("channels", "roles", "moderators_channel", "ephemeral")


def label(key: str) -> Text:
    """What a setting is called."""
    return _LABELS[key]


async def shown(services: Services, origin: Origin, view: View, said: str) -> Reply:
    """What holds, each setting in words; `said` tells what was just done."""
    rules, decided = view
    locale = origin.locale
    usual = await services.quota.usual_limits(origin)
    values = {**_words(rules, origin), limits.SETTING: _quota(usual, rules, locale)}
    keys = [key for key in SHOWN if not (origin.personal and key in _OF_A_COMMUNITY)]
    return Reply(
        title=(_STUDIO_TITLE if origin.personal else _TITLE).in_(locale),
        text=said,
        fields=tuple(Field(_label(key, decided, locale), values[key]) for key in keys),
        ephemeral=True,
    )


def _label(key: str, decided: Mapping[str, Any], locale: str) -> str:
    name = label(key).in_(locale)
    return _DECIDED.in_(locale).format(label=name) if key in decided else name


def _words(rules: HouseRules, origin: Origin) -> dict[str, str]:
    locale = origin.locale
    nsfw = _NEVER if rules.nsfw == "never" else _FOLLOWS
    if origin.personal and rules.nsfw is None:
        nsfw = _NOT_DECIDED
    kept = _DAYS.format(days=rules.retention_days) if rules.retention_days else _FOR_EVER
    models = ", ".join(rules.default_model.values())
    channel = rules.moderators_channel
    return {
        "channels": _places(rules.channels, "#") or _EVERYWHERE.in_(locale),
        "roles": _places(rules.roles, "@") or _EVERYBODY.in_(locale),
        "default_model": models or _STUDIOS.in_(locale),
        "style": rules.style or _NONE.in_(locale),
        "nsfw": nsfw.in_(locale),
        "language": _LANGUAGES.get(rules.language) or _OWN.in_(locale),
        "retention_days": kept.in_(locale),
        "prompt_rules": ", ".join(rules.prompt_rules) or _NONE.in_(locale),
        "moderators_channel": f"#{channel}" if channel else _NO_CHANNEL.in_(locale),
        "ephemeral": (_MEMBER_ALONE if rules.ephemeral else _ALL_SEE).in_(locale),
    }


def _quota(usual: Limits, rules: HouseRules, locale: str) -> str:
    def amount(gpu_ms: int | None) -> str:
        if gpu_ms is None:
            return _NO_LIMIT.in_(locale)
        return formats.gpu_seconds(gpu_ms, locale)

    window = formats.duration(usual.window_s, locale)
    lines = [_IN_WINDOW.in_(locale).format(amount=amount(usual.gpu_ms), time=window)]
    for role, override in usual.roles.items():
        if "gpu_ms" in override:
            name = rules.role_names.get(role) or role
            lines.append(_ROLE.in_(locale).format(role=name, amount=amount(override["gpu_ms"])))
    return "; ".join(lines)


def _places(places: Iterable[Named], sign: str) -> str:
    return ", ".join(f"{sign}{place}" for place in places)
