"""`python -m generators`: a request on stdin, JSON lines on stdout, a file, and no traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from generators.__main__ import _write as write_files
from generators.__main__ import main
from generators.contract import Media

HOUSE = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def host(
    tmp_path: Path, sd_folder: Path, gpt2_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models.toml").write_text(
        f'[models.draws]\ngenerator = "diffusion"\nweights = "{sd_folder}"\n'
        f'[models.writes]\ngenerator = "gpt2"\nweights = "{gpt2_folder}"\n'
    )
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ATELIER_DEVICE", "cpu")


def ask(request: Any) -> tuple[int, list[dict[str, Any]]]:
    stdout = io.StringIO()
    text = request if isinstance(request, str) else json.dumps(request)
    status = main(io.StringIO(text), stdout)
    return status, [json.loads(line) for line in stdout.getvalue().splitlines()]


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_four_pictures_are_written_as_a_sheet(tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "heart.png"
    request = {"model": "draws", "params": {"prompt": "red heart"}, "seed": 7, "count": 4}
    status, events = ask({**request, "out": str(out)})
    assert status == 0
    assert {event["event"] for event in events[:-1]} == {"progress"}
    assert events[-2]["inference_step"] == events[-2]["total_steps"]
    done = events[-1]
    assert (done["event"], done["files"], done["receipt"]["seed"]) == ("done", [str(out)], 7)
    assert size(out) == (516, 516)
    first = out.read_bytes()
    ask({**request, "out": str(out)})
    assert out.read_bytes() == first


def test_one_picture_is_written_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "heart.png"
    ask({"model": "draws", "params": {"prompt": "red heart"}, "out": str(out)})
    assert size(out) == (32, 32)


def test_texts_are_told_and_written_if_asked(tmp_path: Path) -> None:
    request = {"model": "writes", "params": {"prompt": "dragon"}, "count": 2}
    status, events = ask(request)
    assert (status, len(events[-1]["texts"]), events[-1]["files"]) == (0, 2, [])
    out = tmp_path / "dragon.txt"
    ask({**request, "out": str(out)})
    assert out.read_text() == "\n\n".join(events[-1]["texts"]) + "\n"


def test_a_picture_given_is_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (12, 10), "red").save(tmp_path / "in.png")
    request = {"model": "lanczos", "params": {"scale": 2}, "out": str(tmp_path / "out.png")}
    status, _ = ask({**request, "inputs": {"image": str(tmp_path / "in.png")}})
    assert status == 0
    assert size(tmp_path / "out.png") == (24, 20)


def of(mime: str, role: Any = "item") -> Media:
    return Media(f"{mime} {role}".encode(), mime, role=role)


@pytest.mark.parametrize(
    ("out", "made", "names"),
    [
        ("x.png", [of("image/png")], ["x.png"]),
        ("x.jpg", [of("image/png")], ["x.jpg"]),  # one thing goes where one said
        ("x", [of("image/png"), of("image/png"), of("image/png", "grid")], ["x.png"]),
        (
            "x.png",
            [of("image/png"), of("image/gif", "rendition"), of("image/png"),
             of("image/png", "grid")],
            ["x.png", "x.gif"],
        ),
        (
            "loop.gif",
            [of("video/mp4"), of("image/gif", "rendition"), of("video/webm", "rendition")],
            ["loop.mp4", "loop.gif", "loop.webm"],
        ),
        (
            "a.wav",
            [of("audio/wav"), of("audio/ogg", "rendition"), of("image/png", "plot")] * 2,
            ["a-1.wav", "a-1.ogg", "a-1.png", "a-2.wav", "a-2.ogg", "a-2.png"],
        ),
        ("x.png", [of("image/png"), of("image/png", "plot")], ["x.png", "x-plot.png"]),
    ],
)  # fmt: skip
def test_every_format_lies_beside_what_was_asked_for(
    tmp_path: Path, out: str, made: list[Media], names: list[str]
) -> None:
    files = write_files(tmp_path / out, made)
    assert [Path(path).name for path in files] == names
    assert {path.name for path in tmp_path.iterdir()} - {"models.toml"} == set(names)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("nonsense", "Invalid JSON"),
        ("[]", "object"),
        ({}, "model: Field required"),
        ({"model": "nobody"}, "no model 'nobody'"),
        ({"model": "draws", "params": {"prompt": ""}}, "prompt"),
        ({"model": "draws", "params": {"prompt": "x", "colour": "red"}}, "colour"),
        ({"model": "draws", "params": {"prompt": "x", "width": -5}}, "width"),
        ({"model": "draws", "params": {"prompt": "x", "width": 1000, "height": 1000}}, "at most"),
        ({"model": "draws", "params": {"prompt": "x"}, "seed": -1}, "seed"),
        ({"model": "draws", "params": {"prompt": "x"}, "count": 0}, "count"),
        ({"model": "writes", "params": {"prompt": "龙"}}, "English"),
        ({"model": "lanczos", "params": {}, "inputs": {"image": "/no/such"}}, "/no/such"),
        (
            {"model": "lanczos", "params": {}, "inputs": {"image": __file__}},
            "test_one_shot.py: The picture cannot be read",
        ),
        ({"model": "draws", "params": {"prompt": "x"}, "out": "/proc/no/x.png"}, "/proc/no"),
    ],
)
def test_bad_input_is_one_error_event(request_: Any, said: str) -> None:
    status, events = ask(request_)
    assert status == 2
    assert events[-1]["event"] == "error"
    assert said in events[-1]["message"]
    assert "\n" not in events[-1]["message"]


def test_as_a_process_stdout_is_nothing_but_events(tmp_path: Path) -> None:
    request = {"model": "draws", "params": {"prompt": "x"}, "out": str(tmp_path / "x.png")}
    ended = subprocess.run(
        [sys.executable, "-m", "generators"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=HOUSE,
        env={**os.environ, "ATELIER_LOG_LEVEL": "error"},
    )
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert events[-1]["event"] == "done"
    assert "Traceback" not in ended.stderr
