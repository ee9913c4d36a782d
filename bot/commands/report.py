"""/report: tell the moderators what is wrong with an answer. The Report entry of a message's menu
opens the same as a form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.chat import Command, Invocation, Option, Options, Reply, Text

if TYPE_CHECKING:
    from bot.services import Services

_REPORTED = Text(
    en="Thank you. The moderators have your report.", zh="谢谢，管理员已收到你的举报。"
)
_ALREADY = Text(
    en="You have reported this already; the moderators know.", zh="你已经举报过了，管理员已知晓。"
)


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    origin = invocation.origin
    job_id = str(options["job"]).strip().lstrip("#").lower()
    opened = await services.house.cases.report(origin, job_id, options["reason"])
    return Reply(text=(_REPORTED if opened else _ALREADY).in_(origin.locale), ephemeral=True)


COMMAND = Command(
    name="report",
    summary=Text(en="Report an answer to the moderators", zh="向管理员举报某个结果"),
    run=_run,
    options=(
        Option(
            name="job",
            required=True,
            minimum=32,
            maximum=33,
            description=Text(
                en="The answer's job id; 🔎 Details shows it.", zh="结果的任务编号（见 🔎 详情）。"
            ),
        ),
        Option(
            name="reason",
            required=True,
            minimum=3,
            maximum=500,
            rest=True,
            multiline=True,
            description=Text(en="What is wrong with it.", zh="有什么问题。"),
        ),
    ),
    examples=("/report job:1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f it shows a real person",),
)
