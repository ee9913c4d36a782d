"""/help: what there is to type, drawn from the commands' own declarations."""

from __future__ import annotations

from typing import Final

from bot.commands import Offered
from bot.core.chat import (
    Choice,
    Command,
    Field,
    Invocation,
    Option,
    Options,
    OptionType,
    Reply,
    Role,
    Text,
)
from bot.core.i18n import replies
from bot.core.suggest import did_you_mean, shown
from bot.errors import UnknownCommand

_MAX_CHOICES: Final = 10

_TITLE = Text(en="What you can type", zh="可以输入的命令")
_LEAD = Text(
    en="Type the words of your prompt, and options as name:value anywhere among them, for example"
    " {example}. /help and a command's name tell more.",
    zh="输入提示词，选项写成 name:value，可以放在任意位置，例如 {example}。"
    "/help 加命令名查看详情。",
)
_EXAMPLES = Text(en="For example:", zh="例如：")
_ABOUT = Text(en="{what} ({allowed})", zh="{what}（{allowed}）")
_ABOUT_ONLY = Text(en="{what}", zh="{what}")
_REQUIRED = Text(en="required", zh="必填")
_DEFAULT = Text(en="default {value}", zh="默认 {value}")
_RANGE = Text(en="{low} to {high}", zh="{low} 到 {high}")
_LENGTH = Text(en="up to {high} characters", zh="最多 {high} 个字符")
_ONE_OF = Text(en="one of {values}", zh="可选 {values}")
_YES_NO = Text(en="yes or no", zh="是或否")


def command(offered: Offered) -> Command:
    """The declaration; what it lists are the other declarations."""

    async def run(services: object, invocation: Invocation, options: Options) -> Reply:
        locale, role = invocation.origin.locale, invocation.origin.role
        if not options["command"]:
            return _overview(offered, locale, role)
        name = str(options["command"]).strip().lstrip("/").lower()
        known = offered.commands.get(name)
        if known is None or not role.at_least(known.role):
            hint = did_you_mean(name, _names(offered, role), prefix="/")
            text = replies.UNKNOWN_COMMAND
            raise UnknownCommand(
                text.en.format(name=shown(name), hint=hint.en),
                text.zh.format(name=shown(name), hint=hint.zh),
            )
        return _details(known, locale)

    return Command(
        name="help",
        summary=Text(en="See what you can type", zh="查看可以输入的命令"),
        run=run,
        options=(
            Option(
                name="command",
                description=Text(en="Tell about this command.", zh="查看此命令的说明。"),
                choices=lambda: tuple(
                    Choice(name, f"/{name}") for name in _names(offered, Role.MEMBER)
                ),
                open_choices=True,
                maximum=40,
                rest=True,
            ),
        ),
        examples=("/help", "/help imagine"),
    )


def _names(offered: Offered, role: Role) -> list[str]:
    return [name for name, known in offered.commands.items() if role.at_least(known.role)]


def _overview(offered: Offered, locale: str, role: Role) -> Reply:
    known = [offered.commands[name] for name in _names(offered, role)]
    example = next((one.examples[-1] for one in known if one.examples), "")
    return Reply(
        title=_TITLE.in_(locale),
        text=_LEAD.in_(locale).format(example=example),
        fields=tuple(Field(f"/{one.name}", one.summary.in_(locale)) for one in known),
        ephemeral=True,
    )


def _details(known: Command, locale: str) -> Reply:
    lines = [known.summary.in_(locale)]
    if known.examples:
        lines += ["", _EXAMPLES.in_(locale), *known.examples]
    return Reply(
        title=f"/{known.name}",
        text="\n".join(lines),
        fields=tuple(Field(option.name, _about(option, locale)) for option in known.option_list()),
        ephemeral=True,
    )


def _about(option: Option, locale: str) -> str:
    facts = []
    if option.required:
        facts.append(_REQUIRED.in_(locale))
    facts.append(_allowed(option, locale))
    if option.default not in (None, "", False):
        facts.append(_DEFAULT.in_(locale).format(value=option.default))
    allowed = " · ".join(fact for fact in facts if fact)
    about = _ABOUT if allowed else _ABOUT_ONLY
    return about.in_(locale).format(what=option.description.in_(locale), allowed=allowed)


def _allowed(option: Option, locale: str) -> str:
    choices = [str(choice.value) for choice in option.choice_list()]
    if choices:
        more = ["…"] if len(choices) > _MAX_CHOICES else []
        return _ONE_OF.in_(locale).format(values=", ".join(choices[:_MAX_CHOICES] + more))
    if option.type is OptionType.BOOLEAN:
        return _YES_NO.in_(locale)
    if option.maximum is None:
        return ""
    if option.type is OptionType.STRING:
        return _LENGTH.in_(locale).format(high=f"{int(option.maximum):,}")
    return _RANGE.in_(locale).format(low=f"{option.minimum or 0:g}", high=_number(option.maximum))


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:g}"
