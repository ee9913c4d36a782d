"""Losses against their definitions, by hand or by another road."""

import math
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from trainer.data.captions import draw_caption
from trainer.data.clip_tokens import train_clip_tokenizer
from trainer.data.order import examples_of_step, step_seed
from trainer.data.text import IGNORED, pack
from trainer.evaluation.ngram import KneserNey, perplexities
from trainer.objectives.diffusion import flow_loss, make_scheduler
from trainer.objectives.vae import Settings, kl, load_or_make, picture_loss, standardise

# diffusers 0.42 builds its sigmas from a tensor in a way that numpy 2 announces to end.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_kl_is_the_divergence_of_two_gaussians() -> None:
    mean, logvar = torch.randn(50), torch.randn(50)
    reference = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).mean()
    assert float(kl(mean, logvar)) == pytest.approx(float(reference), rel=1e-5)


def test_picture_loss_of_a_constant_error_has_no_edges() -> None:
    x = torch.zeros(2, 3, 4, 4)
    assert float(picture_loss(x, x, 2.0)) == 0
    assert float(picture_loss(x + 0.5, x, 2.0)) == pytest.approx(0.5 + 0.25)
    step = x.clone()
    step[..., 2:] = 1.0  # one vertical edge: L1 1/2, L2 1/2, a third of the differences is 1
    assert float(picture_loss(step, x, 2.0)) == pytest.approx(1 + 1 / 3)


def test_standardising_changes_the_latents_and_not_the_pictures() -> None:
    torch.manual_seed(0)
    settings = Settings(size=16, block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4)
    vae = load_or_make(None, settings).eval()
    x = torch.rand(6, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        before = vae.encode(x).latent_dist
        picture = vae.decode(before.mean).sample
        mean, deviation = before.mean.mean((0, 2, 3)), before.mean.std((0, 2, 3))
        standardise(vae, mean, deviation)
        after = vae.encode(x).latent_dist
        assert torch.allclose(vae.decode(after.mean).sample, picture, atol=1e-5)
    assert torch.allclose(after.mean.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(after.mean.std((0, 2, 3)), torch.ones(4), atol=1e-4)
    assert torch.allclose(after.std * deviation.view(1, -1, 1, 1), before.std, rtol=1e-4)
    assert isinstance(vae, AutoencoderKL)


def test_a_deeper_autoencoder_begins_as_the_one_it_starts_from(tmp_path: Path) -> None:
    shape = {"size": 16, "block_out_channels": (8, 8), "latent_channels": 4, "norm_num_groups": 4}
    known = load_or_make(None, Settings.model_validate(shape)).eval()
    known.register_to_config(scaling_factor=0.5)
    known.save_pretrained(tmp_path)
    deeper = load_or_make(tmp_path, Settings.model_validate(shape | {"layers_per_block": 2}))
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        assert torch.equal(deeper(x).sample, known(x).sample)
    assert deeper.config.scaling_factor == 0.5, "latents keep their scale"
    own = [parameter for name, parameter in deeper.named_parameters() if ".resnets.1." in name]
    assert own
    picture_loss(deeper(x).sample, x, 2.0).backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in own), "they can learn"


def test_flow_loss_is_zero_for_the_true_velocity() -> None:
    x0, noise = torch.randn(5, 8, 4, 4), torch.randn(5, 8, 4, 4)
    s = torch.tensor([0.001, 0.25, 0.5, 0.75, 0.999])
    seen: dict[str, Tensor] = {}

    def unet(mixed: Tensor, timesteps: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        seen["mixed"], seen["timesteps"] = mixed, timesteps
        return SimpleNamespace(sample=noise - x0)

    words = SimpleNamespace(last_hidden_state=torch.zeros(5, 3, 8))
    flow = SimpleNamespace(unet=unet, text_encoder=lambda ids: words)
    assert float(flow_loss(flow, x0, noise, s, torch.zeros(5, 3, dtype=torch.long))) == 0
    assert seen["timesteps"].tolist() == [1, 250, 500, 750, 999]
    assert torch.allclose(seen["mixed"][2], (x0[2] + noise[2]) / 2)


def test_the_sampler_walks_the_path_that_was_trained() -> None:
    """With the true velocity it arrives at the picture; `add_noise` lies on the path."""
    scheduler = make_scheduler()
    scheduler.set_timesteps(16)
    assert scheduler.init_noise_sigma == 1
    x0, noise = torch.randn(1, 8, 8, 8), torch.randn(1, 8, 8, 8)
    x = noise
    for timestep in scheduler.timesteps:
        assert int(timestep) == int(float(scheduler.sigmas[scheduler.step_index or 0]) * 1000)
        x = scheduler.step(noise - x0, timestep, x).prev_sample
    assert torch.allclose(x, x0, atol=0.02)
    scheduler.set_timesteps(16)
    timestep, sigma = scheduler.timesteps[8], scheduler.sigmas[8]
    mixed = scheduler.add_noise(x0, noise, timestep[None])
    assert torch.allclose(mixed, (1 - sigma) * x0 + sigma * noise)


def test_rows_hold_every_token_once_and_targets_are_shifted() -> None:
    texts = [[5, 6, 7], [8], [9, 10, 11, 12], [13] * 30]
    inputs, targets = pack(texts, 8, 0, random.Random(0))
    assert inputs.tolist()[:2] == [[0, 5, 6, 7, 0, 8, 0, 0], [0, 9, 10, 11, 12, 0, 0, 0]]
    assert targets.tolist()[:2] == [
        [5, 6, 7, 0, 8, 0, IGNORED, IGNORED],
        [9, 10, 11, 12, 0, IGNORED, IGNORED, IGNORED],
    ]
    assert inputs.shape == (3, 8)
    assert targets[2].tolist() in ([13] * 8, [13] * 7 + [0])


def test_kneser_ney_sums_to_one_and_beats_the_unigram() -> None:
    rng = random.Random(1)
    texts = [[rng.choice((1, 2)), 3, 4, rng.choice((5, 6))] for _ in range(200)]
    figures = perplexities(texts[20:], texts[:20], end=0, vocab_size=9)
    assert 1 < figures["trigram_perplexity"] < 2 < figures["unigram_perplexity"]
    padded = [[0, 0, *text, 0] for text in texts]
    grams = Counter(gram for row in padded for gram in zip(row, row[1:], row[2:], strict=False))
    model = KneserNey(grams, 9)
    for first, second in [(3, 4), (8, 3), (8, 8)]:
        total = sum(model.probability(first, second, word) for word in range(9))
        assert math.isclose(total, 1, rel_tol=1e-9)


def test_an_epoch_shows_every_example_once() -> None:
    seen = [index for step in range(7) for index in examples_of_step(step, 3, 21, seed=5)]
    assert sorted(seen) == list(range(21))
    assert examples_of_step(7, 3, 21, seed=5) != examples_of_step(0, 3, 21, seed=5)
    assert len(examples_of_step(0, 50, 21, seed=5)) == 50
    assert step_seed(1, "step", 23) != step_seed(12, "step", 3)


def test_captions_vary_and_are_sometimes_empty() -> None:
    captions = {"en": ["red heart", "heart"], "zh": ["红心", "心"], "xx": []}
    rng = random.Random(0)
    drawn = [draw_caption(captions, rng, empty=0.1) for _ in range(2000)]
    assert 0.07 < drawn.count("") / 2000 < 0.13
    assert {"red heart", "heart red heart", "red hearts", "a red heart", "红心", "心"} <= set(drawn)
    assert draw_caption({}, rng, empty=0) == ""


def test_the_caption_tokenizer_has_no_unknowns_and_reloads_the_same(tmp_path: Path) -> None:
    phrases = ["red heart", "heart", "red", "红心", "a red hat"] * 3
    tokenizer = train_clip_tokenizer(phrases, 700, 16)
    tokenizer.save_pretrained(tmp_path)
    reloaded = type(tokenizer).from_pretrained(tmp_path)
    assert reloaded.model_max_length == 16
    for text in ("Red HEARTS", "红心", "ß🍕 ünïcode", "", "\t x \n y", "hat " * 40):
        tokens = reloaded(text, truncation=True).input_ids
        assert tokens == tokenizer(text, truncation=True).input_ids
        assert tokens[0] == tokenizer.bos_token_id
        assert tokens[-1] == tokenizer.eos_token_id
        assert tokenizer.eos_token_id not in tokens[1:-1]
    assert reloaded.decode(reloaded("red heart").input_ids, skip_special_tokens=True) == "red heart"
