"""/ping: whether everybody is awake: gateway, workers, versions, how long we take to answer."""

from __future__ import annotations

import platform
from importlib import metadata
from time import perf_counter
from typing import TYPE_CHECKING

from bot.core.chat import Command, Field, Invocation, Options, Reply, Text
from bot.core.i18n import formats

if TYPE_CHECKING:
    from bot.services import Services

_AWAKE = Text(en="Awake.", zh="在线。")
_STATES = {
    "ready": Text(en="ready", zh="就绪"),
    "loading": Text(
        en="loading models; jobs wait in the queue", zh="正在加载模型；任务在队列中等待"
    ),
    "paused": Text(en="paused", zh="已暂停"),
    "none": Text(en="none; jobs wait in the queue", zh="无；任务在队列中等待"),
}
_GATEWAY = Text(en="Gateway", zh="网关")
_UP = Text(en="up for {time}", zh="已运行 {time}")
_WORKER = Text(en="Worker", zh="工作进程")
_DEVICE = Text(en="Device", zh="设备")
_DATABASE = Text(en="Database answered in", zh="数据库应答时间")
_VERSIONS = Text(en="Versions", zh="版本")


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    locale = invocation.origin.locale
    began = perf_counter()
    await services.jobs.live(invocation.origin)
    database_ms = (perf_counter() - began) * 1000
    status = services.status
    uptime = formats.duration(status.uptime_s, locale)
    fields = [
        Field(_GATEWAY.in_(locale), _UP.in_(locale).format(time=uptime)),
        Field(_WORKER.in_(locale), _STATES[status.worker_state].in_(locale)),
        Field(_DEVICE.in_(locale), ", ".join(status.devices)),
        Field(_DATABASE.in_(locale), f"{database_ms:.1f} ms"),
        Field(_VERSIONS.in_(locale), _versions()),
    ]
    return Reply(
        text=_AWAKE.in_(locale),
        fields=tuple(field for field in fields if field.value),
        ephemeral=True,
    )


def _versions() -> str:
    try:
        own = metadata.version("atelier")
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        own = "?"
    return f"Atelier {own} · Python {platform.python_version()}"


COMMAND = Command(
    name="ping",
    summary=Text(en="Ask whether the studio is awake", zh="查看工作室是否在线"),
    run=_run,
    examples=("/ping",),
)
