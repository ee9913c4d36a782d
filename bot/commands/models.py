"""/models: which models are on offer, under which licence, and which are in memory now."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from bot.core.chat import Choice, Command, Field, Invocation, Option, Options, Reply, Text
from generators.contract import Modality

if TYPE_CHECKING:
    from bot.services import Services
    from bot.services.models import ModelOffer

_MODALITIES = {
    "image": Text(en="pictures", zh="图片"),
    "text": Text(en="texts", zh="文字"),
    "audio": Text(en="sounds", zh="声音"),
    "video": Text(en="videos", zh="视频"),
}
_TITLE = Text(en="Models on offer", zh="可用的模型")
_NONE = Text(
    en="There are no models yet. The host adds them with `atelier models add`.",
    zh="还没有模型。主人可以用 `atelier models add` 添加。",
)
_DEFAULT = Text(en="default for {what}", zh="{what}的默认模型")
_CAN = Text(en="can {what}", zh="可以{what}")
_LOADED = Text(en="loaded", zh="已加载")
_LICENCE = Text(en="licence {licence}", zh="许可证 {licence}")


async def _run(services: Services, invocation: Invocation, options: Options) -> Reply:
    locale = invocation.origin.locale
    wanted = [options["kind"]] if options["kind"] else list(get_args(Modality))
    offers = [offer for modality in wanted for offer in services.models.offers(modality)]
    loaded = set(services.status.loaded_models)
    return Reply(
        title=_TITLE.in_(locale),
        text="" if offers else _NONE.in_(locale),
        fields=tuple(
            Field(offer.name, _facts(services, offer, offer.name in loaded, locale))
            for offer in offers
        ),
        ephemeral=True,
    )


def _facts(services: Services, offer: ModelOffer, loaded: bool, locale: str) -> str:
    facts = [offer.summary.in_(locale)]
    if offer.default:
        what = _MODALITIES[offer.spec.modality].in_(locale)
        facts.append(_DEFAULT.in_(locale).format(what=what))
    abilities = [text.in_(locale) for text in services.models.abilities(offer)]
    if abilities:
        comma = "、" if locale.lower().startswith("zh") else ", "
        facts.append(_CAN.in_(locale).format(what=comma.join(abilities)))
    if loaded:
        facts.append(_LOADED.in_(locale))
    if offer.licence:
        facts.append(_LICENCE.in_(locale).format(licence=offer.licence))
    return " · ".join(fact for fact in facts if fact)


COMMAND = Command(
    name="models",
    summary=Text(en="List the models one can choose", zh="列出可以选择的模型"),
    run=_run,
    options=(
        Option(
            name="kind",
            description=Text(en="Only models that make this.", zh="只列出生成此类内容的模型。"),
            choices=tuple(Choice(value=kind, label=kind) for kind in get_args(Modality)),
            rest=True,
        ),
    ),
    examples=("/models", "/models image"),
)
