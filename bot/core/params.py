"""Options out of a generator's params, so that a range is written once, in its spec.

Also the options that every generating command has. English descriptions come from the schema,
Chinese ones from the table below, from the field's own `json_schema_extra={"zh": ...}`, or from
the command; one that is missing fails when commands are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from bot.core.chat import Choice, Option, OptionType, Text
from generators.contract import MAX_SEED, Params

_ZH = {
    "prompt": "提示词。",
    "negative_prompt": "画面中不应出现的内容。",
    "seed": "随机种子：相同的种子会得到相同的结果。",
    "guidance_scale": "遵循提示词的严格程度；0 或 1 表示几乎不额外引导。",
    "num_inference_steps": "去噪步数；越多越慢，也越精细。",
    "height": "高度（像素）。",
    "width": "宽度（像素）。",
    "temperature": "0 是最可能的文字，1 如所学，2 最随性。",
    "top_k": "只在这么多个词元中选择；0 表示全部。",
    "top_p": "只在累计概率达到此值的词元中选择。",
    "max_new_tokens": "最多写多少个词元。",
    "repetition_penalty": "大于 1 时，已经写过的词会更少出现。",
    "duration_s": "时长（秒）。",
    "scale": "宽和高放大的倍数。",
}

_TYPES = {
    "string": OptionType.STRING,
    "integer": OptionType.INTEGER,
    "number": OptionType.NUMBER,
    "boolean": OptionType.BOOLEAN,
}

_STEP = 0.01
"""Bounds of options are inclusive; one that a schema excludes is moved inwards by this much."""

SEED = Option(
    name="seed",
    type=OptionType.INTEGER,
    minimum=0,
    maximum=MAX_SEED,
    description=Text(
        en="Start of the randomness: the same seed gives the same result.", zh=_ZH["seed"]
    ),
)

MAX_PAGE = 100
PAGE = Option(
    name="page",
    type=OptionType.INTEGER,
    default=1,
    minimum=1,
    maximum=MAX_PAGE,
    description=Text(en="Which page; 1 is the newest.", zh="第几页；1 为最新。"),
)

PRIVATE = Option(
    name="private",
    type=OptionType.BOOLEAN,
    default=False,
    description=Text(en="Show the answer to me alone.", zh="只让我自己看到结果。"),
)


def count_option(noun: Text, *, default: int, maximum: int = 4) -> Option:
    """How many to make: `noun` says of what ("pictures")."""
    return Option(
        name="count",
        type=OptionType.INTEGER,
        default=default,
        minimum=1,
        maximum=maximum,
        description=Text(en=f"How many {noun.en} to make.", zh=f"生成多少{noun.zh}。"),
    )


def image_option(name: str, description: Text, *, required: bool = False) -> Option:
    """A picture: attached, or one of the past by its id. Where it is required, the plain words of
    the command name it."""
    return Option(
        name=name,
        type=OptionType.IMAGE,
        required=required,
        rest=required and name == "image",
        maximum=100,
        description=description,
    )


IMAGE = image_option(
    "image",
    Text(
        en="The picture: a file, “last”, or an id of your history.",
        zh="图片：文件、last，或历史中的编号。",
    ),
    required=True,
)


def model_option(choices: Callable[[], tuple[Choice, ...]]) -> Option:
    """Which model: one of those the host offers now."""
    return Option(
        name="model",
        choices=choices,
        description=Text(
            en="Which model makes it; /models lists them.", zh="使用哪个模型；/models 会列出它们。"
        ),
    )


def from_params(
    params: type[Params],
    *,
    skip: Collection[str] = (),
    only: Collection[str] | None = None,
    texts: Mapping[str, Text] | None = None,
    rest: str | None = None,
    multiline: bool = False,
) -> tuple[Option, ...]:
    """One option per field of a params class, in its order, without the skipped ones; with `only`,
    those alone.

    `texts` replaces descriptions; `rest` names the field that takes the plain words, which may
    hold line breaks where `multiline`. Raises LookupError for a description without a language.
    """
    schema = params.model_json_schema()
    required = set(schema.get("required", ()))
    options = []
    for name, field in schema["properties"].items():
        if name in skip or (only is not None and name not in only):
            continue
        text = (texts or {}).get(name) or _description(params, name, field)
        option = _option(name, _without_null(field), text)
        options.append(
            replace(
                option,
                required=name in required,
                default=field.get("default"),
                rest=name == rest,
                multiline=multiline and name == rest,
            )
        )
    return tuple(options)


def merged(sets: Iterable[tuple[Option, ...]]) -> tuple[Option, ...]:
    """The options of several generators as one command has them: each name once, bounds the
    widest, required only where all require it, a default only where all agree on it (else each
    model has its own). What a model cannot do is said at admission."""
    options: dict[str, Option] = {}
    counted: dict[str, int] = {}
    total = 0
    for options_of_one in sets:
        total += 1
        for option in options_of_one:
            counted[option.name] = counted.get(option.name, 0) + 1
            known = options.get(option.name)
            options[option.name] = option if known is None else _widest(known, option)
    return tuple(
        option if counted[option.name] == total else replace(option, required=False, default=None)
        for option in options.values()
    )


def _option(name: str, field: Mapping[str, Any], text: Text) -> Option:
    kind = _TYPES[field["type"]]
    if kind is OptionType.STRING:
        low, high = field.get("minLength"), field.get("maxLength")
    else:
        step = 1 if kind is OptionType.INTEGER else _STEP
        low, high = field.get("minimum"), field.get("maximum")
        if "exclusiveMinimum" in field:
            low = field["exclusiveMinimum"] + step
        if "exclusiveMaximum" in field:
            high = field["exclusiveMaximum"] - step
    choices = tuple(Choice(value=value, label=str(value)) for value in field.get("enum", ()))
    return Option(
        name=name, description=text, type=kind, minimum=low, maximum=high, choices=choices
    )


def _without_null(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """`int | None` is an integer that may be left out."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"]
    return {**field, **kinds[0]} if kinds else field


def _description(params: type[Params], name: str, field: Mapping[str, Any]) -> Text:
    en, zh = field.get("description"), field.get("zh") or _ZH.get(name)
    if not en or not zh:
        raise LookupError(f"{params.__name__}.{name} has no description in every language")
    return Text(en=en, zh=zh)


def _widest(one: Option, other: Option) -> Option:
    def widen(pick: Callable[[float, float], float], a: float | None, b: float | None) -> Any:
        return None if a is None or b is None else pick(a, b)

    return replace(
        one,
        required=one.required and other.required,
        default=one.default if one.default == other.default else None,
        minimum=widen(min, one.minimum, other.minimum),
        maximum=widen(max, one.maximum, other.maximum),
    )
