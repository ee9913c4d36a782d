"""Sixteen pictures asked for at once, through the engine, against the same net without any of it.

The net is a latent U-Net of 11 M parameters with random weights, 20 steps, guidance. Baselines:
stock `StableDiffusionPipeline` in float32, one call after the other; and a bare loop over the same
parts at the same batch in float32, which the serving layer can at best equal. Ours runs once in
float32 and once in the format the studio chooses (bfloat16 where the processor has tiles for it).
Also: how long four pictures of 256 px take with the weights that ship.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aside import Aside
from bare_loops import PICTURE, PICTURE_PROMPT, TOGETHER, PicturePipeline

from generators.engine.local import LocalEngine
from generators.engine.port import EngineJob
from generators.models_file import Dtype, HostEntry, add_model
from generators.settings import GeneratorSettings
from generators.weights import STARTER, WeightsManifest, write_manifest

if TYPE_CHECKING:
    from conftest import Report

ROUNDS = 5


async def test_sixteen_at_once(tmp_path: Path, report: Report) -> None:
    folder = tmp_path / "eleven"
    await asyncio.to_thread(_save, folder)
    formats: tuple[Dtype, ...] = ("float32", "auto")
    with Aside(PicturePipeline, folder) as baseline:
        alone = baseline.call("one_by_one")
        for dtype in formats:
            ours, bare = await _in_turns(tmp_path / dtype, folder, dtype, baseline)
            steps = PICTURE["num_inference_steps"]
            what = f"{TOGETHER} pictures at once (11 M U-Net, {steps} steps, {dtype})"
            report.add(what, ours, "pictures/s", "stock pipeline, one by one", alone)
            if dtype == "float32":
                report.add(what, ours, "pictures/s", f"bare loop at batch {TOGETHER}", bare)


async def test_four_pictures_of_256_px(tmp_path: Path, report: Report) -> None:
    settings = GeneratorSettings(data_dir=tmp_path, log_level="error")
    async with LocalEngine(settings) as engine:
        results = engine.results()
        times = []
        for turn in range(4):
            began = time.perf_counter()
            await engine.send(
                _job(turn, "diffusion", {"prompt": PICTURE_PROMPT, "upscale": 4}, count=4)
            )
            result, acknowledge = await anext(results)
            await acknowledge()
            times.append(time.perf_counter() - began)
            if result.state != "done":  # weights without an upscaler
                return
    report.add("four pictures of 256 px, /imagine's default", min(times[1:]), "s")


def _save(folder: Path) -> None:
    """The starter's own parts around a larger, untrained U-Net."""
    import torch
    from diffusers import DiffusionPipeline, UNet2DConditionModel

    pipeline = DiffusionPipeline.from_pretrained(STARTER / "diffusion", dtype=torch.float32)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=8,
        block_out_channels=(128, 192),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=pipeline.text_encoder.config.hidden_size,
        attention_head_dim=8,
        norm_num_groups=16,
    )
    pipeline.register_modules(unet=unet)
    pipeline.save_pretrained(folder)
    write_manifest(folder, WeightsManifest(generator="diffusion", defaults=PICTURE))


async def _in_turns(
    data_dir: Path, folder: Path, dtype: Dtype, baseline: Aside
) -> tuple[float, float]:
    """Pictures a second through the engine and in the bare loop, batch by batch in turns, so that
    a busy machine slows both alike; the median turn counts."""
    settings = GeneratorSettings(data_dir=data_dir, log_level="error", preload=False, nice=0)
    entry = HostEntry(generator="diffusion", weights=str(folder), dtype=dtype)
    add_model(settings.models_path, "eleven", entry)
    async with LocalEngine(settings) as engine:
        results = engine.results()

        async def ask(turn: int, jobs: int) -> None:
            for number in range(jobs):
                await engine.send(
                    _job(turn * TOGETHER + number, "eleven", {"prompt": PICTURE_PROMPT})
                )
            for _ in range(jobs):
                result, acknowledge = await anext(results)
                if result.state != "done":
                    raise RuntimeError(result.error)
                await acknowledge()

        await ask(0, 1)  # the model is loaded now
        await ask(1, TOGETHER)
        ours_s, bare_s = [], []
        for turn in range(ROUNDS):
            began = time.perf_counter()
            await ask(2 + turn, TOGETHER)
            ours_s.append(time.perf_counter() - began)
            bare_s.append(baseline.call("seconds"))
    return TOGETHER / statistics.median(ours_s), TOGETHER / statistics.median(bare_s)


def _job(number: int, model: str, params: dict[str, Any], count: int = 1) -> EngineJob:
    return EngineJob(
        id=f"{number:032x}",
        generator="diffusion",
        model=model,
        params=params,
        seed=number,
        count=count,
        compat=f"diffusion/{model}",
        owner="bench",
    )
