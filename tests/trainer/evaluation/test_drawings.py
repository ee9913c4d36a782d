"""A model that looks its pictures up is found out; one that draws nothing recognisable too."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor, nn

from generators import catalog
from generators.contract import Generated, GenerateRequest, Media
from generators.registry import ModelEntry
from generators.weights import WeightsManifest, write_manifest
from trainer.contract import DatasetManifest, Example, Split
from trainer.data.manifests import sha256_of
from trainer.data.manifests import write_manifest as write_dataset
from trainer.evaluation import drawings, reconstruction
from trainer.evaluation.figures import Figure
from trainer.evaluation.gallery import Gallery
from trainer.evaluation.picture_judge import EMOJI_JUDGE, JudgeNet, PictureJudge
from trainer.evaluation.session import Plan
from trainer.evaluation.subject import Subject, as_tensor

SIZE = 16
NAMES = ("fire", "rose", "balloon", "skull", "sun", "crown", "bear", "panda", "lion", "frog",
         "chicken", "penguin", "fish", "octopus", "snail", "elephant", "cactus", "mushroom",
         "rainbow", "star", "cloud", "snowman", "banana", "grapes")  # fmt: skip
PLAN = Plan(24, 4, 5, 5, 10, 10, 20)


class Templates(nn.Module):
    """A judge that needs no training: features are the blots' colours, the class is the nearest."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.known = nn.Parameter(self.features(known), requires_grad=False)

    def features(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, SIZE // 4).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(self.features(x), self.known)


@dataclass
class Copyist:
    """Draws exactly the picture whose name the prompt is, else white; the seed changes nothing."""

    pictures: dict[str, bytes] = field(default_factory=dict)

    def generate(self, requests: Sequence[GenerateRequest], on_step: Any) -> list[Generated]:
        blank = io.BytesIO()
        Image.new("RGB", (SIZE, SIZE), "white").save(blank, "PNG")
        prompts = [request.params.prompt for request in requests]  # type: ignore[attr-defined]
        drawn = [self.pictures.get(prompt, blank.getvalue()) for prompt in prompts]
        return [Generated([Media(data, "image/png")], {}) for data in drawn]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four blots with names, every two neighbours sharing a keyword; four held out."""
    folder = tmp_path_factory.mktemp("blots")
    rng = torch.Generator().manual_seed(0)
    examples = []
    for number, name in enumerate(NAMES):
        pixels = torch.randint(0, 256, (4, 4, 3), generator=rng, dtype=torch.uint8)
        picture = Image.fromarray(pixels.numpy()).resize((SIZE, SIZE), Image.Resampling.NEAREST)
        path = folder / f"{name}.png"
        picture.save(path)
        split: Split = "held_out" if number >= 20 else "train"
        captions = {"en": [name, f"pair {number // 2}", "blot"], "zh": [f"图{number}"]}
        examples.append(
            Example(file=path.name, sha256=sha256_of(path), captions=captions, split=split)
        )
    manifest = DatasetManifest(name="blots", modality="image", licence="CC0-1.0", examples=examples)
    write_dataset(folder, manifest)
    return folder


@pytest.fixture(scope="module")
def gallery(dataset: Path) -> Gallery:
    pictures = [as_tensor(Image.open(dataset / f"{name}.png"), SIZE) for name in NAMES]
    net: Any = Templates(torch.stack(pictures))
    return Gallery.load(PictureJudge(net, NAMES, SIZE, {}), dataset)


def measured(gallery: Gallery, model: Any) -> tuple[dict[str, Figure], Any]:
    entry = ModelEntry(name="copyist", generator="diffusion")
    subject = Subject(entry, catalog.spec("diffusion"), model)
    ticks: list[int] = []
    results = drawings.measure(subject, gallery, PLAN, ticks.append)
    assert 0 < sum(ticks) <= PLAN.total
    return {figure.name: figure for figure in results.figures}, results


def test_a_copyist_is_recognised_and_found_out(gallery: Gallery, dataset: Path) -> None:
    model = Copyist({name: (dataset / f"{name}.png").read_bytes() for name in NAMES})
    figures, results = measured(gallery, model)
    assert figures["name_top1"].value == figures["name_top5"].value == 1
    assert figures["name_top5"].met
    assert figures["name_top5"].reference == 1
    assert figures["misspelt_name_top5"].value < 1
    assert figures["diversity"].value == 0, "four equal pictures"
    assert figures["diversity"].met is False
    assert figures["diversity"].reference is not None
    assert figures["diversity"].reference > 1
    assert figures["diversity_of_names"].value == 0
    assert figures["diversity_of_names"].target is None
    assert figures["nearest_training"].value == pytest.approx(0, abs=1e-5)
    assert figures["nearest_training"].reference is not None
    assert figures["nearest_training"].reference > 1
    assert figures["close_to_training"].value == 1
    assert set(results.sheets) == {"samples.png", "memorisation.png"}


def test_white_paper_is_nothing(gallery: Gallery) -> None:
    figures, _ = measured(gallery, Copyist())
    assert figures["name_top1"].value < 0.2
    assert figures["inception_score"].value == pytest.approx(1, abs=1e-3)
    assert figures["fid"].reference is not None
    assert figures["fid"].value > figures["fid"].reference


def test_a_judge_of_other_pictures_lends_only_its_features(dataset: Path) -> None:
    judge = PictureJudge(JudgeNet(3, (4, 8), 8).eval(), ("a", "b", "c"), SIZE, {})
    figures, results = measured(Gallery.load(judge, dataset), Copyist())
    assert "name_top5" not in figures
    assert "fid" in figures
    assert {skip.name for skip in results.skipped} >= {"name_top5", "composition_rate"}


def test_a_judge_survives_the_disk(tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = PictureJudge(JudgeNet(3, (4, 8), 8).eval(), ("a", "b", "c"), SIZE, {"plain_top1": 0.5})
    judge.save(tmp_path, {"dataset": "blots"})
    again = PictureJudge.load(tmp_path)
    x = torch.rand(5, 3, 2 * SIZE, 2 * SIZE) * 2 - 1  # of another size: resampled
    assert torch.allclose(again.logits(x), judge.logits(x), atol=1e-2)
    assert (again.files, again.size, again.figures) == (judge.files, SIZE, judge.figures)
    assert again.guesses(x).shape == (5, 3)


def test_the_judge_that_ships_loads_and_states_its_accuracy() -> None:
    judge = PictureJudge.load(EMOJI_JUDGE)
    assert len(judge.files) > 1500
    assert judge.figures["views_top5"] > 0.8
    assert judge.figures["recoloured_top5"] > 0.8
    assert sum(path.stat().st_size for path in EMOJI_JUDGE.iterdir()) < 1_300_000
    assert judge.features(torch.ones(1, 3, 64, 64)).isfinite().all()


def test_an_autoencoder_is_found_and_measured_beside_its_bottleneck(
    dataset: Path, tmp_path: Path
) -> None:
    vae = AutoencoderKL(sample_size=SIZE, block_out_channels=(8,), norm_num_groups=4)
    vae.save_pretrained(tmp_path / "vae")
    parts = {"autoencoder": "../vae"}
    write_manifest(tmp_path / "gan", WeightsManifest(generator="gan", parts=parts))
    found = reconstruction.find_autoencoder(tmp_path / "gan")
    assert found == tmp_path / "vae"
    assert reconstruction.find_autoencoder(dataset) is None
    results = reconstruction.measure_autoencoder(found, dataset, lambda items: None)
    (figure,) = results.figures
    assert figure.unit == "dB"
    assert figure.met is False, "it was never trained"
    assert figure.reference is not None


def test_psnr_of_a_known_error() -> None:
    wanted = torch.zeros(2, 3, 4, 4)
    assert reconstruction.psnr(wanted + 0.2, wanted) == pytest.approx(20, abs=1e-4)
    assert reconstruction.psnr(wanted, wanted) == pytest.approx(100)
