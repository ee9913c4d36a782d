"""Two real steps of the families with nets of our own: what comes out is what the studio loads."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from generators import catalog
from generators.contract import Generated, GenerateRequest
from generators.registry import ModelEntry
from generators.runtime import Runtime
from generators.weights import part, read_manifest
from trainer.adversarial import frozen
from trainer.catalog import RECIPES, load_recipe
from trainer.contract import TrainingError
from trainer.data import artwork, damage
from trainer.latents import find_autoencoder
from trainer.loop import Run
from trainer.objectives.gan import Augmentation, Critic
from trainer.objectives.latent_vae import kl
from trainer.orders import Order

FAMILIES = {
    "super_resolution": "tiny_super_resolution",
    "gan": "tiny_gan",
    "vae": "tiny_latent_vae",
}


@pytest.fixture(autouse=True)
def global_random_state() -> Iterator[None]:
    """Training seeds torch's global generator; other tests must not notice."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def trained(recipe: str, dataset: Path, out: Path, init: Path | None) -> tuple[Path, float]:
    """The exported weights and the loss of the first step."""
    losses: list[float] = []

    def report(event: str, **facts: Any) -> None:
        if event == "progress":
            losses.append(facts["loss"])

    order = Order(load_recipe(recipe), recipe, dataset, out, init=init)
    weights = Run(order, report).train()
    assert weights is not None
    return weights, losses[0]


@pytest.fixture(scope="module")
def autoencoder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("tiny_vae", pictures, tmp_path_factory.mktemp("autoencoder"), None)[0]


@pytest.fixture(scope="module", params=FAMILIES)
def family(
    request: pytest.FixtureRequest,
    pictures: Path,
    autoencoder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path, float]:
    """(generator, its weights, the loss it began with)."""
    out = tmp_path_factory.mktemp(request.param)
    return request.param, *trained(FAMILIES[request.param], pictures, out, autoencoder)


def test_the_studio_serves_what_was_trained(family: tuple[str, Path, float]) -> None:
    generator, weights, _ = family
    manifest = read_manifest(weights)
    assert manifest is not None
    assert manifest.generator == generator
    assert manifest.licence == "CC0-1.0"
    assert set(manifest.summary) == {"en", "zh"}
    assert manifest.figures
    assert (weights / "samples.png").is_file()
    assert "## Limits" in (weights / "README.md").read_text(encoding="utf-8")
    entry = ModelEntry(name="mine", generator=generator, weights=str(weights))
    model = catalog.load(generator).load(entry, Runtime(torch.device("cpu")))
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    inputs = {"image": buffer.getvalue()} if generator == "super_resolution" else {}
    params = {} if inputs else {"prompt": "red disc"}
    request = GenerateRequest("a", catalog.spec(generator).params(**params), 7, 1, inputs)
    [answer] = model.generate([request], lambda step: frozenset())
    assert isinstance(answer, Generated)
    width = Image.open(io.BytesIO(answer.items[0].data)).width
    assert width == (32 if generator == "super_resolution" else 16)


def test_training_goes_on_from_what_was_exported(
    family: tuple[str, Path, float], pictures: Path, autoencoder: Path, tmp_path: Path
) -> None:
    generator, weights, fresh_loss = family
    again, loss = trained(FAMILIES[generator], pictures, tmp_path, weights)
    assert loss != fresh_loss
    if generator != "super_resolution":
        assert part(again, "autoencoder") == autoencoder.resolve() == part(weights, "autoencoder")


def test_the_autoencoder_is_found_wherever_weights_keep_it(
    family: tuple[str, Path, float], autoencoder: Path, tmp_path: Path
) -> None:
    generator, weights, _ = family
    assert find_autoencoder(autoencoder) == autoencoder
    assert (find_autoencoder(None) / "config.json").is_file()
    if generator != "super_resolution":
        assert find_autoencoder(weights) == autoencoder.resolve()
    with pytest.raises(TrainingError, match="--init"):
        find_autoencoder(tmp_path)


def test_the_restorer_alone_is_trained_where_asked_and_only_in_a_vae(
    pictures: Path, autoencoder: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "restorer.toml"
    text = (RECIPES / "tiny_latent_vae.toml").read_text(encoding="utf-8")
    recipe.write_text(text + "restorer_only = true\n", encoding="utf-8")
    whole, _ = trained("tiny_latent_vae", pictures, tmp_path / "whole", autoencoder)
    sitting, _ = trained(str(recipe), pictures, tmp_path / "sitting", whole)
    before, after = (load_file(folder / "model.safetensors") for folder in (whole, sitting))
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("restorer.") for name in changed)
    with pytest.raises(TrainingError, match="--init vae"):
        trained(str(recipe), pictures, tmp_path / "nothing", autoencoder)


def test_the_critic_gets_no_gradient_from_the_generators_loss() -> None:
    from generators.nn.painter import Shape

    critic = Critic(Shape(buckets=16, channels=4), width=16)
    made = torch.randn(2, 4, 8, 8, requires_grad=True)
    asked = critic.asked(critic.reading.ids(["red disc", "disc"]))
    frozen(critic, made, asked.detach()).sum().backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_both_sides_of_a_duel_are_changed_alike_and_gradients_pass() -> None:
    latents = torch.randn(5, 3, 8, 8, requires_grad=True)
    change = Augmentation(latents)
    assert torch.equal(change(latents), change(latents.detach().clone()))
    assert not torch.equal(change(latents), latents)
    change(latents).square().sum().backward()
    assert latents.grad is not None
    assert torch.isfinite(latents.grad).all()


def test_the_divergence_is_that_of_torch() -> None:
    mean, log_deviation, other_mean, other_log = torch.randn(4, 3, 5).unbind()
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(mean, log_deviation.exp()), normal(other_mean, other_log.exp())
    ).sum(1)
    assert torch.allclose(kl(mean, log_deviation, other_mean, other_log), expected, atol=1e-4)


def test_invented_artwork_and_damage_depend_on_their_seed_alone() -> None:
    first, again, other = (artwork.draw(seed, 48) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert first.size == (48, 48)
    for seed in range(12):
        changed = damage.damaged(first, seed)
        assert changed.size == first.size
        assert changed.tobytes() != first.tobytes()
        assert changed.tobytes() == damage.damaged(first, seed).tobytes()
