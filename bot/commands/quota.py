"""/quota: what I may use, what I have used, and when it frees. Moderators grant members more:
`/quota grant:@anna amount:300`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.chat import (
    Command,
    Field,
    Invocation,
    Option,
    Options,
    OptionType,
    Reply,
    Text,
)
from bot.core.i18n import formats
from bot.errors import BadOption
from bot.services.members import MAX_GRANT_MS

if TYPE_CHECKING:
    from bot.services import Services

_TITLE = Text(en="Your quota", zh="你的额度")
_WINDOW = Text(en="Counted over the last {time}.", zh="按最近 {time}计算。")
_FREES = Text(en="The next part frees in {time}.", zh="下一部分将在 {time}后恢复。")
_GPU = Text(en="GPU time", zh="GPU 时间")
_JOBS = Text(en="Jobs", zh="任务")
_COMMUNITY = Text(en="GPU time of everybody here", zh="本社区所有人的 GPU 时间")
_AT_ONCE = Text(en="At once", zh="同时")
_AT_ONCE_VALUE = Text(
    en="{live} now; up to {active} run and {waiting} more wait",
    zh="现在有 {live} 个；最多同时运行 {active} 个，另有 {waiting} 个可排队",
)
_OF = Text(en="{used} of {limit}", zh="{used}，共 {limit}")
_UNLIMITED = Text(en="{used}, no limit", zh="{used}，不限量")
_GRANTED = Text(en="{amount} of it was granted for a while.", zh="其中 {amount}是临时授予的。")
_GRANT = Text(
    en="{name} may use {amount} more until {until}.", zh="{name} 在 {until}之前可多用 {amount}。"
)


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    if options["grant"]:
        return await _grant(services, invocation, options)
    if options["amount"] is not None or options["days"] is not None:
        raise BadOption(
            "amount and days belong to grant: which member gets more.",
            "amount 和 days 需要与 grant（授予哪位成员）一起使用。",
        )
    locale = invocation.origin.locale
    view = await services.quota.view(invocation.origin)
    live = len(await services.jobs.live(invocation.origin))
    limits, usage = view.limits, view.usage
    fields = [
        _gpu_meter(_GPU, usage.gpu_ms, limits.gpu_ms, locale),
        _meter(_JOBS, usage.jobs, limits.jobs, str(usage.jobs), str(limits.jobs), locale),
    ]
    if limits.community_gpu_ms is not None:
        fields.append(
            _gpu_meter(_COMMUNITY, usage.community_gpu_ms, limits.community_gpu_ms, locale)
        )
    at_once = _AT_ONCE_VALUE.in_(locale).format(
        live=live, active=limits.active_jobs, waiting=limits.waiting_jobs
    )
    fields.append(Field(_AT_ONCE.in_(locale), at_once))
    sentences = [_WINDOW.in_(locale).format(time=formats.duration(limits.window_s, locale))]
    if view.frees_at is not None:
        left = (view.frees_at - services.clock()).total_seconds()
        sentences.append(_FREES.in_(locale).format(time=formats.duration(left, locale)))
    if view.granted_gpu_ms:
        granted = formats.gpu_seconds(view.granted_gpu_ms, locale)
        sentences.append(_GRANTED.in_(locale).format(amount=granted))
    return Reply(
        title=_TITLE.in_(locale), text="\n".join(sentences), fields=tuple(fields), ephemeral=True
    )


async def _grant(services: Services, invocation: Invocation, options: Options) -> Reply:
    if options["amount"] is None:
        raise BadOption(
            "Please say how much: amount, in GPU-seconds.", "请写明数量 amount（GPU 秒）。"
        )
    locale = invocation.origin.locale
    grant, name = await services.house.members.grant(
        invocation, options["grant"], options["amount"] * 1000, days=options["days"] or 1
    )
    text = _GRANT.in_(locale).format(
        name=name,
        amount=formats.gpu_seconds(grant.gpu_ms, locale),
        until=formats.moment(grant.expires_at, locale),
    )
    return Reply(text=text, ephemeral=True)


def _gpu_meter(label: Text, used_ms: int, limit_ms: int | None, locale: str) -> Field:
    return _meter(
        label,
        used_ms,
        limit_ms,
        formats.gpu_seconds(used_ms, locale),
        formats.gpu_seconds(limit_ms or 0, locale),
        locale,
    )


def _meter(
    label: Text, used: int, limit: int | None, used_text: str, limit_text: str, locale: str
) -> Field:
    if limit is None:
        return Field(label.in_(locale), _UNLIMITED.in_(locale).format(used=used_text))
    fraction = min(1.0, max(0.0, used / limit)) if limit else 1.0
    value = _OF.in_(locale).format(used=used_text, limit=limit_text)
    return Field(label.in_(locale), value, fraction=fraction)


COMMAND = Command(
    name="quota",
    summary=Text(en="See what you have used and what is left", zh="查看已用和剩余的额度"),
    run=_run,
    options=(
        Option(
            name="grant",
            type=OptionType.MEMBER,
            description=Text(
                en="Moderators: the member who gets more.", zh="管理员：授予哪位成员更多额度。"
            ),
        ),
        Option(
            name="amount",
            type=OptionType.INTEGER,
            minimum=1,
            maximum=MAX_GRANT_MS // 1000,
            description=Text(en="How many GPU-seconds more.", zh="多给多少 GPU 秒。"),
        ),
        Option(
            name="days",
            type=OptionType.INTEGER,
            minimum=1,
            maximum=365,
            description=Text(
                en="For how many days; 1 if left out.", zh="多少天内有效；默认 1 天。"
            ),
        ),
    ),
    examples=("/quota",),
)
