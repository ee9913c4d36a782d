"""Sixteen pictures asked for at once, through the engine, against the same net without any of it.

The net is a latent U-Net of 11 M parameters with random weights, 20 steps, guidance. Baselines:
stock `StableDiffusionPipeline` in float32, one call after the other; and a bare loop over the same
parts at the same batch in float32, which the serving layer can at best equal. Ours runs once in
float32 and once in the format the studio chooses (bfloat16 where the processor has tiles for it).
Also: how long four pictures of 256 px take with the weights that ship.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.engine.local import LocalEngine
from generators.engine.port import EngineJob
from generators.models_file import Dtype, HostEntry, add_model
from generators.settings import GeneratorSettings
from generators.weights import STARTER, WeightsManifest, write_manifest

if TYPE_CHECKING:
    from conftest import Report

AT_ONCE, ROUNDS, STEPS, GUIDANCE = 16, 3, 20, 4.0
PROMPT = "red heart"


async def test_sixteen_at_once(tmp_path: Path, report: Report) -> None:
    folder = tmp_path / "eleven"
    await asyncio.to_thread(_save, folder)
    alone, bare = await asyncio.to_thread(_baselines, folder)
    formats: tuple[Dtype, ...] = ("float32", "auto")
    for dtype in formats:
        ours = await _through_the_engine(tmp_path / dtype, folder, dtype)
        what = f"{AT_ONCE} pictures at once (11 M U-Net, {STEPS} steps, {dtype})"
        report.add(what, ours, "pictures/s", "stock pipeline, one by one", alone)
        if dtype == "float32":
            report.add(what, ours, "pictures/s", f"bare loop at batch {AT_ONCE}", bare)


async def test_four_pictures_of_256_px(tmp_path: Path, report: Report) -> None:
    settings = GeneratorSettings(data_dir=tmp_path, log_level="error")
    async with LocalEngine(settings) as engine:
        results = engine.results()
        times = []
        for turn in range(4):
            began = time.perf_counter()
            await engine.send(_job(turn, "diffusion", {"prompt": PROMPT, "upscale": 4}, count=4))
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
    defaults = {
        "num_inference_steps": STEPS,
        "guidance_scale": GUIDANCE,
        "height": 64,
        "width": 64,
    }
    write_manifest(folder, WeightsManifest(generator="diffusion", defaults=defaults))


def _baselines(folder: Path) -> tuple[float, float]:
    """(stock pipeline one by one, bare loop at the batch) in pictures a second."""
    import torch
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    settings: dict[str, Any] = {
        "num_inference_steps": STEPS,
        "guidance_scale": GUIDANCE,
        "height": 64,
        "width": 64,
    }
    pipeline(PROMPT, **settings)
    began = time.perf_counter()
    for _ in range(AT_ONCE):
        pipeline(PROMPT, **settings)
    alone = AT_ONCE / (time.perf_counter() - began)
    _bare_loop(pipeline)
    began = time.perf_counter()
    for _ in range(ROUNDS):
        _bare_loop(pipeline)
    return alone, ROUNDS * AT_ONCE / (time.perf_counter() - began)


def _bare_loop(pipeline: Any) -> Any:
    """Words, steps, decoding: nothing else. Returns (B, 64, 64, 3) in 0 ... 255."""
    import torch

    with torch.inference_mode():
        tokens = pipeline.tokenizer(
            [""] * AT_ONCE + [PROMPT] * AT_ONCE,
            padding="max_length",
            max_length=pipeline.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        words = pipeline.text_encoder(tokens.input_ids)[0]
        scheduler = pipeline.scheduler
        scheduler.set_timesteps(STEPS)
        latents = torch.randn(AT_ONCE, 8, 8, 8) * scheduler.init_noise_sigma
        for timestep in scheduler.timesteps:
            both = scheduler.scale_model_input(torch.cat([latents, latents]), timestep)
            predicted = pipeline.unet(both, timestep, encoder_hidden_states=words).sample
            without, towards = predicted.chunk(2)
            guided = without + GUIDANCE * (towards - without)
            latents = scheduler.step(guided, timestep, latents).prev_sample
        pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
        return ((pixels + 1) * 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


async def _through_the_engine(data_dir: Path, folder: Path, dtype: Dtype) -> float:
    settings = GeneratorSettings(data_dir=data_dir, log_level="error", preload=False)
    entry = HostEntry(generator="diffusion", weights=str(folder), dtype=dtype)
    add_model(settings.models_path, "eleven", entry)
    async with LocalEngine(settings) as engine:
        results = engine.results()

        async def ask(turn: int, jobs: int) -> None:
            for number in range(jobs):
                await engine.send(_job(turn * AT_ONCE + number, "eleven", {"prompt": PROMPT}))
            for _ in range(jobs):
                result, acknowledge = await anext(results)
                if result.state != "done":
                    raise RuntimeError(result.error)
                await acknowledge()

        await ask(0, 1)  # the model is loaded now
        await ask(1, AT_ONCE)
        began = time.perf_counter()
        for turn in range(ROUNDS):
            await ask(2 + turn, AT_ONCE)
        return ROUNDS * AT_ONCE / (time.perf_counter() - began)


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
