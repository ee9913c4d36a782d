"""The picture that an `image` option means: an upload made harmless, or one of the past.

An upload is bounded before anything decodes it (bytes, then pixels), decoded away from the event
loop, turned upright, and written anew as a PNG: what a model, a page or another member ever sees of
it holds no metadata and no second frame. Nothing is stored here: `Admission` does, with the job.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from bot.core.answers import items_of
from bot.core.chat import MAX_UPLOAD_BYTES, Origin, Text, Upload
from bot.core.domain import Artifact, Job
from bot.core.ports import UnitOfWork, UnitOfWorkFactory
from bot.core.suggest import shown
from bot.errors import BadOption, NotFound
from bot.services.access import may_be_listed, may_see
from generators.contract import BadRequest, Media
from generators.engine.port import ArtifactRef

_REFERENCE = re.compile(
    r"(?P<id>last|[0-9a-f]{32})(?:#(?P<n>[1-9]\d?)|@(?P<input>[a-z_]{1,40}))?", re.IGNORECASE
)
_LOOK_BACK = 20  # jobs in which the latest picture is looked for

_NOT_FOUND = Text(
    en="{name}: there is no such picture, or it was deleted.",
    zh="{name}：没有这张图片，或者它已被删除。",
)
_NO_PICTURE = Text(
    en="{name}: that is no picture, but {what}.", zh="{name}：那不是图片，而是 {what}。"
)
_HOW = Text(
    en="{name} takes a file, “last” for your latest picture, or the id of a job or picture of your"
    " history (with #2 for the second picture of a job), not “{value}”.",
    zh="{name} 可以是文件、last（你最近的一张图）、历史中的任务或图片编号"
    "（加 #2 表示任务的第二张图），不能是“{value}”。",
)


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What is read of an upload. `pixels` bounds what decoding costs; a larger side than `side_px`
    is made smaller, since no model here draws larger."""

    max_bytes: int = MAX_UPLOAD_BYTES
    pixels: int = 24_000_000
    side_px: int = 2048


class PictureService:
    """Makes an input out of what a member gave for an `image` option."""

    def __init__(self, uow: UnitOfWorkFactory, limits: UploadLimits | None = None) -> None:
        self._uow, self.limits = uow, limits or UploadLimits()
        # One at a time: a decoded picture is a hundred megabytes, and the gateway is small.
        self._room = asyncio.Semaphore(1)

    async def picture(self, origin: Origin, value: Upload | str, name: str) -> ArtifactRef | Media:
        """The input for the option `name`: stored media, or media that are stored when the job is
        admitted. Raises BadOption for a file that is no picture or too large, NotFound for one of
        the past that is gone or none of the member's business."""
        if isinstance(value, Upload):
            return await self._uploaded(value, name)
        reference = _REFERENCE.fullmatch(value.strip())
        if reference is None:
            text = _HOW.format(name=name, value=shown(value))
            raise BadOption(text.en, text.zh)
        async with self._uow(write=False) as uow:
            found = await _past(uow, origin, reference)
        if found is None:
            text = _NOT_FOUND.format(name=name)
            raise NotFound(text.en, text.zh)
        if not found.mime.startswith("image/"):
            text = _NO_PICTURE.format(name=name, what=found.mime)
            raise BadOption(text.en, text.zh)
        return found

    async def _uploaded(self, upload: Upload, name: str) -> Media:
        if len(upload.data) > self.limits.max_bytes:
            mib = self.limits.max_bytes / 2**20
            raise BadOption(
                f"{name}: the file is larger than the {mib:.3g} MiB that are allowed.",
                f"{name}：文件超过允许的 {mib:.3g} MiB。",
            )
        try:
            async with self._room:
                return await asyncio.to_thread(_judged, upload.data, self.limits)
        except BadRequest as error:
            raise BadOption(f"{name}: {error.en}", f"{name}：{error.zh}") from error


def _judged(data: bytes, limits: UploadLimits) -> Media:
    from generators import media  # pictures are decoded here only; the start need not wait for it

    return media.uploaded_png(data, max_pixels=limits.pixels, max_side_px=limits.side_px)


async def _past(uow: UnitOfWork, origin: Origin, reference: re.Match[str]) -> ArtifactRef | None:
    """What a reference names, if it is there and the member may see it."""
    wanted, number = reference["id"].lower(), int(reference["n"] or 1)
    if wanted == "last":
        items = await _latest(uow, origin)
        return items[number - 1].ref() if number <= len(items) else None
    member = await uow.accounts.find(origin)

    async def seen(job_id: str) -> Job | None:
        job = await uow.jobs.get(job_id)
        return job if job is not None and may_see(origin, member, job) else None

    artifact = await uow.artifacts.get(wanted)
    if artifact is not None:
        return artifact.ref() if await seen(artifact.job_id) is not None else None
    job = await seen(wanted)
    if job is None:
        return None
    if reference["input"]:
        return job.inputs.get(reference["input"].lower())
    items = items_of((await uow.artifacts.of_jobs([job.id]))[job.id])
    return items[number - 1].ref() if number <= len(items) else None


async def _latest(uow: UnitOfWork, origin: Origin) -> tuple[Artifact, ...]:
    """The pictures of the member's latest job that has any, here or, alone, anywhere."""
    member = await uow.accounts.find(origin)
    place = may_be_listed(origin, member)
    jobs = await uow.jobs.history(
        member.account_id, None if place is None else [place], limit=_LOOK_BACK
    )
    artifacts = await uow.artifacts.of_jobs([job.id for job in jobs])
    for job in jobs:
        items = items_of(artifacts[job.id])
        if items and all(item.mime.startswith("image/") for item in items):
            return items
    return ()
