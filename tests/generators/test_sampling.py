"""The mathematics of sampling, against its definitions and against transformers' own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from generators import sampling


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- pictures


def test_slerp_ends_where_it_should_and_keeps_the_variance_in_between() -> None:
    a, b = noise(1, 4, 32, 32), noise(2, 4, 32, 32)
    assert torch.allclose(sampling.slerp(a, b, 0.0), a, atol=1e-6)
    assert torch.allclose(sampling.slerp(a, b, 1.0), b, atol=1e-6)
    for strength in (0.1, 0.5, 0.9):
        mixed = sampling.slerp(a, b, strength)
        assert mixed.std().item() == pytest.approx(1.0, abs=0.03)
        straight = (1 - strength) * a + strength * b
        assert mixed.std() > straight.std()


def test_slerp_of_a_noise_with_itself_is_itself() -> None:
    a = noise(1, 4, 8, 8)
    assert torch.allclose(sampling.slerp(a, a, 0.3), a, atol=1e-6)


def test_slerp_commutes_with_packing_and_scaling() -> None:
    a, b = noise(1, 4, 8, 8), noise(2, 4, 8, 8)

    def pack(x: torch.Tensor) -> torch.Tensor:
        return 14.6 * x.permute(1, 2, 0).reshape(16, -1)

    assert torch.allclose(
        sampling.slerp(pack(a), pack(b), 0.3), pack(sampling.slerp(a, b, 0.3)), atol=1e-5
    )


def schedulers() -> dict[str, Callable[[], Any]]:
    import diffusers

    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    return {
        "ddim": lambda: diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=True),
        "euler": diffusers.EulerDiscreteScheduler,
        "flow": diffusers.FlowMatchEulerDiscreteScheduler,
        "dpm": lambda: diffusers.DPMSolverMultistepScheduler(solver_order=1),
        "dpm flow": lambda: diffusers.DPMSolverMultistepScheduler(solver_order=1, **flow),
    }


@pytest.mark.parametrize("name", ["ddim", "euler", "flow", "dpm", "dpm flow"])
def test_two_latents_tell_the_picture_a_perfect_model_is_drawing(name: str) -> None:
    scheduler = schedulers()[name]()
    scheduler.set_timesteps(10)
    picture, unit = noise(1, 1, 4, 8, 8), noise(2, 1, 4, 8, 8)
    signal, level = sampling.noise_levels(scheduler, 0) or pytest.fail("no levels")
    latents = signal * picture + level * unit
    for step, timestep in enumerate(scheduler.timesteps[:-1]):
        scheduler.scale_model_input(latents, timestep) if name == "euler" else None
        exact = unit - picture if "flow" in name else unit  # what a perfect model predicts
        after = scheduler.step(exact, timestep, latents).prev_sample
        levels = sampling.noise_levels(scheduler, step), sampling.noise_levels(scheduler, step + 1)
        assert levels[0] is not None
        assert levels[1] is not None
        estimate = sampling.clean_estimate(latents, after, levels[0], levels[1])
        assert torch.allclose(estimate, picture, atol=2e-3), step
        latents = after


def test_an_unknown_scheduler_tells_no_levels() -> None:
    assert sampling.noise_levels(object(), 0) is None


# ---------------------------------------------------------------- texts

ROWS = 5
LOGITS = st.integers(0, 2**31).map(lambda seed: 3 * noise(seed, ROWS, 37))


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values)


@given(LOGITS, st.integers(0, 40), st.floats(0.05, 1.0), st.floats(0.2, 2.0))
def test_one_setting_for_all_rows_is_what_transformers_does(
    logits: torch.Tensor, top_k: int, top_p: float, temperature: float
) -> None:
    from transformers import (
        LogitsProcessorList,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    theirs: Any = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    theirs += [TopKLogitsWarper(top_k)] if top_k else []
    theirs += [TopPLogitsWarper(top_p)] if top_p < 1 else []
    expected = theirs(torch.zeros(ROWS, 1, dtype=torch.long), logits.clone())
    ours = sampling.keep_likeliest(
        sampling.temper(logits, torch.full((ROWS,), temperature)),
        torch.full((ROWS,), top_k),
        torch.full((ROWS,), top_p),
    )
    differing = torch.isinf(ours) != torch.isinf(expected)
    # The two may disagree about a token whose cumulative probability is top_p to the last bit.
    assert differing.sum() <= 1
    assert torch.allclose(ours[~differing], expected[~differing])


@given(LOGITS)
def test_a_row_does_not_depend_on_what_its_neighbours_ask_for(logits: torch.Tensor) -> None:
    top_k, top_p = torch.tensor([0, 3, 0, 10, 1]), rows(1.0, 1.0, 0.4, 0.7, 1.0)
    together = sampling.keep_likeliest(logits, top_k, top_p)
    for row in range(ROWS):
        alone = sampling.keep_likeliest(
            logits[row : row + 1], top_k[row : row + 1], top_p[row : row + 1]
        )
        assert torch.equal(together[row : row + 1], alone)
    assert torch.equal(together[0], logits[0])
    assert (together[4] > -math.inf).sum() == 1


@given(LOGITS, st.lists(st.floats(0, 1, exclude_max=True), min_size=ROWS, max_size=ROWS))
def test_a_token_is_drawn_from_the_inverse_of_its_distribution(
    logits: torch.Tensor, uniform: list[float]
) -> None:
    drawn = sampling.draw(logits, torch.tensor(uniform, dtype=torch.float64))
    for row, token in enumerate(drawn.tolist()):
        cumulative = logits[row].double().softmax(-1).cumsum(-1)
        target = uniform[row] * float(cumulative[-1])
        below = float(cumulative[token - 1]) if token else 0.0
        assert below <= target < float(cumulative[token]) or token == len(cumulative) - 1


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -math.inf]]).expand(20_000, -1)
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(sampling.draw(logits, uniform), minlength=4) / 20_000
    assert torch.allclose(counts, logits[0].softmax(-1), atol=0.01)
    assert counts[3] == 0


def test_repetition_is_penalized_as_transformers_does() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    logits, ids = 3 * noise(0, 2, 9), torch.tensor([[1, 2, 2], [0, 8, 5]])
    expected = RepetitionPenaltyLogitsProcessor(1.3)(ids, logits.clone())
    assert torch.allclose(sampling.penalize_repetition(logits, ids, rows(1.3, 1.3)), expected)
    assert torch.equal(sampling.penalize_repetition(logits, ids, rows(1.0, 1.0)), logits)


def test_narrowing_keeps_what_the_limits_keep_and_draws_the_same() -> None:
    """Choosing among few candidates is choosing among all with the others left out."""
    logits = noise(3, 4, 50)
    logits[1, :7] = 5.0  # seven that are equally likely, where three are wanted
    top_k, top_p = torch.tensor([5, 3, 1, 40]), rows(0.9, 1.0, 0.5, 0.7)
    everything = torch.zeros_like(top_k)
    ids, few = sampling.narrow(logits, top_k)
    assert ids is not None
    assert ids.shape == (4, 40)
    assert ids[1, :7].tolist() == list(range(7))
    few = sampling.keep_likeliest(few, everything, top_p)
    whole = sampling.keep_likeliest(logits, top_k, top_p)
    for uniform in torch.linspace(0, 0.999, 20):
        chances = uniform.expand(4)
        drawn = ids.gather(1, sampling.draw(few, chances)[:, None]).squeeze(1)
        assert torch.equal(drawn, sampling.draw(whole, chances))


def test_narrowing_is_left_out_where_a_row_wants_all() -> None:
    logits = noise(4, 2, 9)
    for top_k in (torch.tensor([3, 0]), torch.tensor([3, 9])):
        ids, same = sampling.narrow(logits, top_k)
        assert ids is None
        assert same is logits
