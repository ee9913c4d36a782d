"""Sixteen members at once against the same weights called one at a time by their own library.

Ours is measured from the outside: a real studio, sixteen browser sessions, from the first command
to the last answer. Baselines: stock `DiffusionPipeline` and `transformers.pipeline` in this process
with the same settings, float32, one request after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import Guest, StudioProcess

from generators.weights import STARTER, read_manifest

if TYPE_CHECKING:
    from conftest import Report

MEMBERS, ROUNDS = 16, 4
NO_LIMITS = {"QUOTA_GPU_SECONDS": 0, "ACTIVE_JOBS": 100, "WAITING_JOBS": 100}
MAX_NEW_TOKENS = 48


async def test_pictures_a_second(tmp_path: Path, report: Report) -> None:
    ours = await _rate(tmp_path, "/imagine red heart count:1", lambda turn: 1)
    alone = await asyncio.to_thread(_pictures_one_at_a_time)
    report.add("16 concurrent /imagine", ours, "pictures/s", "stock pipeline, one by one", alone)


async def test_tokens_a_second(tmp_path: Path, report: Report) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(STARTER / "gpt2")
    line = f"/write The dragon max_new_tokens:{MAX_NEW_TOKENS}"

    def tokens(turn: dict[str, Any]) -> int:
        prose = turn["html"].split('<div class="prose">')[-1].split("</div>")[0]
        return len(tokenizer(prose)["input_ids"])

    ours = await _rate(tmp_path, line, tokens)
    alone = await asyncio.to_thread(_tokens_one_at_a_time)
    report.add("16 concurrent /write", ours, "tokens/s", "transformers.pipeline, one by one", alone)


async def _rate(folder: Path, line: str, worth: Callable[[dict[str, Any]], int]) -> float:
    """What is made a second by sixteen guests who all ask at once, round after round."""
    async with StudioProcess(folder, model_child=None, **NO_LIMITS) as studio:
        guests = [Guest(studio) for _ in range(MEMBERS)]
        try:
            for guest in guests:
                await guest.visit()
            await guests[0].ask(line)  # the model is loaded now
            began = time.perf_counter()
            made = 0
            for _ in range(ROUNDS):
                turns = await asyncio.gather(*(guest.ask(line) for guest in guests))
                made += sum(worth(turn) for turn in turns)
            return made / (time.perf_counter() - began)
        finally:
            for guest in guests:
                await guest.__aexit__(None, None, None)


def _pictures_one_at_a_time() -> float:
    import torch
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(STARTER / "diffusion", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    manifest = read_manifest(STARTER / "diffusion")
    assert manifest is not None
    settings = {k: v for k, v in manifest.defaults.items() if k not in {"negative_prompt"}}
    pipeline("red heart", **settings)
    began = time.perf_counter()
    for _ in range(MEMBERS):
        pipeline("red heart", **settings)
    return MEMBERS / (time.perf_counter() - began)


def _tokens_one_at_a_time() -> float:
    import torch
    from transformers import pipeline

    generate = pipeline("text-generation", model=str(STARTER / "gpt2"), dtype=torch.float32)
    manifest = read_manifest(STARTER / "gpt2")
    assert manifest is not None
    sampling = {k: v for k, v in manifest.defaults.items() if k != "max_new_tokens"}

    def one() -> int:
        answer = generate(
            "The dragon",
            do_sample=True,
            max_new_tokens=MAX_NEW_TOKENS,
            return_full_text=False,
            **sampling,
        )
        return len(generate.tokenizer(answer[0]["generated_text"])["input_ids"])

    one()
    began = time.perf_counter()
    made = sum(one() for _ in range(MEMBERS))
    return made / (time.perf_counter() - began)
