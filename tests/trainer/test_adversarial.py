"""One backward pass gives each adversary the gradient of its own part, and nothing else."""

import torch
from torch import nn

from trainer.adversarial import frozen, hinge_critic_loss, hinge_generator_loss, ramp


def gradients(module: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in module.parameters()]


def test_one_backward_pass_equals_two_alternating_ones() -> None:
    torch.manual_seed(0)
    generator, critic = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    real, z = torch.randn(5, 4), torch.randn(5, 3)

    made = generator(z)
    loss = hinge_generator_loss(frozen(critic, made))
    (loss + hinge_critic_loss(critic(real), critic(made.detach()))).backward()
    together = gradients(generator), gradients(critic)

    generator.zero_grad()
    critic.zero_grad()
    hinge_generator_loss(critic(generator(z))).backward()
    own = gradients(generator)
    critic.zero_grad()
    hinge_critic_loss(critic(real), critic(generator(z).detach())).backward()
    for got, expected in zip((*together[0], *together[1]), (*own, *gradients(critic)), strict=True):
        torch.testing.assert_close(got, expected)


def test_a_critic_that_is_sure_learns_no_more() -> None:
    assert hinge_critic_loss(torch.tensor([1.5]), torch.tensor([-2.0])) == 0
    assert hinge_critic_loss(torch.tensor([0.0]), torch.tensor([0.0])) == 2


def test_the_ramp_is_flat_outside_its_ends() -> None:
    assert [ramp(x, 0.25, 0.75) for x in (0, 0.25, 0.5, 0.75, 1)] == [0, 0, 0.5, 1, 1]
