"""/settings: what moderators decide for their community, and the host for the whole studio.

Without options it shows what holds; each option changes one thing. What was decided is enforced
where jobs are admitted (`services.admission`), and every change is in the audit log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bot.commands import Offered
from bot.core.chat import (
    Choice,
    Command,
    Invocation,
    Option,
    Options,
    OptionType,
    Reply,
    Role,
    Text,
)
from bot.core.i18n import replies
from bot.errors import BadOption, NotAllowed
from bot.services import limits, rule_answers, rule_changes
from bot.services.house_rules import MAX_RETENTION_DAYS, NSFW, Named
from bot.services.models import ModelOffers
from bot.services.moderation import MAX_RULE_CHARACTERS
from bot.services.rule_book import Change

if TYPE_CHECKING:
    from bot.services import Services

_MAX_QUOTA_S: Final = 86_400
_OF_A_COMMUNITY: Final = (
    *("allow_channel", "disallow_channel", "allow_role", "disallow_role"),
    *("quota_role", "moderators_channel"),
)

_NSFW_ZH: Final[Mapping[str, str]] = {"never": "从不允许", "age_restricted": "仅限有年龄限制的频道"}
_CHANGED = Text(en="Changed.", zh="已更改。")
_ALREADY = Text(en="It was so already.", zh="原本就是这样。")
_HINT = Text(
    en="Change one with an option, for example {example}.", zh="用选项更改，例如 {example}。"
)
_EXAMPLE: Final = "/settings retention_days:30"


def command(offered: Offered) -> Command:
    """The declaration; models and styles are those on offer."""

    async def run(services: Services, invocation: Invocation, options: Options) -> Reply:
        origin, rules = invocation.origin, services.house.rules
        changes = _changes(offered.offers, invocation, options)
        view = await rules.view(origin)
        said = _HINT.format(example=_EXAMPLE)
        if changes:
            before, view = view, await rules.change(origin, changes)
            said = _ALREADY if view == before else _CHANGED
            # Also in the language that was just decided for.
            origin = (await rules.spoken(invocation)).origin
        return await rule_answers.shown(services, origin, view, said.in_(origin.locale))

    return Command(
        name="settings",
        summary=Text(en="See and change the rules of this community", zh="查看和更改本社区的规则"),
        run=run,
        role=Role.MODERATOR,
        options=lambda: _options(offered.offers),
        examples=("/settings", "/settings nsfw:never", "/settings forbid:spoiler*"),
    )


def _changes(offers: ModelOffers, invocation: Invocation, options: Options) -> Mapping[str, Change]:
    """What the options ask for, by setting; two of one setting happen in turn."""
    given = {name: value for name, value in options.items() if value not in (None, "")}
    _check(invocation, given)
    changes: dict[str, Change] = {}

    def put(key: str, change: Change) -> None:
        first = changes.get(key)
        changes[key] = change if first is None else lambda stored: change(first(stored))

    def named(external_id: str) -> Named:
        return Named(id=external_id, name=invocation.names.get(external_id, ""))

    for name, value in given.items():
        match name:
            case "allow_channel":
                put("channels", rule_changes.with_place(named(value)))
            case "disallow_channel":
                put("channels", rule_changes.without_place(value))
            case "allow_role":
                put("roles", rule_changes.with_place(named(value)))
            case "disallow_role":
                put("roles", rule_changes.without_place(value))
            case "quota":
                role_id = given.get("quota_role")
                put(limits.SETTING, rule_changes.with_quota(value * 1000, role_id))
            case "quota_role":
                put("role_names", rule_changes.with_entry(value, named(value).name))
            case "model":
                modality = offers.get(value).spec.modality
                put("default_model", rule_changes.with_entry(modality, value))
            case "forbid":
                put("prompt_rules", rule_changes.with_rule(value))
            case "permit":
                put("prompt_rules", rule_changes.without_rule(value))
            case "moderators_channel":
                put("moderators_channel", rule_changes.to(named(value).model_dump()))
            case "ephemeral":
                put("ephemeral", rule_changes.to(value == "on"))
            case "reset":
                put(value, rule_changes.to(None))
            case _:  # stored as it was given: style, nsfw, language, retention_days
                put(name, rule_changes.to(value))
    return changes


def _check(invocation: Invocation, given: Mapping[str, Any]) -> None:
    if invocation.origin.personal and any(name in given for name in _OF_A_COMMUNITY):
        raise NotAllowed(replies.ONLY_IN_COMMUNITIES.en, replies.ONLY_IN_COMMUNITIES.zh)
    if "quota_role" in given and "quota" not in given:
        raise BadOption(
            "quota_role needs quota: how many GPU-seconds members of that role may use.",
            "quota_role 需要与 quota 一起使用：该身份的成员可用多少 GPU 秒。",
        )


def _options(offers: ModelOffers) -> tuple[Option, ...]:
    models = [offer.name for offer in offers.all()]
    styles = sorted({name.partition("+")[2] for name in models} - {""})
    return (
        Option(
            name="allow_channel",
            type=OptionType.CHANNEL,
            description=Text(
                en="Things are made in this channel, and in others so allowed, only.",
                zh="只能在此频道及其他允许的频道生成内容。",
            ),
        ),
        Option(
            name="disallow_channel",
            type=OptionType.CHANNEL,
            description=Text(
                en="Take a channel off the allowed ones; with none left, all are.",
                zh="取消允许某个频道；全部取消后即允许所有频道。",
            ),
        ),
        Option(
            name="allow_role",
            type=OptionType.ROLE,
            description=Text(
                en="Only members of this role, and of others so allowed, make things.",
                zh="只有此身份及其他允许的身份的成员可以生成内容。",
            ),
        ),
        Option(
            name="disallow_role",
            type=OptionType.ROLE,
            description=Text(
                en="Take a role off the allowed ones; with none left, all are.",
                zh="取消允许某个身份；全部取消后即允许所有人。",
            ),
        ),
        Option(
            name="quota",
            type=OptionType.INTEGER,
            minimum=0,
            maximum=_MAX_QUOTA_S,
            description=Text(
                en="GPU-seconds a member may use in the window.",
                zh="每位成员在窗口期内可用的 GPU 秒。",
            ),
        ),
        Option(
            name="quota_role",
            type=OptionType.ROLE,
            description=Text(
                en="Whose quota it is; everybody's if left out.",
                zh="配额适用的身份；不写则为所有人。",
            ),
        ),
        Option(
            name="model",
            choices=tuple(Choice(name, name) for name in models),
            description=Text(
                en="The model taken where a member names none.", zh="成员未指定时使用的模型。"
            ),
        ),
        *([_style(styles)] if styles else []),
        Option(
            name="nsfw",
            choices=tuple(Choice(policy, policy, _NSFW_ZH[policy]) for policy in NSFW),
            description=Text(
                en="Explicit prompts: never, or in age-restricted channels.",
                zh="露骨的提示词：从不允许，或仅限有年龄限制的频道。",
            ),
        ),
        Option(
            name="language",
            choices=(Choice("en", "English"), Choice("zh", "中文")),
            description=Text(
                en="The language of answers; each member's own by default.",
                zh="回答使用的语言；默认为各成员自己的语言。",
            ),
        ),
        Option(
            name="retention_days",
            type=OptionType.INTEGER,
            minimum=0,
            maximum=MAX_RETENTION_DAYS,
            description=Text(
                en="Erase answers after so many days, favourites excepted; 0 keeps them.",
                zh="多少天后删除结果（收藏除外）；0 表示一直保留。",
            ),
        ),
        Option(
            name="forbid",
            maximum=MAX_RULE_CHARACTERS,
            description=Text(
                en="A word or phrase prompts may not hold; * is any letters, ? one.",
                zh="提示词中禁止的词语；* 代表任意字符，? 代表一个字符。",
            ),
        ),
        Option(
            name="permit",
            maximum=MAX_RULE_CHARACTERS,
            description=Text(en="Take back a forbidden word or phrase.", zh="取消禁止某个词语。"),
        ),
        Option(
            name="moderators_channel",
            type=OptionType.CHANNEL,
            description=Text(en="Where reports are posted.", zh="举报发布到的频道。"),
        ),
        Option(
            name="ephemeral",
            choices=(Choice("on", "on", "是"), Choice("off", "off", "否")),
            description=Text(
                en="Whether answers are shown to the member alone.", zh="是否只让成员自己看到结果。"
            ),
        ),
        Option(
            name="reset",
            choices=tuple(
                Choice(key, key, rule_answers.label(key).zh) for key in rule_answers.SHOWN
            ),
            description=Text(
                en="Undo what was decided about one of these.", zh="撤销对其中一项的决定。"
            ),
        ),
    )


def _style(styles: list[str]) -> Option:
    return Option(
        name="style",
        choices=tuple(Choice(name, name) for name in styles),
        description=Text(
            en="The style of the model taken where a member names none.",
            zh="成员未指定模型时使用的风格。",
        ),
    )
