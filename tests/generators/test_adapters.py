"""Adapters over one base in memory: what they change, what they leave, and that nothing grows."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from generators import catalog
from generators.contract import Generated, GenerateRequest
from generators.models_file import AdapterSource
from generators.nn import adapters
from generators.registry import ModelEntry
from generators.runtime import ModelCache, Runtime
from generators.weights import WeightsError, weights_hash

MakeAdapter = Callable[..., AdapterSource]
MakeStyle = Callable[[int], ModelEntry]

# peft asks transformers for something by its old name when it wraps a model, as these tests do.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="session")
def language_adapter(tmp_path_factory: pytest.TempPathFactory, gpt2_folder: Path) -> MakeAdapter:
    """A LoRA of tiny GPT-2 as peft saves it, random, by seed."""
    made: dict[int, AdapterSource] = {}

    def make(seed: int) -> AdapterSource:
        if seed not in made:
            from peft import LoraConfig, get_peft_model
            from transformers import GPT2LMHeadModel

            net = GPT2LMHeadModel.from_pretrained(gpt2_folder)
            config = LoraConfig(r=2, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True)
            folder = tmp_path_factory.mktemp("adapters") / f"lora{seed}"
            saved(get_peft_model(net, config), seed).save_pretrained(folder)
            made[seed] = AdapterSource(weights=str(folder))
        return made[seed]

    return make


@pytest.fixture(scope="session", params=["peft", "diffusers"])
def picture_adapter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sd_folder: Path
) -> MakeAdapter:
    """A LoRA of the tiny U-Net, as either library saves it."""

    def make(seed: int) -> AdapterSource:
        from diffusers import StableDiffusionPipeline, UNet2DConditionModel
        from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

        unet = UNet2DConditionModel.from_pretrained(sd_folder / "unet")
        net = saved(get_peft_model(unet, LoraConfig(r=2, target_modules=["to_q", "to_v"])), seed)
        folder = tmp_path_factory.mktemp("adapters") / f"{request.param}{seed}"
        if request.param == "peft":
            net.save_pretrained(folder)
        else:
            tensors = get_peft_model_state_dict(net)
            tensors = {k.removeprefix("base_model.model."): v for k, v in tensors.items()}
            StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=tensors)
        return AdapterSource(weights=str(folder))

    return make


def saved(net: Any, seed: int) -> Any:
    """With an adapter that does something: peft begins with one that changes nothing."""
    torch.manual_seed(seed)
    for name, weight in net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    return net


@pytest.fixture
def cache(runtime: Runtime) -> ModelCache:
    return ModelCache(runtime)


@pytest.fixture
def base(gpt2_folder: Path, entry_for: Callable[..., ModelEntry]) -> ModelEntry:
    """A model that writes."""
    return entry_for(gpt2_folder)


@pytest.fixture
def style(base: ModelEntry, language_adapter: MakeAdapter) -> MakeStyle:
    """`style(n)`: the base with an adapter, `s<n>`."""
    return lambda number: adapted(base, f"s{number}", language_adapter(number))


def adapted(base: ModelEntry, style: str, source: AdapterSource) -> ModelEntry:
    return base.model_copy(update={"name": f"{base.name}+{style}", "adapter": source})


def made(cache: ModelCache, entry: ModelEntry, **params: Any) -> list[bytes]:
    spec = catalog.spec(entry.generator)
    request = GenerateRequest("a", spec.params(**{"prompt": "a red heart", **params}), 7)
    [answer] = cache.get(entry).model.generate([request], lambda step: frozenset())
    assert isinstance(answer, Generated)
    return [item.data for item in answer.items]


def test_each_style_writes_its_own_and_the_base_stays_itself(
    cache: ModelCache, base: ModelEntry, style: MakeStyle
) -> None:
    one, two = style(1), style(2)
    plain = made(cache, base)
    texts = [made(cache, entry) for entry in (one, two, base, one, base)]
    assert plain == texts[2] == texts[4]
    assert texts[0] == texts[3]
    assert len({*map(tuple, (plain, texts[0], texts[1]))}) == 3


def test_a_style_is_what_peft_itself_makes_of_it(
    cache: ModelCache, base: ModelEntry, gpt2_folder: Path, language_adapter: MakeAdapter
) -> None:
    from peft import PeftModel
    from transformers import GPT2LMHeadModel

    source = language_adapter(1)
    tokens = torch.tensor([[5, 7, 11, 13]])
    theirs = PeftModel.from_pretrained(
        GPT2LMHeadModel.from_pretrained(gpt2_folder), source.weights
    ).eval()
    for scale in (1.0, 0.5):
        scaled = source.model_copy(update={"scale": scale})
        ours = cache.get(adapted(base, f"s{scale}", scaled)).model.net
        for module in theirs.modules():
            if hasattr(module, "set_scale"):
                module.set_scale("default", scale)
        with torch.no_grad():
            assert torch.allclose(ours(tokens).logits, theirs(tokens).logits, atol=1e-5)


def test_pictures_take_styles_too(
    cache: ModelCache,
    sd_folder: Path,
    entry_for: Callable[..., ModelEntry],
    picture_adapter: MakeAdapter,
) -> None:
    picture = entry_for(sd_folder)
    styled = adapted(picture, "style", picture_adapter(1))
    plain = made(cache, picture, num_inference_steps=2)
    other = made(cache, styled, num_inference_steps=2)
    assert plain != other
    assert made(cache, picture, num_inference_steps=2) == plain
    assert made(cache, styled, num_inference_steps=2) == other
    loop = made(cache, styled, num_inference_steps=2, frames=2)
    assert loop[0] != made(cache, picture, num_inference_steps=2, frames=2)[0]


def test_styles_share_the_base_and_are_told_apart_in_receipts(
    cache: ModelCache, base: ModelEntry, style: MakeStyle
) -> None:
    one = style(1)
    assert one.adapter is not None
    loaded, styled = cache.get(base), cache.get(one)
    assert styled.model is loaded.model
    expected = weights_hash(Path(one.adapter.weights))
    assert (loaded.adapter_hash, styled.adapter_hash) == (None, expected)
    assert styled.weights_hash == loaded.weights_hash
    assert cache.names == ["tiny+s1", "tiny"]
    spec = catalog.spec("gpt2")
    params = spec.params(prompt="x")
    assert spec.compat_key(one.name, params) != spec.compat_key(base.name, params)


def test_only_so_many_styles_stay_in_memory(cache: ModelCache, style: MakeStyle) -> None:
    entries = [style(number) for number in range(6)]
    texts = [made(cache, entry) for entry in entries]
    slots = cache.get(entries[0]).model.adapters
    assert len(slots.attached) == adapters.MAX_ATTACHED
    assert slots.attached[-1] == entries[0].adapter
    assert [made(cache, entry) for entry in entries] == texts


BROKEN: dict[str, Sequence[str]] = {
    "holds no safetensors": [adapters.PEFT_TENSORS],
    "is no peft adapter": [adapters.PEFT_CONFIG],
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_what_is_no_adapter_is_said_and_the_base_still_works(
    cache: ModelCache,
    base: ModelEntry,
    language_adapter: MakeAdapter,
    tmp_path: Path,
    sentence: str,
) -> None:
    plain = made(cache, base)
    for path in Path(language_adapter(1).weights).iterdir():
        if path.name not in BROKEN[sentence]:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match=sentence):
        cache.get(adapted(base, "broken", AdapterSource(weights=str(tmp_path))))
    assert made(cache, base) == plain


def test_an_adapter_of_another_model_is_refused(
    cache: ModelCache,
    sd_folder: Path,
    entry_for: Callable[..., ModelEntry],
    language_adapter: MakeAdapter,
) -> None:
    picture = entry_for(sd_folder)
    plain = made(cache, picture, num_inference_steps=1)
    with pytest.raises(WeightsError, match="does not fit"):
        cache.get(adapted(picture, "odd", language_adapter(1)))
    assert made(cache, picture, num_inference_steps=1) == plain


def test_generators_without_adapters_say_so(cache: ModelCache, tmp_path: Path) -> None:
    entry = ModelEntry(name="lanczos+x", generator="lanczos", adapter=AdapterSource(weights="a/b"))
    with pytest.raises(WeightsError, match="take no adapters"):
        cache.get(entry)


def test_memory_is_flat_over_a_thousand_switches(
    base: ModelEntry, style: MakeStyle, sd_folder: Path, entry_for: Callable[..., ModelEntry]
) -> None:
    """Between models, styles that stay attached, and styles that push one another out."""
    picture = entry_for(sd_folder, name="picture")
    small = Runtime(torch.device("cpu"), model_memory_bytes=1)  # one model at a time
    roomy, narrow = ModelCache(Runtime(torch.device("cpu"))), ModelCache(small)
    styles = [style(number) for number in range(6)]

    def switch(turn: int) -> None:
        often = styles[turn % 3] if turn % 4 else base
        roomy.get(styles[3 + turn // 50 % 3] if turn % 50 == 0 else often)
        if turn % 100 == 0:
            narrow.get(base)
            narrow.get(picture)

    def living_tensors() -> int:
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    def memory() -> int:
        gc.collect()
        return psutil.Process().memory_info().rss

    for turn in range(200):
        switch(turn)
    before = memory()
    tensors = living_tensors()
    for turn in range(200, 1200):
        switch(turn)
    assert memory() - before < 16 * 2**20
    assert living_tensors() <= tensors
    assert len(narrow.names) == 1
    assert np.isfinite(roomy.memory_bytes)
