"""Optimizers share the parameters out exactly once; schedules and averages obey their formulas."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from trainer.contract import OptimizerSettings
from trainer.optimizers import Average, build_optimizers, lr_at, split_parameters


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 4)
        self.picture = nn.Conv2d(1, 2, 3)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.table.weight  # tied, as in a language model


def is_hidden(name: str, parameter: nn.Parameter) -> bool:
    return name.startswith(("hidden", "picture"))


def test_only_hidden_matrices_go_to_muon_and_nothing_is_lost_or_doubled() -> None:
    net = Net()
    hidden, rest = split_parameters(net, is_hidden)
    assert [id(parameter) for parameter in hidden] == [id(net.hidden.weight)]
    everything = sorted(id(parameter) for parameter in net.parameters())
    assert sorted(id(parameter) for parameter in hidden + rest) == everything


@pytest.mark.parametrize("muon", [True, False])
def test_the_optimizers_hold_every_parameter_once(muon: bool) -> None:
    net = Net()
    optimizers = build_optimizers(net, OptimizerSettings(muon=muon), is_hidden)
    kinds = [type(optimizer).__name__ for optimizer in optimizers]
    assert kinds == (["Muon", "AdamW"] if muon else ["AdamW"])
    held = [
        id(parameter)
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(held) == sorted(id(parameter) for parameter in net.parameters())
    decays = {
        parameter.ndim > 1
        for optimizer in optimizers
        for group in optimizer.param_groups
        if group["weight_decay"]
        for parameter in group["params"]
    }
    assert decays == {True}


def test_frozen_parameters_are_left_alone() -> None:
    net = Net()
    net.hidden.requires_grad_(False)
    hidden, rest = split_parameters(net, is_hidden)
    assert not hidden
    assert len(rest) == 3


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_the_rate_warms_up_peaks_and_ends_at_its_ratio(kind: str) -> None:
    settings = OptimizerSettings(lr=1.0, warmup_steps=10, final_lr_ratio=0.1, lr_schedule=kind)
    rates = [lr_at(step, 101, settings) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.55)  # half way: both schedules meet in the middle
    assert all(later <= earlier for earlier, later in pairwise(rates[10:]))


def test_a_constant_rate_stays_and_short_runs_still_train() -> None:
    settings = OptimizerSettings(lr=1.0, warmup_steps=100, lr_schedule="constant")
    assert lr_at(1, 2, settings) == 1.0
    assert 0 < lr_at(0, 1, OptimizerSettings(warmup_steps=100)) <= 2e-3


def test_the_average_follows_its_formula_and_gives_the_weights_back() -> None:
    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(1.0)
    average = Average(net, decay=0.9)
    expected = 1.0
    for step, value in enumerate([2.0, 3.0, 5.0]):
        with torch.no_grad():
            net.weight.fill_(value)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(average.shadow["weight"]) == pytest.approx(expected)
    with average.applied():
        assert net.weight.item() == pytest.approx(expected)
    assert net.weight.item() == 5.0
