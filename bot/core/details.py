"""All that is known of a job, for whoever may see it: prompt, seed, model, receipt. Pure."""

from __future__ import annotations

from bot.core import answers
from bot.core.chat import Command, Field, Reply, Text
from bot.core.domain import Job
from bot.core.i18n import formats

_HASH_CHARACTERS = 12

_TITLE = Text(en="Details", zh="详情")
_TYPED = Text(en="As typed", zh="输入方式")
_MODEL = Text(en="Model", zh="模型")
_SEED = Text(en="Seed", zh="种子")
_TIME = Text(en="Time", zh="用时")
_GPU = Text(en="GPU time", zh="GPU 时间")
_WEIGHTS = Text(en="Weights", zh="权重")
_DEVICE = Text(en="Made on", zh="生成设备")
_MADE = Text(en="Made", zh="生成时间")
_JOB = Text(en="Job", zh="任务编号")


def details(command: Command | None, job: Job, locale: str) -> Reply:
    """A job told to one member alone; what is not known yet is left out."""
    receipt = job.receipt or {}
    hashes = [str(receipt.get(name) or "") for name in ("weights_hash", "adapter_hash")]
    device = [str(receipt.get(name) or "") for name in ("device", "dtype")]
    rows = [
        (_TYPED, answers.typed(command, job)),
        (_MODEL, f"{job.model} ({job.generator})"),
        (_SEED, str(job.seed)),
        *((Text(en=name, zh=name), str(value)) for name, value in _params(job).items()),
        (_WEIGHTS, " + ".join(one[:_HASH_CHARACTERS] for one in hashes if one)),
        (_DEVICE, ", ".join(one for one in device if one)),
        (_TIME, formats.duration(answers.run_s(job), locale) if job.finished_at else ""),
        (_GPU, formats.gpu_seconds(job.gpu_ms, locale) if job.gpu_ms else ""),
        (_MADE, formats.moment(job.finished_at or job.created_at, locale)),
        (_JOB, job.id),
    ]
    return Reply(
        title=_TITLE.in_(locale),
        text=answers.prompt_of(job),
        fields=tuple(Field(label.in_(locale), value) for label, value in rows if value),
        ephemeral=True,
    )


def _params(job: Job) -> dict[str, object]:
    """What the generator really took, defaults included, without the prompt."""
    taken = (job.receipt or {}).get("params") or job.params
    return {
        name: value for name, value in taken.items() if name != "prompt" and value not in (None, "")
    }
