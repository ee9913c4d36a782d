"""What diffusion does beside drawing from words: from a picture, loops, larger. All tiny."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from drawing import SMALL, Load, ask, draw, pixels, refusal
from PIL import Image, ImageSequence

from generators.contract import BadRequest, Generated, GenerateRequest, Step
from generators.models import diffusion
from generators.nn import pipelines, super_resolution
from generators.weights import WeightsManifest, write_manifest

# ---------------------------------------------------------------- from a picture


def upload(colour: tuple[int, int, int] = (250, 20, 30), size: tuple[int, int] = (50, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", size, (*colour, 255)).save(buffer, "PNG")
    return buffer.getvalue()


def from_picture(job_id: str, seed: int, picture: bytes, **params: Any) -> GenerateRequest:
    return replace(ask(job_id, seed, **params), inputs={"image": picture})


def test_every_pipeline_starts_from_a_picture(model: diffusion.Model) -> None:
    """The nearer to it the smaller the strength, and alone as in company."""
    red, blue = upload(), upload((0, 0, 250), (32, 64))
    [near] = draw(model, from_picture("a", 7, red, strength=0.4))
    [far] = draw(model, from_picture("a", 7, red, strength=1.0))
    company = draw(
        model,
        ask("b", 1, strength=0.4),
        from_picture("c", 7, blue, strength=0.4),
        from_picture("a", 7, red, strength=0.4),
        from_picture("d", 7, red, strength=0.4, variation_seed=3, variation_strength=0.5),
    )
    assert pixels(near).shape == (32, 32, 3)
    assert np.abs(pixels(near) - pixels(company[2])).max() <= 2
    for other in (far, company[1], company[3]):
        assert np.abs(pixels(near) - pixels(other)).max() > 2
    assert np.abs(pixels(company[0]) - pixels(draw(model, ask("b", 1, strength=0.4))[0])).max() <= 2


def test_starting_from_a_picture_shares_the_weights(model: diffusion.Model) -> None:
    before = model.memory_bytes
    draw(model, from_picture("a", 7, upload()))
    sibling = model._from_picture()
    assert type(sibling).__name__ == type(model.pipeline).__name__.replace(
        "Pipeline", "Img2ImgPipeline"
    )
    assert sibling.vae is model.pipeline.vae
    assert model.memory_bytes == before


@pytest.mark.parametrize("strength", [0.05, 1.0])
def test_at_least_one_step_is_taken_and_steps_are_told_to_the_end(
    load: Load, strength: float
) -> None:
    steps: list[Step] = []

    def on_step(step: Step) -> frozenset[str]:
        steps.append(step)
        return frozenset()

    draw(load(), from_picture("a", 1, upload(), strength=strength), on_step=on_step)
    assert steps[-1].inference_step == steps[-1].total_steps >= 1


def test_what_is_no_picture_is_declined_alone(load: Load) -> None:
    answers = load().generate(
        [from_picture("a", 1, b"GIF89a?"), ask("b", 2)], lambda step: frozenset()
    )
    assert isinstance(answers[0], BadRequest)
    assert "cannot be read" in answers[0].en
    assert isinstance(answers[1], Generated)


def test_an_upload_is_cut_around_its_middle_and_laid_on_white() -> None:
    wide = Image.new("RGBA", (90, 30), (0, 0, 0, 0))
    wide.paste((200, 0, 0, 255), (30, 0, 60, 30))
    fitted = pipelines.fitted(wide, 16, 16)
    assert fitted.mode == "RGB"
    assert (fitted.size, fitted.getpixel((8, 8))) == ((16, 16), (200, 0, 0))
    assert pipelines.fitted(Image.new("RGBA", (4, 4)), 8, 8).getpixel((0, 0)) == (255, 255, 255)


# ---------------------------------------------------------------- loops


def shown(generated: Generated) -> list[np.ndarray]:
    gif = Image.open(io.BytesIO(generated.items[1].data))
    return [np.asarray(frame.convert("RGB"), int) for frame in ImageSequence.Iterator(gif)]


def test_every_pipeline_draws_a_loop_that_ends_where_it_begins(model: diffusion.Model) -> None:
    """Steps between neighbours are alike, that from the last frame to the first included."""
    [loop] = draw(model, ask("a", 7, frames=8, fps=4, motion=1.0))
    assert [item.mime for item in loop.items] == ["video/mp4", "image/gif", "video/webm"]
    assert loop.items[0].facts["duration_s"] == 2.0
    assert loop.params["motion"] == 1.0
    with av.open(io.BytesIO(loop.items[0].data)) as container:
        frames = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]
    assert len(frames) == 8
    gaps = [np.abs(a - b).mean() for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert min(gaps) > 0.1
    assert max(gaps) < 3 * min(gaps)


def test_a_loop_does_not_depend_on_its_company_nor_on_how_it_is_cut(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load()
    [alone] = draw(model, ask("a", 7, frames=4))
    monkeypatch.setattr(diffusion, "ROWS_AT_ONCE", 3)
    company = draw(model, ask("b", 1, frames=4), ask("a", 7, frames=4))
    for one, other in zip(shown(alone), shown(company[1]), strict=True):
        assert np.abs(one - other).mean() < 2  # the palette may turn a hair


def test_frames_nobody_wants_any_more_are_not_drawn(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion, "ROWS_AT_ONCE", 2)
    steps: list[Step] = []

    def on_step(step: Step) -> frozenset[str]:
        steps.append(step)
        return frozenset({"a"})

    answers = load().generate([ask("a", 1, frames=6), ask("b", 2, frames=2)], on_step)
    assert isinstance(answers[0], BadRequest)
    assert isinstance(answers[1], Generated)
    assert len(steps) == 2 * 3  # one pass of the first, one of the second
    assert {step.total_steps for step in steps} == {4 * 3}


def test_a_loop_too_large_for_memory_is_drawn_in_smaller_parts(load: Load) -> None:
    model = load()
    [expected] = draw(load(), ask("a", 7, frames=6))
    calls: list[int] = []
    forward = model.pipeline.unet.forward

    def narrow(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        calls.append(len(sample))
        if len(sample) > 2 * 3:  # three rows, guided
            raise torch.OutOfMemoryError
        return forward(sample, *args, **kwargs)

    model.pipeline.unet.forward = narrow
    [loop] = draw(model, ask("a", 7, frames=6))
    assert [len(shown(loop)), calls[0], max(calls[1:])] == [6, 12, 6]
    for one, other in zip(shown(loop), shown(expected), strict=True):
        assert np.abs(one - other).mean() < 2


# ---------------------------------------------------------------- enlarging


@pytest.fixture
def with_upscaler(sd_folder: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(sd_folder, tmp_path / "diffusion"))
    torch.manual_seed(0)
    super_resolution.save(
        super_resolution.Enlarger(super_resolution.Shape(channels=4, blocks=1)), tmp_path / "sr"
    )
    write_manifest(folder, WeightsManifest(generator="diffusion", parts={"upscaler": "../sr"}))
    return folder


def test_finished_pictures_are_enlarged_by_the_weights_own_net(
    load: Load, with_upscaler: Path
) -> None:
    model = load(with_upscaler)
    [small] = draw(model, ask("a", 7, 2, upscale=1))
    [large] = draw(model, ask("a", 7, 2, upscale=4))
    assert (large.params["upscale"], large.params["width"]) == (4, 32)
    assert (large.items[1].facts["width"], pixels(large, 1).shape) == (128, (128, 128, 3))
    again = pixels(large, 1).reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(again - pixels(small, 1)).mean() < 8  # still the same picture
    [loop] = draw(model, ask("a", 7, frames=2, upscale=2))
    assert loop.items[0].facts["width"] == 64


def test_weights_may_enlarge_unless_told_not_to(load: Load, with_upscaler: Path) -> None:
    model = load(with_upscaler, defaults=SMALL | {"upscale": 2})
    assert pixels(draw(model, ask("a", 7))[0]).shape == (64, 64, 3)
    assert pixels(draw(model, ask("a", 7, upscale=1))[0]).shape == (32, 32, 3)


def test_weights_without_such_a_net_say_so(load: Load, with_upscaler: Path) -> None:
    assert "cannot enlarge" in refusal(load(), ask("a", 1, upscale=2))
    model = load(with_upscaler, defaults=SMALL | {"height": 2048, "width": 2048})
    assert "too many" in refusal(model, ask("a", 1, upscale=4))
