"""The house rules that no linter knows: sizes, names, and files that must agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
ROOMS = ("bot", "generators", "trainer", "migrations")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_file_fits_a_few_screens_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, "split it: it is more than one thing"
    assert text.lstrip().startswith('"""'), "a module says why it exists"


def test_no_drawer_for_odds_and_ends() -> None:
    assert not [p for p in SOURCES if p.stem in {"utils", "helpers", "misc", "common"}]


def test_nothing_unpickles() -> None:
    unsafe = re.compile(
        r"\btorch\.load\(|\bimport pickle|\bpickle\.(load|dump)"
        r"|allow_pickle=True|weights_only=False"
    )
    assert not [_name(p) for p in SOURCES if unsafe.search(p.read_text(encoding="utf-8"))]


def test_every_dependency_is_pinned_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in lines
        if "==" in line and not line.startswith("#")
    }
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(d for ds in extras.values() for d in ds)]
    names = {re.sub(r"[-_.]+", "-", Requirement(text).name).lower() for text in wanted}
    assert names - pinned - {"atelier"} == set()


def test_weights_that_ship_are_safetensors_and_small() -> None:
    files = [p for p in (ROOT / "generators" / "starter").rglob("*") if p.is_file()]
    weights = [p for p in files if p.suffix == ".safetensors"]
    assert not [p for p in files if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"}]
    assert sum(p.stat().st_size for p in weights) < 40_000_000


def test_weights_that_ship_tell_nothing_of_where_they_were_made() -> None:
    configs = (ROOT / "generators" / "starter").rglob("*.json")
    assert not [_name(p) for p in configs if "_name_or_path" in p.read_text(encoding="utf-8")]


def test_readme_leads_to_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert targets
    missing = [t for t in targets if "://" not in t and not (ROOT / t).exists()]
    assert missing == []


def test_compose_sets_only_settings_that_exist() -> None:
    from bot.settings import known_names

    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    used = set(re.findall(r"\bATELIER_[A-Z_]+\b", text + example))
    assert used
    assert used - set(known_names()) == set()
