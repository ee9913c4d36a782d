"""Optimizers share the parameters out exactly once; schedules and averages obey their formulas."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from trainer.contract import OptimizerSettings
from trainer.optimizers import (
    Average,
    InferenceWeights,
    apply_gradients,
    build_optimizers,
    lr_at,
    split_parameters,
)


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


def test_the_average_leaves_out_what_is_not_trained() -> None:
    net = Net()
    net.picture.requires_grad_(False)
    assert not any(name.startswith("picture") for name in Average(net, 0.9).shadow)


def test_gradients_are_clipped_to_their_global_norm() -> None:
    one, other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    one.grad, other.grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    sgd = [torch.optim.SGD([parameter], lr=1.0) for parameter in (one, other)]
    norm = apply_gradients(sgd, [one, other], clip_norm=1.0)
    assert norm.item() == pytest.approx(5.0)
    assert one[0].item() == pytest.approx(-0.6, rel=1e-4)
    assert other.item() == pytest.approx(-0.8, rel=1e-4)
    assert one.grad is None


def test_a_scaled_loss_makes_the_same_step_and_an_overflow_none() -> None:
    """What fp16 does on a GPU, with the same scaler on a CPU; both optimizers, one update."""
    torch.manual_seed(0)
    plain, scaled = Net(), Net()
    scaled.load_state_dict(plain.state_dict())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    settings = OptimizerSettings(clip_norm=0.5)
    x = torch.randn(3, 4)
    for net, with_scaler in ((plain, None), (scaled, scaler)):
        optimizers = build_optimizers(net, settings, is_hidden)
        loss = net.head(net.hidden(x)).square().sum() + net.picture.weight.sum()
        (scaler.scale(loss) if with_scaler else loss).backward()
        norm = apply_gradients(optimizers, list(net.parameters()), 0.5, with_scaler)
        assert torch.isfinite(norm)
    for one, same in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(one, same, rtol=1e-3, atol=1e-5)

    before = [parameter.detach().clone() for parameter in scaled.parameters()]
    scaler.scale(scaled.head(scaled.hidden(x)).sum() * torch.inf).backward()
    norm = apply_gradients(optimizers, list(scaled.parameters()), 0.5, scaler)
    assert not torch.isfinite(norm)
    assert all(map(torch.equal, before, scaled.parameters()))
    assert scaler.get_scale() == 2.0**9


def test_looking_at_a_run_changes_neither_its_weights_nor_its_random_numbers() -> None:
    net = nn.Linear(1, 1)
    average = Average(net, 0.9)
    with torch.no_grad():
        net.weight.fill_(7.0)
    state = torch.get_rng_state()
    with InferenceWeights(net, average):
        assert not net.training
        assert net.weight.item() != 7.0
        torch.rand(5)
    assert net.training
    assert net.weight.item() == 7.0
    assert torch.equal(torch.get_rng_state(), state)
