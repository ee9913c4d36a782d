"""Recipes and objectives by name. No torch: an objective is imported only when it is to be run."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.contract import Recipe, TrainingError

RECIPES = Path(__file__).parent / "recipes"
OBJECTIVES = Path(__file__).parent / "objectives"


def recipe_names() -> list[str]:
    """The recipes that ship, by name."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def objective_names() -> list[str]:
    """The objectives that exist: the modules of `objectives/`."""
    return sorted(path.stem for path in OBJECTIVES.glob("*.py") if path.stem != "__init__")


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe that ships, by name, or any TOML file, by path.

    Raises TrainingError in words for an unknown name, broken TOML or a wrong value.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = RECIPES / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(name for name in recipe_names() if not name.startswith("tiny_"))
        raise TrainingError(
            f"There is no recipe {name_or_path!r}. Known: {known}; or the path of a .toml file."
        )
    try:
        recipe = Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise TrainingError(f"{path}: {first_problem(error)}") from error
    if recipe.objective not in objective_names():
        known = ", ".join(objective_names())
        raise TrainingError(f"{path}: there is no objective {recipe.objective!r}. Known: {known}.")
    return recipe


def load_objective(name: str) -> Any:
    """The `Objective` class of `objectives/<name>.py`; imports torch."""
    return importlib.import_module(f"trainer.objectives.{name}").Objective


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, as `where: what`."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "recipe"
    return f"{where}: {first['msg']}"
