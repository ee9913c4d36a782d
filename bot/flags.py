"""Command-line flags made from a generator's params, so that they can never differ from the schema.

Typer reads a function's signature; this writes one. Used by `bot.cli` only.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from generators.contract import Params


def with_params(
    *params: type[Params],
    leave_out: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: replace the function's `**given` by one flag per field of the params; of several
    classes each name once, as the first has it. What a model cannot do it says itself.

    A flag that is not given is not passed on, so the weights' own default holds.
    """

    fields = {name: field for one in reversed(params) for name, field in _own_first(one)}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        flags = {
            name: _flag(name, field)
            for name, field in fields.items()
            if name not in leave_out and (only is None or name in only)
        }
        own = inspect.signature(function)
        fixed = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]

        def command(**values: Any) -> None:
            given = {name: values.pop(name) for name in flags}
            function(**values, **{k: v for k, v in given.items() if v is not None})

        hints = typing.get_type_hints(function, include_extras=True)
        hints.pop("given", None)
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__annotations__ = hints | {name: flag.annotation for name, flag in flags.items()}
        command.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[p.replace(annotation=hints[p.name]) for p in fixed] + [*flags.values()]
        )
        return command

    return decorate


def _own_first(params: type[Params]) -> list[tuple[str, FieldInfo]]:
    """The fields by name; what a class adds to what its kin take comes before that."""
    return sorted(
        params.model_fields.items(), key=lambda item: item[0] not in params.__annotations__
    )


def _flag(name: str, field: FieldInfo) -> inspect.Parameter:
    """One keyword-only parameter of type `T | None`, with the field's bounds and description."""
    bounds = {
        {"ge": "min", "gt": "min", "le": "max", "lt": "max"}[key]: value
        for constraint in field.metadata
        for key in ("ge", "gt", "le", "lt")
        if (value := getattr(constraint, key, None)) is not None
    }
    option = typer.Option(
        f"--{name.replace('_', '-')}", help=field.description, rich_help_panel="Model", **bounds
    )
    plain = _plain_type(field.annotation)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[plain | None, option],
    )


def _plain_type(annotation: Any) -> Any:
    """`int` of `int | None`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation
