"""The models on offer, and whether a request fits the model it names. In memory; no SQL.

Wraps the host's registry (`generators.registry`) and the catalog. Commands draw their choices from
`offers`, admission validates with `validate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from pydantic import ValidationError

from bot.core.chat import Command, Reply, Text
from bot.core.options import from_params, validate
from bot.core.storable import is_storable
from bot.core.suggest import did_you_mean, shown
from bot.errors import BadOption
from generators import catalog
from generators.contract import GeneratorSpec, Params

_ABILITIES = {
    "prompt": Text(en="work from words", zh="根据文字生成"),
    "image_input": Text(en="start from a picture", zh="从图片开始"),
    "animate": Text(en="make moving pictures", zh="生成动画"),
    "blend": Text(en="blend two pictures", zh="融合两张图片"),
    "denoise": Text(en="clean a picture", zh="给图片去噪"),
    "upscale": Text(en="enlarge a picture", zh="放大图片"),
}
_THESE_CAN = Text(en="These can: {names}.", zh="可以的有：{names}。")
_NONE_CAN = Text(en="None on offer here can.", zh="这里没有可以的模型。")


class Entry(Protocol):
    """What is needed of `generators.registry.ModelEntry`."""

    @property
    def name(self) -> str: ...
    @property
    def generator(self) -> str: ...
    @property
    def summary(self) -> Mapping[str, str]: ...
    @property
    def licence(self) -> str: ...
    @property
    def limits(self) -> Mapping[str, Any]: ...
    @property
    def default(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A model one can choose. `default` is the one taken where none is named."""

    name: str
    spec: GeneratorSpec
    summary: Text
    licence: str
    default: bool
    limits: Mapping[str, Any]


