"""The restorer begins as nothing, also in weights from before it had blocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from generators.nn import word_vae
from generators.nn.word_vae import Shape, WordVae
from generators.weights import WeightsError

SMALL = Shape(
    buckets=16, width=16, encoder_width=16, prior_width=16, chance=4, finish=8, channels=4,
    restorer_width=8, restorer_blocks=2,
)  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture
def net() -> WordVae:
    torch.manual_seed(0)
    return WordVae(SMALL).eval()


@torch.no_grad()
def test_a_new_restorer_changes_nothing_and_a_trained_one_the_picture(net: WordVae) -> None:
    damaged = torch.randn(2, 4, 8, 8)
    assert torch.equal(net.restore(damaged), damaged)
    net.restorer.leave.weight.normal_()
    assert net.restore(damaged).shape == damaged.shape
    assert not torch.equal(net.restore(damaged), damaged)


def test_the_default_restorer_is_small() -> None:
    assert sum(value.numel() for value in WordVae(Shape()).restorer.parameters()) <= 150_000


def test_weights_from_before_the_blocks_draw_as_they_did(net: WordVae, tmp_path: Path) -> None:
    word_vae.save(net, tmp_path)
    _age(tmp_path)
    old = word_vae.load(tmp_path, CPU, torch.float32)
    net.half().float()  # as stored
    ids, noise, latents = net.reading.ids(["red disc"]), torch.randn(1, 4), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        assert torch.equal(old.imagine(noise, ids), net.imagine(noise, ids))
        assert torch.equal(old.encode(latents)[0], net.encode(latents)[0])
        assert torch.equal(old.restore(latents), latents)


def test_weights_without_a_restorer_are_refused(net: WordVae, tmp_path: Path) -> None:
    word_vae.save(net, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if not name.startswith("restorer.")}
    save_file(kept, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError):
        word_vae.load(tmp_path, CPU, torch.float32)


def _age(folder: Path) -> None:
    """Make the folder one with the first restorer: three convolutions over damaged and painted."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["restorer_blocks"]
    config["restorer_width"] = 32
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if not name.startswith("restorer.")}
    for name, inner, outer in (("enter", 8, 32), ("mix", 32, 32), ("leave", 32, 4)):
        kept[f"restorer.{name}.weight"] = torch.ones(outer, inner, 3, 3).half()
        kept[f"restorer.{name}.bias"] = torch.ones(outer).half()
    save_file(kept, folder / "model.safetensors")
