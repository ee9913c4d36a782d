"""How fast texts are written: GPT-2 of 124 M parameters with random weights, and the first token.

Sixteen requests come at once to a worker (socket, supervisor, model child, artifact store).
Baselines in this process, the same weights: `transformers.pipeline` in float32, one request after
the other; and a bare loop, which is told everything beforehand and answers nobody.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from studio import Guest, StudioProcess

from generators.engine.local import LocalEngine
from generators.engine.port import EngineJob
from generators.settings import GeneratorSettings
from generators.weights import STARTER

if TYPE_CHECKING:
    from conftest import Report

TOGETHER, TOKENS, ONE_BY_ONE = 16, 48, 3
SAMPLING = {"temperature": 0.9, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.1}
PROMPT = "The dragon"


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
    ours, dtype = await _served(tmp_path, large)
    bare = await asyncio.to_thread(_bare_loop, large, dtype)
    alone = await asyncio.to_thread(_pipeline, large)
    what = f"16 texts at once, GPT-2 124 M, {dtype}"
    report.add(what, ours, "tokens/s", "transformers.pipeline, float32, one by one", alone)
    report.add(what, ours, "tokens/s", f"bare loop, {dtype}, batch 16", bare)


async def test_first_token(tmp_path: Path, report: Report) -> None:
    async with StudioProcess(tmp_path, model_child=None) as studio, Guest(studio) as guest:
        await guest.ask("/write dragon")  # the model is in memory now
        seconds = [await _first_token(studio, guest) for _ in range(5)]
    report.add("first token of /write, from the command to the page", sorted(seconds)[2], "s")


async def _served(folder: Path, weights: Path) -> tuple[float, str]:
    """Tokens a second through a worker, and the number format it chose."""
    (folder / "models.toml").write_text(
        f'[models.large]\ngenerator = "gpt2"\nweights = "{weights}"\n', encoding="utf-8"
    )
    settings = GeneratorSettings(data_dir=folder, log_level="error", preload=False, nice=0)
    async with LocalEngine(settings) as engine:
        await engine.send(_job(TOGETHER, 2))
        results = engine.results()
        first, acknowledge = await anext(results)  # the model is in memory now
        await acknowledge()
        assert first.receipt is not None, first.error
        began = time.perf_counter()
        for number in range(TOGETHER):
            await engine.send(_job(number, TOKENS))
        for _ in range(TOGETHER):
            result, acknowledge = await anext(results)
            await acknowledge()
            assert result.state == "done", result.error
        return TOGETHER * TOKENS / (time.perf_counter() - began), first.receipt["dtype"]


def _job(number: int, tokens: int) -> EngineJob:
    return EngineJob(
        id=f"{number:032x}",
        generator="gpt2",
        model="large",
        params={"prompt": PROMPT, "max_new_tokens": tokens, **SAMPLING},
        seed=number,
        compat="",
        owner="bench",
    )


def _bare_loop(weights: Path, dtype: str) -> float:
    """What the network itself can do: one batch, a cache, top-k sampling, and no text."""
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    net = AutoModelForCausalLM.from_pretrained(weights, dtype=getattr(torch, dtype)).eval()

    @torch.inference_mode()
    def write(tokens: int) -> None:
        cache, latest = DynamicCache(config=net.config), torch.ones(TOGETHER, 4, dtype=torch.long)
        for _ in range(tokens):
            output = net(latest, past_key_values=cache, use_cache=True, logits_to_keep=1)
            likely, indices = output.logits[:, -1].float().div(0.9).topk(50)
            latest = indices.gather(1, torch.multinomial(likely.softmax(-1), 1))

    write(2)
    began = time.perf_counter()
    write(TOKENS)
    return TOGETHER * TOKENS / (time.perf_counter() - began)


def _pipeline(weights: Path) -> float:
    import torch
    from transformers import pipeline

    generate: Any = pipeline("text-generation", model=str(weights), dtype=torch.float32)

    def one(tokens: int) -> None:
        generate(PROMPT, do_sample=True, max_new_tokens=tokens, **SAMPLING)

    one(2)
    began = time.perf_counter()
    for _ in range(ONE_BY_ONE):
        one(TOKENS)
    return ONE_BY_ONE * TOKENS / (time.perf_counter() - began)


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
