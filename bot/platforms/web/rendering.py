"""Draws pages and fragments with Jinja. Everything is escaped; no template marks text as safe.

A fragment pushed to a tab comes from the same macros as the page, so an answer looks the same
whether it arrived live or was there on load. Used by `pages`, `api`, `guard` and `platform`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bot.core.chat import Button, Option, OptionType, Reply
from bot.core.i18n import formats
from bot.platforms.web.assets import Assets
from bot.platforms.web.forms import in_order
from bot.platforms.web.pieces import format_name, pieces
from bot.platforms.web.texts import Texts
from bot.platforms.web.turns import Turn
from bot.platforms.web.visitors import Visitor
from bot.services.quota import QuotaView

FOLDER: Final = Path(__file__).parent / "templates"
SHORT_LABEL: Final = 2  # characters: U1, V4


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of the quota is used: a fraction (0 to 1) and a sentence."""

    fraction: float
    text: str
    detail: str


@cache
def environment() -> Environment:
    """The templates, compiled when first used, once for the whole process."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["json_block"] = _json_block
    made.filters["json"] = json.dumps  # text like any other: escaped where it is put
    made.globals.update(
        pieces=pieces,
        format_name=format_name,
        size=formats.size,
        shown_fields=_shown_fields,
        other_fields=_other_fields,
        control=_control,
        duration=formats.duration,
        moment=_moment,
        figure=_figure,
        row_says=row_says,
        alone=alone,
    )
    return made


class Pages:
    """Draws for visitors."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def page(
        self,
        template: str,
        visitor: Visitor,
        meter: Meter | None,
        *,
        status: int = 200,
        **values: object,
    ) -> web.Response:
        """A whole page."""
        text = (
            environment()
            .get_template(template)
            .render(
                t=Texts(visitor.locale),
                visitor=visitor,
                meter=meter,
                asset=self._assets.url,
                scripts=self._assets.scripts,
                **values,
            )
        )
        response = web.Response(text=text, content_type="text/html", status=status)
        response.headers["Content-Language"] = visitor.locale
        if len(text) > 2000:
            response.enable_compression()
        return response

    def error(self, visitor: Visitor, status: int, sentence: str) -> web.Response:
        """A page that says what went wrong."""
        return self.page("error.html", visitor, None, status=status, code=status, sentence=sentence)

    def turn(self, turn: Turn, visitor: Visitor, *, compact: bool = False) -> str:
        """One turn as HTML; `compact` as in the gallery, where most buttons are folded away."""
        return self.fragment("turn.html", visitor, turn=turn, compact=compact)

    def fragment(self, template: str, visitor: Visitor, **values: object) -> str:
        """A part of a page, as the page's script puts it in."""
        return environment().get_template(template).render(t=Texts(visitor.locale), **values)


def meter(view: QuotaView, locale: str) -> Meter | None:
    """The quota as the header shows it; None where there is no limit."""
    t = Texts(locale)
    if view.limits.gpu_ms is not None:
        used, limit = view.usage.gpu_ms, view.limits.gpu_ms
        text = t.say(
            "quota_used",
            used=formats.duration(used / 1000, locale),
            limit=formats.duration(limit / 1000, locale),
        )
    elif view.limits.jobs is not None:
        used, limit = view.usage.jobs, view.limits.jobs
        text = t.say("quota_jobs", used=used, limit=limit)
    else:
        return None
    detail = (
        t.say("quota_frees", time=formats.moment(view.frees_at, locale)) if view.frees_at else ""
    )
    return Meter(fraction=min(1.0, used / limit) if limit else 1.0, text=text, detail=detail)


def meter_json(meter: Meter | None) -> dict[str, Any] | None:
    """The same for the page's script."""
    if meter is None:
        return None
    return {"fraction": meter.fraction, "text": meter.text, "detail": meter.detail}


def figures(measured: Mapping[str, float | str]) -> tuple[tuple[str, str], ...]:
    """Measurements as people read them: words, and as many digits as a measurement is worth."""
    return tuple(
        (name.replace("_", " "), value if isinstance(value, str) else _measure(value))
        for name, value in measured.items()
    )


def _measure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _shown_fields(reply: Reply) -> list[tuple[Option, str]]:
    """A form's fields that matter at once: what is needed, and what comes filled in."""
    fields = reply.form.fields if reply.form else ()
    needed = [one for one in fields if one[0].required or one[0].rest or one[1]]
    return _ordered(needed or list(fields))


def _other_fields(reply: Reply) -> list[tuple[Option, str]]:
    shown = {option.name for option, _ in _shown_fields(reply)}
    fields = reply.form.fields if reply.form else ()
    return [one for one in fields if one[0].name not in shown]


def _ordered(fields: list[tuple[Option, str]]) -> list[tuple[Option, str]]:
    values = {option.name: value for option, value in fields}
    return [(option, values[option.name]) for option in in_order(o for o, _ in fields)]


def _control(option: Option) -> str:
    """Which HTML control asks for the option."""
    if option.type is OptionType.IMAGE:
        return "picture"
    if option.type is OptionType.BOOLEAN:
        return "checkbox"
    if option.choice_list():
        return "suggest" if option.open_choices else "select"
    if option.type in {OptionType.INTEGER, OptionType.NUMBER}:
        return "number"
    return "textarea" if option.multiline or option.rest else "text"


def alone(rows: Sequence[Sequence[Button]]) -> list[tuple[Button, ...]]:
    """The rows as a visitor has them, whom nobody watches."""
    kept = (tuple(button for button in row if not button.among_others) for row in rows)
    return [row for row in kept if row]


def row_says(row: Sequence[Button]) -> str:
    """What the buttons of a row have in common, where their labels are too short to tell:
    `Enlarge picture` for U1 to U4. Empty where the labels speak for themselves."""
    if not row or any(len(button.label) > SHORT_LABEL for button in row):
        return ""
    says = [button.description for button in row]
    start = _common_start(says)
    if len(start) == len(min(says, key=len)):
        return start
    end = _common_start([one[len(start) :][::-1] for one in says])[::-1]
    return f"{start.rstrip()}…{end.lstrip()}" if end else start.rstrip()


def _common_start(texts: Sequence[str]) -> str:
    """The characters that all texts begin with."""
    alike = takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))
    return "".join(column[0] for column in alike)


def _moment(seconds: float, locale: str) -> str:
    """A time since 1970 in words."""
    return formats.moment(datetime.fromtimestamp(seconds, UTC), locale)


def _figure(number: float) -> str:
    return f"{int(number)}" if float(number).is_integer() else f"{number:g}"


def _json_block(value: Mapping[str, Any]) -> Markup:
    """JSON inside `<script type="application/json">`: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # escaped in the loop above
