"""Forms as modals, and back: a `Form` becomes a modal that needs no memory of ours to be read.

A modal has five fields at most and no place for values that nobody sees. What is hidden, and what
does not fit, travels compressed and signed in the custom_ids, a hundred characters in each. Used by
`courier` (to show) and `reading` (when one is submitted).
Source: Discord's documentation, components/reference (modals) and interactions/receiving.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bot.core.chat import Form, Option, OptionType, Text
from bot.core.signing import Signer
from bot.errors import NotAllowed
from bot.platforms.discord.components import MAX_CUSTOM_ID, Component

PREFIX: Final = "form:"
"""How the custom_id of every modal of ours begins."""

MAX_FIELDS: Final = 5
_MAX_TITLE: Final = 45
_MAX_LABEL: Final = 45
_MAX_DESCRIPTION: Final = 100
_MAX_INPUT: Final = 4000
_MAX_CHOICES: Final = 25
_MAX_CHOICE: Final = 100
_MARK: Final = "~"  # between an option's name and the part of the luggage that its id carries
_SIGNATURE: Final = 22  # characters of base64: 132 bits
_MAX_LUGGAGE_BYTES: Final = 64 * 1024  # uncompressed; nobody but us packs it

_LABEL, _TEXT_INPUT, _SELECT, _FILE_UPLOAD = 18, 4, 3, 19
_SHORT, _PARAGRAPH = 1, 2
_PICKERS: Final = {OptionType.MEMBER: 5, OptionType.ROLE: 6, OptionType.CHANNEL: 8}
_PICKED: Final = {OptionType.MEMBER: "user", OptionType.ROLE: "role", OptionType.CHANNEL: "channel"}

_YES, _NO = Text(en="Yes", zh="是"), Text(en="No", zh="否")
_FORGED: Final = ("This form was not made by this studio.", "这个表单不是由本工作室生成的。")
# What luggage usually holds, most frequent last (RFC 1950): short texts compress by it alone.
_DICTIONARY: Final = (
    b'"variation_seed":"variation_strength":"num_inference_steps":"guidance_scale":"temperature":'
    b'"max_new_tokens":"negative_prompt":"strength":"private":true"image":"@image"prompt":"emoji"'
    b'"lexicon"["upscale",{"animate",{"sound",{"write",{"imagine",{"model":"seed":,"count":4'
)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a member sent with a modal: the command it is for, its options as the platform gave
    them (hidden ones included), and the uploaded files as Discord's attachment objects, by
    option name."""

    command: str
    options: Mapping[str, Any] = field(default_factory=dict)
    attachments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def modal(form: Form, signer: Signer, locale: str) -> dict[str, Any] | None:
    """The `data` of a response that opens the form. None where the form has no field, or more to
    carry unseen than fits into the ids: then it can only be typed."""
    shown, unseen = _shared_out(form)
    if not shown:
        return None
    luggage = _packed([form.command, {**form.hidden, **unseen}], signer)
    first = MAX_CUSTOM_ID - len(PREFIX)
    custom_id, luggage = PREFIX + luggage[:first], luggage[first:]
    fields: list[Component] = []
    for option, value in shown:
        room = MAX_CUSTOM_ID - len(option.name) - len(_MARK)
        name = f"{option.name}{_MARK}{luggage[:room]}" if luggage else option.name
        luggage = luggage[room:]
        fields.append(_labelled(option, value, name, locale))
    if luggage:
        return None
    return {"custom_id": custom_id, "title": form.title[:_MAX_TITLE], "components": fields}


def submission(data: Mapping[str, Any], signer: Signer) -> Submission:
    """Read the `data` of a modal-submit interaction (its JSON). Raises NotAllowed for a modal that
    we did not make."""
    parts = list(_parts(data.get("components") or ()))
    names = [str(part.get("custom_id", "")).partition(_MARK) for part in parts]
    carried = str(data.get("custom_id", "")).removeprefix(PREFIX)
    command, hidden = _unpacked(carried + "".join(rest for _, _, rest in names), signer)
    options: dict[str, Any] = dict(hidden)
    attachments: dict[str, Mapping[str, Any]] = {}
    files = (data.get("resolved") or {}).get("attachments") or {}
    for (name, _, _), part in zip(names, parts, strict=True):
        value = _value(part)
        if part.get("type") == _FILE_UPLOAD:
            if value in files:
                attachments[name] = files[value]
        else:
            options[name] = value
    return Submission(command, options, attachments)


def _shared_out(form: Form) -> tuple[list[tuple[Option, str]], dict[str, str]]:
    """Which fields are asked for, in order, and the values of those that are not: what is needed
    comes first, then what is filled in, then the rest. Text too long for an input stays unseen."""
    askable = [one for one in form.fields if len(one[1]) <= _MAX_INPUT]
    by_need = sorted(askable, key=lambda one: (not one[0].required, not one[1]))
    chosen = {option.name for option, _ in by_need[:MAX_FIELDS]}
    unseen = {option.name: value for option, value in form.fields if value}
    shown = [(option, value) for option, value in askable if option.name in chosen]
    for option, value in shown:
        # A file cannot be put in beforehand: the picture meant so far stays, unless one is given.
        if option.type is not OptionType.IMAGE or not value:
            unseen.pop(option.name, None)
    return shown, unseen


