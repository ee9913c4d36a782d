"""The scripted model child, for answers that are pictures: one plain square for each item, whose
colour is its seed, and previews on the way. Prompts are `scripted_runner`'s."""

from __future__ import annotations

import io

from PIL import Image
from scripted_runner import Scripted

from generators.contract import Media, Step
from generators.engine.port import EngineJob
from generators.serving import Batch, Outcome, Reporting, serve_main

SIDE = 64


class Painting(Scripted):
    """Does as it is told, then paints."""

    def run(self, batch: Batch, link: Reporting) -> None:
        for job in batch.jobs:
            for word in str(job.params.get("prompt", "")).split():
                verb, _, value = word.partition(":")
                self._do(verb, value, job, link)
                if verb == "steps":
                    link.on_step(Step(int(value), int(value), previews={job.id: _painted(job, 0)}))
        for job in batch.jobs:
            if not link.cancelled(job.id):
                items = [_painted(job, n) for n in range(job.count)]
                receipt = {"generator": job.generator, "model": job.model}
                link.answer(Outcome(job.id, "done", items, receipt, gpu_ms=5 * job.count))


def _painted(job: EngineJob, n: int) -> Media:
    buffer = io.BytesIO()
    shade = (job.seed + n) % 2**24
    Image.new("RGB", (SIDE, SIDE), (shade >> 16, shade >> 8 & 255, shade & 255)).save(buffer, "PNG")
    return Media(buffer.getvalue(), "image/png", {"width": SIDE, "height": SIDE})


if __name__ == "__main__":
    serve_main(Painting)
