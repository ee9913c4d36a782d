"""Distances that are known without measuring: equal sets, a planted copy, no diversity at all."""

from __future__ import annotations

import pytest
import torch

from trainer.evaluation import distances

torch_rng = torch.Generator().manual_seed(0)
CLOUD = torch.randn(300, 8, generator=torch_rng)
OTHER = torch.randn(300, 8, generator=torch_rng)


def test_the_frechet_distance_of_equal_sets_is_nothing_and_of_a_shift_its_square() -> None:
    assert distances.frechet_distance(CLOUD, CLOUD) == pytest.approx(0, abs=1e-6)
    shifted = CLOUD + torch.tensor([3.0] + [0.0] * 7)
    assert distances.frechet_distance(CLOUD, shifted) == pytest.approx(9, rel=1e-4)


def test_the_kernel_distance_knows_one_distribution_from_two() -> None:
    assert abs(distances.kernel_distance(CLOUD, OTHER)) < 0.05
    assert distances.kernel_distance(CLOUD, OTHER + 1) > 0.5


def test_the_inception_score_counts_the_certain_classes() -> None:
    certain = 50 * torch.eye(6)
    assert distances.inception_score(certain.repeat(5, 1)) == pytest.approx(6, rel=1e-3)
    assert distances.inception_score(certain[:1].repeat(30, 1)) == pytest.approx(1, rel=1e-3)


def test_measuring_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    distances.kernel_distance(CLOUD, OTHER)
    distances.inception_score(CLOUD)
    assert torch.equal(before, torch.get_rng_state())


def test_a_planted_copy_is_found() -> None:
    made = OTHER.clone()
    made[17] = CLOUD[42] + 1e-4
    found, indices = distances.nearest(made, CLOUD)
    assert int(found.argmin()) == 17
    assert int(indices[17]) == 42


def test_four_equal_pictures_have_no_diversity() -> None:
    same = CLOUD[:1].repeat(4, 1)
    assert distances.mean_spread([same]) == 0
    assert distances.mean_spread([same, CLOUD[:4]]) == distances.mean_pairwise(CLOUD[:4]) / 2
