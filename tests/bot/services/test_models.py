"""The models on offer: order, defaults, and what each takes."""

from __future__ import annotations

import pytest

from bot.errors import BadOption
from bot.services.models import ModelOffers
from generators import catalog
from generators.registry import ModelEntry


def _entry(name: str, generator: str = "diffusion", **more: object) -> ModelEntry:
    return ModelEntry.model_validate({"name": name, "generator": generator, **more})


def test_the_host_s_default_comes_first() -> None:
    offers = ModelOffers(
        [_entry("emoji"), _entry("turbo", default=True), _entry("lanczos", "lanczos")]
    )
    assert [offer.name for offer in offers.offers("image")] == ["turbo", "emoji", "lanczos"]
    assert [offer.default for offer in offers.offers("image")] == [True, False, False]
    assert offers.choose(None, "image", "prompt").name == "turbo"
    assert offers.offers("audio") == []


def test_without_a_choice_the_first_that_takes_a_prompt_is_the_default() -> None:
    offers = ModelOffers([_entry("lanczos", "lanczos"), _entry("b"), _entry("a")])
    assert offers.choose(None, "image", "prompt").name == "b"
    with pytest.raises(BadOption):
        ModelOffers([_entry("lanczos", "lanczos")]).choose(None, "image", "prompt")


def test_a_summary_speaks_every_language() -> None:
    spec = catalog.spec("diffusion")
    offers = ModelOffers([_entry("a"), _entry("b", summary={"en": "Hearts."})])
    assert offers.get("a").summary.zh == spec.summary["zh"]
    assert (offers.get("b").summary.en, offers.get("b").summary.zh) == ("Hearts.", "Hearts.")


def test_params_are_typed_and_what_is_open_stays_open() -> None:
    offers = ModelOffers([_entry("emoji")])
    params = offers.validate("emoji", {"prompt": "x", "width": "64", "seed_of_nothing": None})
    assert params.model_dump(exclude_defaults=True) == {"prompt": "x", "width": 64}


def test_line_breaks_in_a_prompt_are_kept() -> None:
    offers = ModelOffers([_entry("lexicon", "gpt2")])
    params = offers.validate("lexicon", {"prompt": "one\ntwo"})
    assert params.model_dump()["prompt"] == "one\ntwo"


@pytest.mark.parametrize("generator", catalog.names())
def test_every_generator_s_params_can_be_given_at_their_bounds(generator: str) -> None:
    spec = catalog.spec(generator)
    schema = spec.params.model_json_schema()["properties"]
    given: dict[str, object] = {}
    for name, described in schema.items():
        kinds = [described, *described.get("anyOf", ())]
        low = next((kind["minimum"] for kind in kinds if "minimum" in kind), None)
        if low is not None:
            given[name] = low
        elif any(kind.get("type") == "string" for kind in kinds):
            given[name] = "" if "pattern" in described else "x"
    offers = ModelOffers([_entry("m", generator)])
    assert offers.validate("m", given).model_dump(include=set(given)) == given


@pytest.mark.parametrize(
    ("limits", "params", "said"),
    [
        ({"width": 64, "height": 64}, {"width": 128}, "always draws a width of 64"),
        ({"multiple_of": 8}, {"height": 100}, "multiple of 8"),
        ({"max_pixels": 4096}, {"width": 128, "height": 64}, "at most 4,096 pixels"),
    ],
)
def test_sizes_that_the_weights_impose(
    limits: dict[str, int], params: dict[str, int], said: str
) -> None:
    offers = ModelOffers([_entry("emoji", limits=limits)])
    with pytest.raises(BadOption, match=said):
        offers.validate("emoji", {"prompt": "x", **params})
    fitting = {"width": 64, "height": 64}
    assert offers.validate("emoji", {"prompt": "x", **fitting}).model_dump()["width"] == 64


def test_a_model_is_chosen_by_what_it_can_do() -> None:
    entries = [
        _entry("emoji"),
        _entry("gan", "gan"),
        _entry("lanczos", "lanczos"),
        _entry("larger", "super_resolution"),
    ]
    offers = ModelOffers(entries)
    assert [offer.name for offer in offers.capable("image", "upscale")] == ["larger", "lanczos"]
    assert offers.choose(None, "image", "upscale").name == "larger"
    assert offers.choose("lanczos", "image", "upscale").name == "lanczos"
    assert ModelOffers(entries[:3]).choose(None, "image", "upscale").name == "lanczos"
    with pytest.raises(BadOption, match=r"gan cannot start from a picture\. These can: emoji"):
        offers.choose("gan", "image", "prompt", "image_input")
    with pytest.raises(BadOption, match=r"cannot blend two pictures\. None on offer here can"):
        offers.choose("gan", "image", "blend")
    with pytest.raises(BadOption, match="no model for that"):
        offers.choose(None, "audio", "prompt")