# --- fields ---


def _labelled(option: Option, value: str, custom_id: str, locale: str) -> Component:
    return {
        "type": _LABEL,
        "label": option.name[:_MAX_LABEL],
        "description": _cut(option.description.in_(locale), _MAX_DESCRIPTION),
        "component": {"custom_id": custom_id, **_control(option, value, locale)},
    }


def _control(option: Option, value: str, locale: str) -> Component:
    """How a value of the option's type is asked for."""
    if option.type is OptionType.IMAGE:
        needed = option.required and not value
        return {"type": _FILE_UPLOAD, "min_values": int(needed), "max_values": 1} | _need(needed)
    if option.type in _PICKERS:
        return _picker(option, value)
    if option.type is OptionType.BOOLEAN:
        on = value.casefold() in {"true", "yes", "1"} or (not value and bool(option.default))
        labels = (("true", _YES.in_(locale)), ("false", _NO.in_(locale)))
        return _select(labels, "true" if on else "false", required=True)
    choices = [(str(one.value), one.label) for one in option.choice_list()]
    listed = 0 < len(choices) <= _MAX_CHOICES and all(
        0 < len(choice) <= _MAX_CHOICE for choice, _ in choices
    )
    if listed and not option.open_choices and value in {"", *(choice for choice, _ in choices)}:
        return _select(choices, value, required=option.required)
    return _text_input(option, value)


def _select(choices: Iterable[tuple[str, str]], value: str, *, required: bool) -> Component:
    options: list[Component] = [
        {"value": choice, "label": _cut(label, _MAX_CHOICE)}
        | ({"default": True} if choice == value else {})
        for choice, label in choices
    ]
    return {
        "type": _SELECT,
        "options": options,
        "min_values": int(required),
        "max_values": 1,
    } | _need(required)


def _picker(option: Option, value: str) -> Component:
    """Discord's own list of members, roles or channels."""
    picker: Component = {
        "type": _PICKERS[option.type],
        "min_values": int(option.required),
        "max_values": 1,
        **_need(option.required),
    }
    if value.isdigit():
        picker["default_values"] = [{"id": value, "type": _PICKED[option.type]}]
    return picker


def _text_input(option: Option, value: str) -> Component:
    long = option.multiline or option.rest or len(value) > _MAX_DESCRIPTION
    asked: Component = {"type": _TEXT_INPUT, "style": _PARAGRAPH if long else _SHORT}
    text = option.type is OptionType.STRING and not option.choice_list()
    if text and option.maximum is not None:
        asked["max_length"] = max(1, len(value), min(_MAX_INPUT, int(option.maximum)))
    if value:
        asked["value"] = value
    elif option.default is not None:
        asked["placeholder"] = _cut(str(option.default), _MAX_DESCRIPTION)
    return asked | _need(option.required)


def _need(required: bool) -> Component:
    return {"required": required}


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1].rstrip() + "…"


# --- what is sent back ---


def _parts(components: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """The fields, without the labels around them."""
    for one in components:
        inner = one.get("component")
        if inner is not None:
            yield inner
        elif "components" in one:
            yield from one["components"]


def _value(part: Mapping[str, Any]) -> Any:
    """What was typed or picked; None for nothing."""
    if "values" in part:
        return next(iter(part["values"] or ()), None)
    return part.get("value")


# --- luggage ---


def _packed(content: object, signer: Signer) -> str:
    """URL-safe text: a signature and compressed JSON."""
    plain = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_DICTIONARY)
    body = base64.urlsafe_b64encode(packer.compress(plain) + packer.flush()).decode().rstrip("=")
    return _signature(body, signer) + body


def _unpacked(luggage: str, signer: Signer) -> tuple[str, dict[str, Any]]:
    signature, body = luggage[:_SIGNATURE], luggage[_SIGNATURE:]
    if not body or not hmac.compare_digest(
        signature.encode(errors="replace"), _signature(body, signer).encode()
    ):
        raise NotAllowed(*_FORGED)
    try:
        unpacker = zlib.decompressobj(-15, zdict=_DICTIONARY)
        data = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        command, hidden = json.loads(unpacker.decompress(data, _MAX_LUGGAGE_BYTES))
    except (binascii.Error, zlib.error, ValueError) as error:  # of another release's dictionary
        raise NotAllowed(*_FORGED) from error
    return str(command), dict(hidden)


def _signature(body: str, signer: Signer) -> str:
    """The beginning of the signature that a token over the same body would have."""
    return signer.sign(body, "discord-form").rpartition(".")[2][:_SIGNATURE]
