"""How much memory weights take, told from their headers, and where they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators.sizing import GIB, component_bytes, host_free_bytes, place, tensor_bytes
from generators.weights import WeightsError


def save(path: Path, **tensors: tuple[str, tuple[int, ...]]) -> None:
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {"half": torch.float16, "full": torch.float32, "whole": torch.int64}
    save_file(
        {k: torch.zeros(shape, dtype=kinds[kind]) for k, (kind, shape) in tensors.items()}, path
    )


def test_the_header_tells_the_size_in_any_format(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, a=("half", (3, 5)), b=("full", (2,)), ids=("whole", (7,)))
    assert tensor_bytes(path) == 30 + 8 + 56
    assert tensor_bytes(path, float_bytes=4) == 60 + 8 + 56


def test_a_pipeline_is_measured_by_component_and_variants_count_once(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    save(tmp_path / "unet" / "net.safetensors", a=("full", (10,)))
    save(tmp_path / "unet" / "net.fp16.safetensors", a=("half", (10,)))
    save(tmp_path / "vae" / "net-00001-of-00002.safetensors", a=("full", (4,)))
    save(tmp_path / "vae" / "net-00002-of-00002.safetensors", b=("full", (5,)))
    save(tmp_path / "everything.safetensors", a=("full", (1000,)))
    assert component_bytes(tmp_path) == {"unet": 40, "vae": 36}
    assert component_bytes(tmp_path, float_bytes=2) == {"unet": 20, "vae": 18}


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x05\0\0\0\0\0\0\0{oops", b"PK\x03\x04"])
def test_what_is_no_whole_file_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        tensor_bytes(path)


SIZES = {"text_encoder": 2 * GIB, "transformer": 6 * GIB, "vae": GIB}


@pytest.mark.parametrize(
    ("device_gib", "asked", "placed"),
    [
        (None, "auto", "whole"),
        (None, "sequential", "whole"),  # there is nothing to take turns on
        (24, "auto", "whole"),
        (9.5, "auto", "components"),  # the weights alone would fit, computing would not
        (8, "auto", "components"),
        (6, "auto", "layers"),
        (24, "model", "components"),
        (24, "sequential", "layers"),
        (6, "none", "whole"),
    ],
)
def test_what_does_not_fit_takes_turns(device_gib: float | None, asked: str, placed: str) -> None:
    device = None if device_gib is None else int(device_gib * GIB)
    assert place("big", SIZES, device_bytes=device, host_bytes=32 * GIB, asked=asked) == placed


def test_what_no_machine_memory_holds_is_refused_in_words() -> None:
    with pytest.raises(WeightsError, match=r"big needs 9\.0 GiB .* 4\.0 GiB are free"):
        place("big", SIZES, device_bytes=None, host_bytes=4 * GIB)


def test_the_machine_has_memory() -> None:
    assert host_free_bytes() > 2**24
