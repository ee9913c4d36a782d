"""The training page: the owner's alone, and true to what a run writes down."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from training_runs import METRICS, NOW, begin
from web_studio import ServedStudio, Visitor, picture

from bot.platforms.web.curves import HEIGHT, MAX_POINTS, WIDTH, curve, thinned
from bot.platforms.web.runs import SILENT_S, read_runs, run_files
from trainer.contract import PROGRESS_NAME


@asynccontextmanager
async def owner_of(studio: ServedStudio) -> AsyncIterator[Visitor]:
    """A browser that has opened the owner link."""
    async with studio.visitor() as visitor:
        token = studio.web.owner_link().partition("=")[2]
        headers = {"Origin": studio.url.rstrip("/")}
        async with visitor.http.post("/owner", data={"token": token}, headers=headers) as response:
            assert response.status == 200
        yield visitor


# --- who sees it ---


async def test_only_the_owner_sees_training_runs(served: ServedStudio, tmp_path: Path) -> None:
    begin(tmp_path / "runs", "secret-plan", step=59)
    paths = ("/runs", "/api/runs", "/runs/secret-plan/samples/step-00000020.png")
    async with served.visitor() as guest, owner_of(served) as owner:
        for path in paths:
            async with guest.http.get(path) as response:
                assert response.status == 403
                assert "secret-plan" not in await response.text()
            async with owner.http.get(path) as response:
                assert response.status == 200
        assert 'href="/runs"' not in await guest.look("/")
        assert 'href="/runs"' in await owner.look("/")
        assert "owner link" in await guest.look("/runs", status=403)


async def test_without_runs_the_page_says_where_they_belong(
    served: ServedStudio, tmp_path: Path
) -> None:
    async with owner_of(served) as owner:
        page = await owner.look("/runs")
    assert "No runs yet." in page
    assert str(tmp_path / "runs") in page


# --- what it shows ---


async def test_a_run_is_shown_as_it_is_and_its_news_follow(
    served: ServedStudio, tmp_path: Path
) -> None:
    told = {"loss": 0.42, "examples_per_s": 71.0, "eta_s": 125.0, "figures": {"psnr_db": 24.5}}
    run = begin(tmp_path / "runs", "hearts", updated_at=4e9, **told)
    async with owner_of(served) as owner:
        page = await owner.look("/runs")
        for text in (
            "Step 59 of 100 · loss 0.42 · 71 examples/s · 2 min 5 s to go",
            'value="0.5900"',
            "<dt>psnr db</dt><dd>24.5</dd>",
            'src="/runs/hearts/samples/step-00000020.png"',
            'aria-label="Loss from 10 to 0.169 by step 59"',
        ):
            assert text in page, text
        assert page.index("step-00000020.png") < page.index("step-00000010.png")
        progress = {**json.loads((run / PROGRESS_NAME).read_text()), "step": 100}
        progress |= {"state": "failed", "message": "The disk is <full>."}
        (run / PROGRESS_NAME).write_text(json.dumps(progress))
        async with owner.http.get("/api/runs") as response:
            (news,) = (await response.json())["runs"]
    assert news["key"] == "hearts"
    assert 'data-state="failed"' in news["html"]
    assert "The disk is &lt;full&gt;." in news["html"]


def test_a_run_that_fell_silent_was_killed(tmp_path: Path) -> None:
    begin(tmp_path, "killed", updated_at=NOW - SILENT_S - 1)
    begin(tmp_path, "alive", updated_at=NOW - 1)
    begin(tmp_path, "done", state="finished", updated_at=NOW - 9999)
    runs = read_runs(tmp_path, NOW)
    assert [(run.name, run.state) for run in runs] == [
        ("alive", "running"),
        ("killed", "silent"),
        ("done", "finished"),
    ]


def test_a_run_that_tells_nothing_is_read_from_its_metrics(tmp_path: Path) -> None:
    run = begin(tmp_path, "old")
    (run / "recipe.json").write_text('{"objective": "vae", "total_steps": 200}')
    (one,) = read_runs(tmp_path, (run / "metrics.csv").stat().st_mtime + 10)
    assert (one.state, one.step, one.total, one.recipe) == ("running", 59, 200, "vae")
    (run / "report.json").write_text('{"recipe": "emoji_vae", "figures": {"psnr_db": 23.7}}')
    (one,) = read_runs(tmp_path, NOW)
    assert (one.state, one.recipe, one.figures) == ("finished", "emoji_vae", (("psnr db", "23.7"),))


def test_texts_and_sounds_are_samples_too(tmp_path: Path) -> None:
    run = begin(tmp_path, "words", step=1)
    for path in (run / "samples").iterdir():
        path.unlink()
    (run / "samples" / "step-00000010.txt").write_text("old")
    (run / "samples" / "step-00000020.txt").write_text("dragon (noun): <b>")
    (run / "samples" / "step-00000020.wav").write_bytes(b"RIFF")
    (one,) = read_runs(tmp_path, NOW)
    assert one.text == "dragon (noun): <b>"
    assert one.clips == ("samples/step-00000020.wav",)
    assert one.sample == ""


@pytest.mark.parametrize("broken", ["", "optimizer_step,loss\n1", "\0\0", METRICS + "x,y\n1,nan,1"])
def test_a_half_written_run_breaks_nothing(broken: str, tmp_path: Path) -> None:
    run = begin(tmp_path, "fine", step=1)
    odd = begin(tmp_path, "odd", step=1)
    (odd / "metrics.csv").write_text(broken)
    (odd / PROGRESS_NAME).write_text(broken)
    (tmp_path / "a file").write_text("")
    (tmp_path / "empty").mkdir()
    assert run.name in [one.name for one in read_runs(tmp_path, NOW)]


@pytest.mark.parametrize("name", ["..", ".", "", "../other", "a/b", ".hidden", "x" * 200])
def test_what_is_no_runs_name_has_no_files(name: str, tmp_path: Path) -> None:
    begin(tmp_path / "other", "samples")
    assert run_files(tmp_path / "runs", name) == {}


def test_checkpoints_and_recipes_of_a_run_are_not_handed_out(tmp_path: Path) -> None:
    run = begin(tmp_path, "hearts")
    (run / "loss.png").write_bytes(picture(1))
    (run / "model.safetensors").write_bytes(b"x")
    (run / "samples" / "notes.html").write_text("<script>")
    (run / "samples" / "linked.png").symlink_to("/etc/hostname")
    names = set(run_files(tmp_path, "hearts"))
    assert names == {"loss.png", "samples/step-00000010.png", "samples/step-00000020.png"}


# --- the curve ---


def test_a_curve_fits_its_box_and_spikes_leave_it() -> None:
    points = [(float(step), 5.0 / step if step != 50 else 900.0) for step in range(1, 101)]
    drawn = curve(points, [(50.0, 2.0), (100.0, 6.0)])
    assert drawn is not None
    for line in (drawn.line, drawn.held_out):
        numbers = [float(word.lstrip("ML")) for word in line.split()]
        assert all(0 <= x <= WIDTH for x in numbers[::2])
        assert all(0 <= y <= HEIGHT for y in numbers[1::2])
    assert drawn.high == 6.0
    assert (drawn.first, drawn.last) == (1, 100)


def test_few_points_draw_nothing_and_many_are_thinned_to_their_means() -> None:
    assert curve([]) is None
    assert curve([(1.0, 1.0)]) is None
    many = thinned([(float(n), float(n % 2)) for n in range(MAX_POINTS * 10)])
    assert len(many) == MAX_POINTS
    assert {value for _, value in many} == {0.5}
