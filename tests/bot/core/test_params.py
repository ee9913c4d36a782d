"""Options come out of a generator's schema, in both languages, with its bounds."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from bot.core.chat import OptionType, Text
from bot.core.options import from_params, merged
from generators import catalog
from generators.contract import Params
from generators.specs.diffusion import DiffusionParams
from generators.specs.gpt2 import Gpt2Params

HIDDEN = {"variation_seed", "variation_strength"}


@pytest.mark.parametrize("name", catalog.names())
def test_every_generator_has_options_in_every_language(name: str) -> None:
    for option in from_params(catalog.spec(name).params, skip=HIDDEN):
        assert option.description.en.strip()
        assert option.description.zh.strip()


def test_types_and_bounds_are_the_schemas() -> None:
    options = {
        option.name: option for option in from_params(DiffusionParams, skip=HIDDEN, rest="prompt")
    }
    assert options["prompt"].required
    assert options["prompt"].rest
    assert options["prompt"].maximum == 1000
    assert options["height"].type is OptionType.INTEGER
    assert (options["height"].minimum, options["height"].maximum) == (32, 2048)
    assert options["guidance_scale"].type is OptionType.NUMBER
    assert options["guidance_scale"].default is None
    assert "variation_seed" not in options


def test_an_excluded_bound_moves_inwards() -> None:
    options = {option.name: option for option in from_params(Gpt2Params)}
    assert options["top_p"].minimum == pytest.approx(0.01)


class Odd(Params):
    size: Literal["small", "large"] = Field(
        default="small", description="How large.", json_schema_extra={"zh": "大小。"}
    )
    glow: bool = Field(default=False, description="Whether it glows.")


def test_a_missing_language_fails_and_the_command_may_provide_it() -> None:
    with pytest.raises(LookupError, match=r"Odd\.glow"):
        from_params(Odd)
    size, glow = from_params(Odd, texts={"glow": Text(en="Glows.", zh="发光。")})
    assert [choice.value for choice in size.choice_list()] == ["small", "large"]
    assert size.description.zh == "大小。"
    assert glow.type is OptionType.BOOLEAN


def test_merged_options_are_the_widest() -> None:
    both = {
        option.name: option
        for option in merged([from_params(DiffusionParams, skip=HIDDEN), from_params(Gpt2Params)])
    }
    assert both["prompt"].required
    assert both["prompt"].maximum == 4000
    assert both["top_k"].required is False
    assert both["height"].maximum == 2048
