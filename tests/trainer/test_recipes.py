"""Every recipe that ships is valid to its last setting; a wrong one says what is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from trainer.catalog import load_objective, load_recipe, objective_names, recipe_names
from trainer.contract import TrainingError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_down_to_its_settings(name: str) -> None:
    recipe = load_recipe(name)
    module = __import__(load_objective(recipe.objective).__module__, fromlist=["Settings"])
    module.Settings.model_validate(recipe.settings)


def test_every_objective_has_a_tiny_recipe() -> None:
    tiny = {load_recipe(name).objective for name in recipe_names() if name.startswith("tiny_")}
    assert tiny == set(objective_names())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('objective = "vae"\nsummary = "x"\nbatchsize = 3\n', "batchsize"),
        ('objective = "vae"\nsummary = "x"\nbatch_size = 0\n', "batch_size"),
        ('objective = "poetry"\nsummary = "x"\n', "poetry"),
        ('objective = "vae"\nsummary = "x"\n[optimizer]\nlr = -1\n', "optimizer.lr"),
        ("objective = vae", "TOML"),
    ],
)
def test_a_wrong_recipe_names_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=words):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        ("vae", {"norm_num_groups": 7}),
        ("vae", {"size": 63}),
        ("diffusion", {"attention_heads": 3}),
        ("language_model", {"heads": 3}),
        ("language_model", {"depth": 3}),
        ("language_lstm", {"heads": 3}),
    ],
)
def test_settings_that_cannot_be_built_are_refused(
    objective: str, settings: dict[str, int]
) -> None:
    module = __import__(load_objective(objective).__module__, fromlist=["Settings"])
    with pytest.raises(ValidationError):
        module.Settings.model_validate(settings)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TrainingError, match="emoji_vae"):
        load_recipe("nonsense")