class ModelOffers:
    """All models of this studio."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._offers: dict[str, ModelOffer] = {}
        for entry in sorted(entries, key=lambda entry: not entry.default):
            spec = catalog.spec(entry.generator)
            first = not any(_rivals(offer.spec, spec) for offer in self._offers.values())
            self._offers[entry.name] = ModelOffer(
                name=entry.name,
                spec=spec,
                summary=_summary(entry, spec),
                licence=entry.licence,
                default=entry.default or ("prompt" in spec.capabilities and first),
                limits=entry.limits,
            )

    def all(self) -> list[ModelOffer]:
        """Every model of the studio."""
        return list(self._offers.values())

    def offers(self, modality: str) -> list[ModelOffer]:
        """The models that make this, the default one first."""
        found = [offer for offer in self._offers.values() if offer.spec.modality == modality]
        return sorted(found, key=lambda offer: not offer.default)

    def capable(self, modality: str, *needs: str) -> list[ModelOffer]:
        """The models of this modality that can do all of this; the one taken where none is named
        comes first: the default one, else one that has learned something."""
        found = [
            offer for offer in self.offers(modality) if offer.spec.capabilities.issuperset(needs)
        ]
        return sorted(found, key=lambda offer: (not offer.default, not offer.spec.needs_weights))

    def specs(self, modality: str, *needs: str) -> list[GeneratorSpec]:
        """The generators behind `capable`, each once, in its order."""
        able = self.capable(modality, *needs)
        return list({offer.spec.name: offer.spec for offer in able}.values())

    def choose(self, name: str | None, modality: str, *needs: str) -> ModelOffer:
        """The model of this name, or the one to take where none is named. Raises BadOption where it
        cannot do what is asked, with those that can."""
        able = self.capable(modality, *needs)
        if name is None:
            if able:
                return able[0]
            raise BadOption(
                "This studio has no model for that. The host adds one with `atelier models add`.",
                "工作室没有可用于此的模型。主人可以用 `atelier models add` 添加。",
            )
        offer = self.get(name)
        missing = next((need for need in needs if need not in offer.spec.capabilities), None)
        if missing is None:
            return offer
        what = _ABILITIES.get(missing, Text(en="do that", zh="这样做"))
        names = ", ".join(other.name for other in able)
        can = _THESE_CAN.format(names=names) if able else _NONE_CAN
        raise BadOption(
            f"The model {offer.name} cannot {what.en}. {can.en}",
            f"模型 {offer.name} 不能{what.zh}。{can.zh}",
        )

    def get(self, name: str) -> ModelOffer:
        """The model of this name. Raises BadOption, with what was probably meant."""
        offer = self._offers.get(name)
        if offer is None:
            hint = did_you_mean(name, self._offers)
            raise BadOption(
                f"There is no model {shown(name)}.{hint.en} /models lists what there is.",
                f"没有模型 {shown(name)}。{hint.zh}输入 /models 查看所有模型。",
            )
        return offer

    def validate(self, name: str, params: Mapping[str, Any]) -> Params:
        """The params as the model's generator takes them; None means "as the weights have it".
        Raises BadOption with a sentence on the first thing that does not fit."""
        offer = self.get(name)
        fields = offer.spec.params.model_fields
        given = {field: value for field, value in params.items() if value is not None}
        for field in given:
            if field not in fields:
                hint = did_you_mean(field, fields)
                raise BadOption(
                    f"The model {offer.name} does not take {shown(field)}.{hint.en}",
                    f"模型 {offer.name} 不支持选项 {shown(field)}。{hint.zh}",
                )
        typed = validate(_form(offer.spec.name), given)
        checked = _built(offer.spec, {field: typed[field] for field in given})
        _check_size(offer, checked)
        return checked

    def abilities(self, offer: ModelOffer) -> list[Text]:
        """What the model can do beside working from words, as people call it."""
        return [
            text
            for need, text in _ABILITIES.items()
            if need in offer.spec.capabilities and need != "prompt"
        ]

    def check_count(self, offer: ModelOffer, count: int) -> None:
        """Raise BadOption unless so many items can be asked for at once."""
        most = offer.spec.max_count
        if not 1 <= count <= most:
            raise BadOption(
                f"count must be between 1 and {most} for the model {offer.name}.",
                f"模型 {offer.name} 的 count 必须在 1 和 {most} 之间。",
            )


def _rivals(one: GeneratorSpec, other: GeneratorSpec) -> bool:
    return one.modality == other.modality and "prompt" in one.capabilities


def _summary(entry: Entry, spec: GeneratorSpec) -> Text:
    said = entry.summary or spec.summary
    english = said.get("en") or next(iter(said.values()), "")
    return Text(en=english, zh=said.get("zh") or english)


@lru_cache(maxsize=64)
def _form(generator: str) -> Command:
    """A generator's params as options, so that values are read and refused as everywhere else."""
    spec = catalog.spec(generator)
    names = {name: Text(en=name, zh=name) for name in spec.params.model_fields}
    options = tuple(
        replace(option, multiline=True) for option in from_params(spec.params, texts=names)
    )

    async def run(*_: Any) -> Reply:
        return Reply()

    return Command(
        name=spec.name, summary=Text(en=spec.name, zh=spec.name), run=run, options=options
    )


def _built(spec: GeneratorSpec, values: Mapping[str, Any]) -> Params:
    for field, value in values.items():
        if isinstance(value, str) and not is_storable(value):
            raise BadOption(
                f"{field} contains a character that cannot be kept. Please type it without.",
                f"{field} 含有无法保存的字符，请去掉后再试。",
            )
    try:
        return spec.params(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "params"
        raise BadOption(
            f"{field}: {first['msg']}.", f"选项 {field} 无效：{first['msg']}。"
        ) from error


def _check_size(offer: ModelOffer, params: Params) -> None:
    """The sizes that the weights impose, said before anything is charged."""
    sides = {
        side: value
        for side in ("width", "height")
        if (value := getattr(params, side, None)) is not None
    }
    for side, value in sides.items():
        fixed = offer.limits.get(side)
        if fixed is not None and value != fixed:
            raise BadOption(
                f"The model {offer.name} always draws a {side} of {fixed} pixels.",
                f"模型 {offer.name} 的 {side} 固定为 {fixed} 像素。",
            )
        multiple = offer.limits.get("multiple_of")
        if multiple is not None and value % int(multiple):
            raise BadOption(
                f"{side} must be a multiple of {multiple} for the model {offer.name}.",
                f"模型 {offer.name} 的 {side} 必须是 {multiple} 的倍数。",
            )
    most = offer.limits.get("max_pixels")
    if most is not None and len(sides) == 2 and sides["width"] * sides["height"] > int(most):
        raise BadOption(
            f"The model {offer.name} draws at most {most:,} pixels (width times height).",
            f"模型 {offer.name} 最多生成 {most:,} 像素（宽乘高）。",
        )
