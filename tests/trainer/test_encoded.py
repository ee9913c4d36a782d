"""Latents kept beside the dataset: equal with and without the cache, and never another run's."""

import dataclasses
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from trainer import encoded
from trainer.contract import Recipe
from trainer.data.manifests import read_manifest
from trainer.objective import Setting


def _autoencoder(folder: Path, seed: int) -> AutoencoderKL:
    torch.manual_seed(seed)
    vae = AutoencoderKL(
        sample_size=16,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    vae.save_pretrained(folder)
    return vae.eval().requires_grad_(False)


def _setting(dataset: Path) -> Setting:
    recipe = Recipe(objective="diffusion", summary="test")
    return Setting(recipe, dataset, read_manifest(dataset), torch.device("cpu"))


def test_the_second_time_is_read_and_equal(pictures: Path, tmp_path: Path) -> None:
    vae = _autoencoder(tmp_path, 0)
    first = encoded.load(_setting(pictures), vae, tmp_path, 1, 2)
    files = set((pictures / encoded.CACHE).iterdir())
    second = encoded.load(_setting(pictures), vae, tmp_path, 1, 2)
    assert files == set((pictures / encoded.CACHE).iterdir())
    assert torch.equal(first.latents, second.latents)
    assert (first.captions, first.colours) == (second.captions, second.colours)
    assert len(first) == 10 * (1 + 1 + 2)


def test_other_weights_other_settings_and_broken_files_are_made_anew(
    pictures: Path, tmp_path: Path
) -> None:
    vae = _autoencoder(tmp_path / "a", 0)
    other = _autoencoder(tmp_path / "b", 1)
    setting = _setting(pictures)
    one = encoded.load(setting, vae, tmp_path / "a", 0, 1)
    assert not torch.equal(one.latents, encoded.load(setting, other, tmp_path / "b", 0, 1).latents)
    seeded = dataclasses.replace(setting, recipe=setting.recipe.model_copy(update={"seed": 3}))
    assert encoded.load(seeded, vae, tmp_path / "a", 0, 1).colours != one.colours
    for path in (pictures / encoded.CACHE).iterdir():
        path.write_bytes(b"torn")
    assert torch.equal(encoded.load(setting, vae, tmp_path / "a", 0, 1).latents, one.latents)
    assert len(list((pictures / encoded.CACHE).iterdir())) <= encoded.KEPT
