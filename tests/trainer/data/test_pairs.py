"""Damaged and clean latents kept beside the dataset: equal with and without the cache."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from trainer.contract import Recipe
from trainer.data import pairs
from trainer.data.manifests import read_manifest
from trainer.data.pairs import Pairs
from trainer.objective import Setting


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> tuple[AutoencoderKL, Path]:
    folder = tmp_path_factory.mktemp("autoencoder")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKL(
            sample_size=16,
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
        )
    vae.save_pretrained(folder)
    return vae.eval().requires_grad_(False), folder


def _setting(dataset: Path, seed: int = 0) -> Setting:
    recipe = Recipe(objective="latent_vae", summary="test", seed=seed)
    return Setting(recipe, dataset, read_manifest(dataset), torch.device("cpu"))


def _load(setting: Setting, vae: tuple[AutoencoderKL, Path]) -> Pairs:
    return pairs.load(setting, *vae, moved=1, recoloured=0, versions=2)


def test_every_pose_is_damaged_in_several_ways_once_for_all_runs(
    pictures: Path, vae: tuple[AutoencoderKL, Path]
) -> None:
    first = _load(_setting(pictures), vae)
    assert first.clean.shape == (20, 4, 8, 8)
    assert first.damaged.shape == (2, 20, 4, 8, 8)
    assert not torch.equal(first.damaged[0], first.damaged[1])
    files = set((pictures / pairs.CACHE).iterdir())
    again = _load(_setting(pictures), vae)
    assert files == set((pictures / pairs.CACHE).iterdir())
    assert torch.equal(first.clean, again.clean)
    assert torch.equal(first.damaged, again.damaged)
    for path in files:
        path.write_bytes(b"torn")
    assert torch.equal(_load(_setting(pictures), vae).damaged, first.damaged)


def test_another_seed_damages_otherwise(pictures: Path, vae: tuple[AutoencoderKL, Path]) -> None:
    one = _load(_setting(pictures), vae)
    other = _load(_setting(pictures, seed=1), vae)
    assert not torch.equal(one.damaged, other.damaged)
    assert len(list((pictures / pairs.CACHE).iterdir())) <= pairs.KEPT


def test_version_nought_is_the_picture_as_it_was() -> None:
    clean, damaged = torch.randn(3, 1, 2, 2).half(), torch.randn(2, 3, 1, 2, 2).half()
    found, wanted = Pairs(clean, damaged).take([(0, 1), (2, 0)])
    assert torch.equal(wanted, clean[[1, 0]].float())
    assert torch.equal(found[0], clean[1].float())
    assert torch.equal(found[1], damaged[1, 0].float())


def test_a_read_only_dataset_goes_without(
    pictures: Path,
    vae: tuple[AutoencoderKL, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "file"
    file.write_text("where the folder would be", encoding="utf-8")
    monkeypatch.setattr(pairs, "CACHE", str(file))
    assert len(_load(_setting(pictures), vae).clean) == 20
