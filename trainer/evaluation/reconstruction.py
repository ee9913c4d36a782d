"""What an autoencoder and an enlarger give back of held-out pictures, as PSNR. Torch."""

from __future__ import annotations

import io
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from generators.contract import Media
from generators.weights import WeightsError, part, read_manifest
from trainer.data import images
from trainer.evaluation.figures import Figure, Skipped
from trainer.evaluation.results import Results, Tick
from trainer.evaluation.sheets import side_by_side
from trainer.evaluation.subject import Asked, Subject, as_image, as_picture, as_tensor

BATCH = 32
SHOWN = 12
SCALES = (2, 4)
LARGE_PX = 128  # of the pictures that an enlarger is to give back
MAX_PICTURES = 100


def find_autoencoder(folder: Path) -> Path | None:
    """The autoencoder that these weights draw through: the folder itself, its `vae`, or the part
    its manifest names; None where there is none."""
    manifest = read_manifest(folder)
    candidates = [folder, folder / "vae"]
    if manifest is not None and "autoencoder" in manifest.parts:
        candidates.append(part(folder, "autoencoder"))
    return next((found for found in candidates if _is_autoencoder(found)), None)


def _is_autoencoder(folder: Path) -> bool:
    config = folder / "config.json"
    return config.is_file() and '"AutoencoderKL"' in config.read_text(encoding="utf-8")


@torch.inference_mode()
def measure_autoencoder(folder: Path, dataset: Path, tick: Tick) -> Results:
    """PSNR of held-out pictures, beside a bicubic bottleneck of as many numbers."""
    results = Results()
    vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32).eval()
    size = int(vae.config.sample_size)
    source = images.load(dataset, "held_out", size)
    if not len(source):
        results.skipped.append(Skipped("psnr", "The dataset has no held-out pictures."))
        return results
    x = source.batch(range(min(len(source), MAX_PICTURES)))
    restored = torch.cat([vae(chunk).sample.clamp(-1, 1) for chunk in x.split(BATCH)])
    numbers = vae.encode(x[:1]).latent_dist.mean[0].numel()
    side = max(1, round((numbers / 3) ** 0.5))
    small = F.interpolate(x, size=(side, side), mode="bicubic", antialias=True)
    plain = F.interpolate(small, size=(size, size), mode="bicubic").clamp(-1, 1)
    results.figures.append(
        Figure(
            "psnr",
            psnr(restored, x),
            "dB",
            f"{side} x {side} pixels and bicubic",
            psnr(plain, x),
            target=25.0,
            note=f"{len(x)} held-out pictures of {size} px through {numbers} numbers and back",
        )
    )
    tick(len(x))
    _show(results, "reconstruction.png", x, restored, "Held-out pictures (left), restored (right)")
    return results


def measure_enlarger(subject: Subject, dataset: Path, tick: Tick) -> Results:
    """PSNR of held-out pictures made small and enlarged again, beside Lanczos."""
    results = Results()
    source = images.load(dataset, "held_out", LARGE_PX)
    if not len(source):
        results.skipped.append(Skipped("enlarged_psnr", "The dataset has no held-out pictures."))
        return results
    wanted = source.batch(range(min(len(source), MAX_PICTURES)))
    for scale in SCALES:
        side = LARGE_PX // scale
        small = [as_picture(x).resize((side, side), Image.Resampling.BOX) for x in wanted]
        asked = [Asked({"scale": scale}, inputs={"image": _png(picture)}) for picture in small]
        made = _pixels(subject.make(asked, tick))
        size = (LARGE_PX, LARGE_PX)
        plain = [as_tensor(p.resize(size, Image.Resampling.LANCZOS), LARGE_PX) for p in small]
        results.figures.append(
            Figure(
                f"enlarged_x{scale}_psnr",
                psnr(made, wanted),
                "dB",
                "Lanczos",
                psnr(torch.stack(plain), wanted),
                note=f"{len(wanted)} held-out pictures, {side} to {LARGE_PX} px",
            )
        )
    _show(results, "enlarged.png", torch.stack(plain), made, "Lanczos x 4 (left), the net (right)")
    return results


def psnr(made: Tensor, wanted: Tensor) -> float:
    """Mean over pictures (N, 3, H, W) in [-1, 1] of 10 log10(4 / MSE), in dB; at most 100."""
    errors = (made - wanted).square().mean((1, 2, 3)).clamp(min=4e-10)
    return float((10 * torch.log10(4 / errors)).mean())


def _pixels(made: list[Media | None]) -> Tensor:
    pictures = [as_tensor(as_image(media), LARGE_PX) for media in made if media is not None]
    if len(pictures) != len(made):
        raise WeightsError("the enlarger declined a picture that its own description allows")
    return torch.stack(pictures)


def _show(results: Results, name: str, left: Tensor, right: Tensor, caption: str) -> None:
    pairs = [(as_picture(a), as_picture(b)) for a, b in zip(left, right, strict=True)][:SHOWN]
    results.add_sheet(name, side_by_side(pairs, [""] * len(pairs), 4), caption)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
