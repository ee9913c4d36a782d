"""How fast texts are written: GPT-2 of 124 M parameters with random weights, and the first token.

Sixteen requests come at once to a worker (socket, supervisor, model child, artifact store).
Baselines, the same weights: `transformers.pipeline` in float32, one request after the other; and a
bare loop.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aside import Aside
from bare_loops import SAMPLING, TEXT_PROMPT, TOGETHER, TOKENS, BareTextLoop, TextPipeline
from studio import Guest, StudioProcess

from generators.engine.local import LocalEngine
from generators.engine.port import EngineJob
from generators.settings import GeneratorSettings
from generators.weights import STARTER

if TYPE_CHECKING:
    from conftest import Report

ROUNDS = 5


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2 as it was published, but for its weights; the tokenizer is ours."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("large")
    torch.manual_seed(0)
    net = GPT2LMHeadModel(GPT2Config())
    net.generation_config.eos_token_id = None  # texts are as long as they may be
    net.save_pretrained(folder)
    AutoTokenizer.from_pretrained(STARTER / "gpt2").save_pretrained(folder)
    return folder


async def test_sixteen_texts_at_once(tmp_path: Path, large: Path, report: Report) -> None:
    ours, bare, dtype = await _served_and_bare(tmp_path, large)
    with Aside(TextPipeline, large) as pipeline:
        alone = pipeline.call("one_by_one")
    what = f"16 texts at once, GPT-2 124 M, {dtype}"
    report.add(what, ours, "tokens/s", "transformers.pipeline, float32, one by one", alone)
    report.add(what, ours, "tokens/s", f"bare loop, {dtype}, batch 16", bare)


async def test_first_token(tmp_path: Path, report: Report) -> None:
    async with StudioProcess(tmp_path, model_child=None) as studio, Guest(studio) as guest:
        await guest.ask("/write dragon")  # the model is in memory now
        seconds = [await _first_token(studio, guest) for _ in range(5)]
    report.add("first token of /write, from the command to the page", sorted(seconds)[2], "s")


async def _served_and_bare(folder: Path, weights: Path) -> tuple[float, float, str]:
    """Tokens a second through a worker and in the bare loop, and the number format of both.

    They take turns, warmed up at the batch they are timed at, so that a busy machine slows both
    alike; the median turn counts.
    """
    (folder / "models.toml").write_text(
        f'[models.large]\ngenerator = "gpt2"\nweights = "{weights}"\n', encoding="utf-8"
    )
    settings = GeneratorSettings(data_dir=folder, log_level="error", preload=False, nice=0)
    async with LocalEngine(settings) as engine:
        results = engine.results()

        async def serve(turn: int, tokens: int) -> str:
            for number in range(TOGETHER):
                await engine.send(_job(turn * TOGETHER + number, tokens))
            for _ in range(TOGETHER):
                result, acknowledge = await anext(results)
                await acknowledge()
                assert result.receipt is not None, result.error
            return str(result.receipt["dtype"])

        dtype = await serve(0, 2)  # the model is in memory now
        ours_s, bare_s = [], []
        with Aside(BareTextLoop, weights, dtype) as bare:
            for turn in range(ROUNDS):
                began = time.perf_counter()
                await serve(1 + turn, TOKENS)
                ours_s.append(time.perf_counter() - began)
                bare_s.append(bare.call("seconds"))
    tokens = TOGETHER * TOKENS
    return tokens / statistics.median(ours_s), tokens / statistics.median(bare_s), dtype


def _job(number: int, tokens: int) -> EngineJob:
    return EngineJob(
        id=f"{number:032x}",
        generator="gpt2",
        model="large",
        params={"prompt": TEXT_PROMPT, "max_new_tokens": tokens, **SAMPLING},
        seed=number,
        compat="",
        owner="bench",
    )


async def _first_token(studio: StudioProcess, guest: Guest) -> float:
    """Seconds from giving a command to the first text of it on the page's stream."""
    base = studio.url.rstrip("/")
    async with guest._session.get(f"{base}/api/events") as stream:
        await stream.content.readuntil(b"\n\n")  # hello
        began = time.perf_counter()
        job_id = (await guest.say("/write dragon"))["job"]
        async with asyncio.timeout(60):
            while True:
                event = await stream.content.readuntil(b"\n\n")
                for line in event.splitlines():
                    if line.startswith(b"data: "):
                        news = json.loads(line.removeprefix(b"data: "))
                        if news.get("key") == job_id and (news.get("text") or "html" in news):
                            return time.perf_counter() - began
