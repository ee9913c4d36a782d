"""One contract battery over all generators: what every model promises, with tiny weights."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from generators import catalog
from generators.contract import (
    BadRequest,
    Cancelled,
    Generated,
    GenerateRequest,
    GeneratorSpec,
    Media,
    Step,
)
from generators.registry import ModelEntry

Load = Callable[[str], Any]

PARAMS: dict[str, dict[str, Any]] = {
    "audio_gan": {"prompt": "a red heart", "duration_s": 0.4},
    "diffusion": {"prompt": "a red heart"},
    "gan": {"prompt": "a red heart"},
    "gpt2": {"prompt": "a red heart"},
    "lanczos": {"scale": 2},
    "lstm": {"prompt": "a red heart"},
    "super_resolution": {"scale": 2},
    "vae": {"prompt": "a red heart"},
}


def picture(colour: tuple[int, int, int] = (250, 20, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((9, 7)).convert("RGB").point(
        [value * channel // 255 for channel in colour for value in range(256)]
    ).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module", params=catalog.names())
def spec(request: pytest.FixtureRequest) -> GeneratorSpec:
    return catalog.spec(request.param)


@pytest.fixture(scope="module")
def model(
    spec: GeneratorSpec,
    entry_for: Callable[..., ModelEntry],
    runtime: Any,
    request: pytest.FixtureRequest,
) -> Any:
    if not spec.needs_weights:
        entry = ModelEntry(name=spec.name, generator=spec.name)
    else:
        fixture = {"diffusion": "sd_folder"}.get(spec.name, f"{spec.name}_folder")
        folder: Path = request.getfixturevalue(fixture)
        entry = entry_for(folder)
    return catalog.load(spec.name).load(entry, runtime)


def ask(spec: GeneratorSpec, job_id: str, seed: int, count: int = 1, **changes: Any) -> Any:
    needs_picture = "image_input" in spec.capabilities and "prompt" not in spec.capabilities
    inputs = {"image": picture()} if needs_picture else {}
    params = spec.params(**{**PARAMS[spec.name], **changes})
    return GenerateRequest(job_id, params, seed, min(count, spec.max_count), inputs)


def run(
    model: Any, requests: Sequence[GenerateRequest], on_step: Any = lambda step: frozenset()
) -> list[Generated]:
    answers = model.generate(requests, on_step)
    assert all(isinstance(answer, Generated) for answer in answers), answers
    return answers


def data(generated: Generated) -> list[bytes]:
    return [item.data for item in generated.items]


def things(generated: Generated) -> list[Media]:
    """What was asked for, without its other formats and plots."""
    return [item for item in generated.items if item.role == "item"]


def largest_difference(a: bytes, b: bytes) -> int:
    first, second = (Image.open(io.BytesIO(x)).convert("RGB").tobytes() for x in (a, b))
    assert len(first) == len(second)
    return max(abs(x - y) for x, y in zip(first, second, strict=True))


def test_same_seed_same_bytes(spec: GeneratorSpec, model: Any) -> None:
    first, second = (run(model, [ask(spec, "a", 7, 2)])[0] for _ in range(2))
    assert data(first) == data(second)


def test_another_seed_gives_another_result(spec: GeneratorSpec, model: Any) -> None:
    if "prompt" not in spec.capabilities:
        pytest.skip("draws nothing at random")
    assert data(run(model, [ask(spec, "a", 7)])[0]) != data(run(model, [ask(spec, "a", 8)])[0])


def test_a_result_does_not_depend_on_its_company(spec: GeneratorSpec, model: Any) -> None:
    alone = run(model, [ask(spec, "a", 7)])[0]
    strangers = [ask(spec, str(seed), seed, 2) for seed in (1, 2, 3)]
    company = run(model, [*strangers[:2], ask(spec, "a", 7), strangers[2]])[2]
    if spec.modality == "image":
        assert largest_difference(data(alone)[0], data(company)[0]) <= 2
    else:
        assert data(alone) == data(company)


def test_item_i_is_the_item_of_seed_plus_i(spec: GeneratorSpec, model: Any) -> None:
    if spec.max_count == 1:
        pytest.skip("makes one item only")
    several = run(model, [ask(spec, "a", 2**32 - 1, 2)])[0]  # wraps around
    second = run(model, [ask(spec, "a", 0)])[0]
    if spec.modality == "image":
        assert largest_difference(data(several)[1], data(second)[0]) <= 2
    else:
        assert things(several)[1].data == things(second)[0].data


def test_one_answer_per_request_in_order_with_all_its_items(
    spec: GeneratorSpec, model: Any
) -> None:
    requests = [ask(spec, "a", 1, 1), ask(spec, "b", 2, 3), ask(spec, "c", 3, 2)]
    for request, generated in zip(requests, run(model, requests), strict=True):
        assert len(things(generated)) == request.count
        assert generated.items[0].role == "item"
        assert all(item.data for item in generated.items)
        for item in things(generated):
            assert item.mime.partition("/")[0] == spec.modality
            assert item.facts
            if spec.modality == "image":
                image = Image.open(io.BytesIO(item.data))
                assert image.size == (item.facts["width"], item.facts["height"])


def test_the_params_used_are_told_without_gaps(spec: GeneratorSpec, model: Any) -> None:
    used = run(model, [ask(spec, "a", 7)])[0].params
    assert set(used) == set(spec.params.model_fields)
    assert {name for name, value in used.items() if value is None} <= {"variation_seed"}
    spec.params(**used)  # what was used is a request again


def test_the_params_used_give_the_same_result_again(spec: GeneratorSpec, model: Any) -> None:
    first = run(model, [ask(spec, "a", 7)])[0]
    again = run(model, [ask(spec, "a", 7, **first.params)])[0]
    assert data(first) == data(again)


def test_progress_is_monotonic_and_complete(spec: GeneratorSpec, model: Any) -> None:
    steps: list[Step] = []

    def on_step(step: Step) -> frozenset[str]:
        steps.append(step)
        return frozenset()

    run(model, [ask(spec, "a", 1), ask(spec, "b", 2)], on_step)
    numbers = [step.inference_step for step in steps]
    assert numbers == sorted(numbers)
    assert numbers[0] >= 1
    assert len({step.total_steps for step in steps}) == 1
    assert numbers[-1] == steps[-1].total_steps


def test_cancelling_all_stops_at_that_step(spec: GeneratorSpec, model: Any) -> None:
    taken = []

    def on_step(step: Step) -> frozenset[str]:
        taken.append(step.inference_step)
        raise Cancelled

    with pytest.raises(Cancelled):
        model.generate([ask(spec, "a", 1), ask(spec, "b", 2)], on_step)
    assert len(taken) == 1
    run(model, [ask(spec, "a", 1)])  # and the model is as good as before


def test_cancelling_one_leaves_the_other_as_it_was(spec: GeneratorSpec, model: Any) -> None:
    requests = [ask(spec, "a", 1), ask(spec, "b", 2)]
    undisturbed = run(model, requests)[1]
    answers = model.generate(requests, lambda step: frozenset({"a"}))
    if spec.modality == "image":
        assert largest_difference(data(undisturbed)[0], data(answers[1])[0]) <= 2
    else:
        assert data(undisturbed) == data(answers[1])


def test_bad_params_are_refused_by_the_schema(spec: GeneratorSpec) -> None:
    good = PARAMS[spec.name]
    spec.params(**good)
    for bad in ({"unknown": 1}, {next(iter(good)): None}, {next(iter(good)): [1]}):
        with pytest.raises(ValidationError):
            spec.params(**{**good, **bad})
    if "prompt" in spec.capabilities:
        for prompt in ("", "x" * 5000, 7, None):
            with pytest.raises(ValidationError):
                spec.params(**{**good, "prompt": prompt})


@pytest.mark.parametrize(
    "prompt", ["\x00\x01\x1b[31m", "\U000e0001", "🫠" * 200, "\ud7ff\u202e\u200b", " \n\t "]
)
def test_odd_prompts_are_served_or_declined_but_never_crash(
    spec: GeneratorSpec, model: Any, prompt: str
) -> None:
    if "prompt" not in spec.capabilities:
        pytest.skip("takes no prompt")
    odd = replace(ask(spec, "odd", 1), params=spec.params(prompt=prompt))
    answers = model.generate([odd, ask(spec, "fine", 2)], lambda step: frozenset())
    assert isinstance(answers[0], Generated | BadRequest)
    assert str(answers[0]) if isinstance(answers[0], BadRequest) else answers[0].items
    assert isinstance(answers[1], Generated)


def test_every_param_is_described(spec: GeneratorSpec) -> None:
    for name, field in spec.params.model_fields.items():
        assert field.description, name
    assert {"en", "zh"} <= set(spec.summary)
    assert set(spec.compat_fields) <= set(spec.params.model_fields)
    assert spec.max_count <= spec.max_batch
