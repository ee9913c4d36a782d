"""One decode loop for every causal language model: GPT-2, Llama and Qwen, all tiny."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from generators import catalog
from generators.contract import BadRequest, Generated, GenerateRequest, Step
from generators.models import gpt2
from generators.registry import ModelEntry
from generators.writing import session

PARAMS = catalog.spec("gpt2").params


@pytest.fixture(scope="session")
def llama_folder(
    tmp_path_factory: pytest.TempPathFactory, make_language_model: Callable[..., None]
) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("weights") / "llama"
    make_language_model(folder, LlamaForCausalLM, LlamaConfig(**_shape()))
    return folder


@pytest.fixture(scope="session")
def qwen_folder(
    tmp_path_factory: pytest.TempPathFactory, make_language_model: Callable[..., None]
) -> Path:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("weights") / "qwen"
    make_language_model(folder, Qwen2ForCausalLM, Qwen2Config(**_shape()))
    return folder


def _shape() -> dict[str, Any]:
    return {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }


@pytest.fixture(scope="module", params=["gpt2_folder", "llama_folder", "qwen_folder"])
def model(
    request: pytest.FixtureRequest, entry_for: Callable[..., ModelEntry], runtime: Any
) -> gpt2.Model:
    folder = request.getfixturevalue(request.param)
    return gpt2.Model.load(entry_for(folder, "gpt2", defaults={}, limits={}), runtime)


@pytest.fixture(scope="module")
def lexicon(gpt2_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any) -> gpt2.Model:
    """Understands headwords and reads Latin letters only, as the starter weights do."""
    return gpt2.Model.load(entry_for(gpt2_folder), runtime)


def ask(job_id: str, seed: int = 7, count: int = 1, **params: Any) -> GenerateRequest:
    return GenerateRequest(job_id, PARAMS(**{"prompt": "a red heart", **params}), seed, count)


def write(
    model: gpt2.Model, *requests: GenerateRequest, on_step: Any = lambda step: frozenset()
) -> list[list[str]]:
    answers = model.generate(requests, on_step)
    assert all(isinstance(answer, Generated) for answer in answers), answers
    return [
        [item.data.decode() for item in answer.items]
        for answer in answers
        if isinstance(answer, Generated)
    ]


# ---------------------------------------------------------------- every model


@pytest.mark.parametrize("penalty", [1.0, 1.4])
def test_the_likeliest_text_is_the_one_transformers_writes(
    model: gpt2.Model, penalty: float
) -> None:
    """Parity of loop, cache, padding and positions, for rows of different lengths together."""
    prompts = ["a", "two small blue cats on the table, a dragon", "a red heart"]
    requests = [
        ask(p, prompt=p, temperature=0.0, max_new_tokens=20, repetition_penalty=penalty)
        for p in prompts
    ]
    for prompt, [ours] in zip(prompts, write(model, *requests), strict=True):
        ids = model.tokenizer(prompt, return_tensors="pt")["input_ids"]
        theirs = model.net.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=20,
            repetition_penalty=penalty,
        )
        assert ours == _clean(model.tokenizer.decode(theirs[0], skip_special_tokens=True))


def _clean(text: str) -> str:
    visible = "".join(c for c in text if c.isprintable() or c in "\n\t")
    return visible.rstrip("\ufffd").rstrip()


def test_a_text_does_not_depend_on_its_company(model: gpt2.Model) -> None:
    alone = write(model, ask("x", 7, max_new_tokens=30))[0]
    company = write(
        model,
        ask("a", 1, 4, prompt="two small blue cats on the table", max_new_tokens=3),
        ask("x", 7, max_new_tokens=30),
        ask("b", 2, 2, prompt="d", top_k=0, top_p=1.0, repetition_penalty=1.5),
        ask("c", 3, temperature=0.0, max_new_tokens=40),
    )
    assert company[1] == alone


def test_a_text_longer_than_the_context_goes_on_and_keeps_its_seed(model: gpt2.Model) -> None:
    long = {"max_new_tokens": 100, "prompt": "two small blue cats on the table. " * 6}
    steps: list[Step] = []
    request = ask("x", 7, **long)
    [alone] = write(model, request, on_step=lambda step: steps.append(step) or frozenset())
    assert alone[0].startswith("two small blue cats")
    assert write(model, ask("a", 1, max_new_tokens=90), request)[1] == alone
    assert steps[-1].inference_step == steps[-1].total_steps == 100


def test_text_streams_and_only_grows(model: gpt2.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "TEXT_EVERY_S", -1.0)
    seen: list[str] = []

    def on_step(step: Step) -> frozenset[str]:
        seen.append(step.texts["x"])
        return frozenset()

    [[final]] = write(model, ask("x", 7, max_new_tokens=25), on_step=on_step)
    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
    assert seen[-1].rstrip() == final
    assert not any(text.endswith("\ufffd") for text in seen)
    assert len(set(seen)) > 3


def test_a_short_text_is_handed_over_before_the_long_one_ends(model: gpt2.Model) -> None:
    steps: list[Step] = []

    def on_step(step: Step) -> frozenset[str]:
        steps.append(step)
        return frozenset()

    texts = write(
        model, ask("long", 1, max_new_tokens=30), ask("short", 2, 2, max_new_tokens=2),
        on_step=on_step,
    )  # fmt: skip
    early = {job: (s.inference_step, g) for s in steps for job, g in s.finished.items()}
    if steps[-1].inference_step > 2 and len(steps) > 2:  # the long one did not end by chance
        assert set(early) == {"short"}
        step, generated = early["short"]
        assert step <= 2
        assert [item.data.decode() for item in generated.items] == texts[1]


def test_rows_leave_when_their_job_is_cancelled(model: gpt2.Model) -> None:
    widths: list[int] = []
    forward = model.net.forward

    def spied(*args: Any, **kwargs: Any) -> Any:
        widths.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    model.net.forward = spied
    try:
        wanted = ask("b", 2, temperature=0.0, max_new_tokens=10)
        model.generate(
            [ask("a", 1, 3, temperature=0.0, max_new_tokens=10), wanted],
            lambda step: frozenset({"a"}),
        )
    finally:
        model.net.forward = forward
    assert widths[0] == 4
    assert set(widths[1:]) == {1}


# ---------------------------------------------------------------- prompts


def test_a_headword_begins_an_entry_and_other_text_is_continued(lexicon: gpt2.Model) -> None:
    for prompt, start in {
        "dragon": "dragon (",
        " rubber duck ": "rubber duck (",
        "will-o'-wisp": "will-o'-wisp (",
        "café": "café (",
        "Once upon a time there was a": "Once upon a time there was a",
        "dragon (noun): a ": "dragon (noun): a",
        "It is 5 o'clock": "It is 5 o'clock",
        "Hello!": "Hello!",
        "The end.": "The end.",
    }.items():
        [[text]] = write(lexicon, ask("x", prompt=prompt))
        assert text.startswith(start), prompt
        if not start.endswith("("):
            assert not text.startswith(f"{prompt.strip()} (") or prompt.endswith("(")


@pytest.mark.parametrize("prompt", ["龙", "🙂🙂", "Дракон", "12345", "?!", "\u200b"])
def test_what_an_english_lexicon_cannot_read_is_declined(lexicon: gpt2.Model, prompt: str) -> None:
    answers = lexicon.generate([ask("x", prompt=prompt), ask("y")], lambda step: frozenset())
    assert isinstance(answers[0], BadRequest)
    assert "English" in str(answers[0])
    assert isinstance(answers[1], Generated)


def test_a_model_without_such_limits_reads_everything(
    gpt2_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any
) -> None:
    model = gpt2.Model.load(entry_for(gpt2_folder, limits={}), runtime)
    [[text]] = write(model, ask("x", prompt="龙"))
    assert text.startswith("龙")
    assert write(model, ask("x", prompt="dragon"))[0][0].startswith("dragon")
    [answer] = model.generate([ask("x", prompt="\x00\x1b ")], lambda step: frozenset())
    assert isinstance(answer, BadRequest)


def test_several_texts_have_seeds_that_count_on(lexicon: gpt2.Model) -> None:
    [several] = write(lexicon, ask("x", 5, 3, prompt="dragon"))
    single = [write(lexicon, ask("x", 5 + n, prompt="dragon"))[0][0] for n in range(3)]
    assert several == single
    assert len(set(several)) > 1


def test_control_characters_never_come_out(lexicon: gpt2.Model) -> None:
    texts = write(lexicon, *(ask(str(n), n, temperature=2.0, top_k=0, top_p=1.0) for n in range(8)))
    for [text] in texts:
        assert all(c.isprintable() or c in "\n\t" for c in text)


def test_only_safetensors_are_loaded(
    gpt2_folder: Path, tmp_path: Path, entry_for: Callable[..., ModelEntry], runtime: Any
) -> None:
    for path in gpt2_folder.iterdir():
        if path.suffix == ".json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    net = gpt2.Model.load(entry_for(gpt2_folder), runtime).net
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        gpt2.Model.load(entry_for(tmp_path), runtime)
