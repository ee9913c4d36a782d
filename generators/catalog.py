"""Which generators there are, found by walking `generators.specs`. No torch until `load` is called.

The file's name is the generator's public name; there is no list to keep in sync.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from generators import specs
from generators.contract import GeneratorSpec


class UnknownGenerator(LookupError):
    """No spec has this name; the message says which there are."""


@cache
def names() -> tuple[str, ...]:
    """The names of all generators, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(specs.__path__)))


@cache
def spec(name: str) -> GeneratorSpec:
    """The torch-free description of a generator. Raises UnknownGenerator."""
    if name not in names():
        raise UnknownGenerator(f"there is no generator {name!r}; there are {', '.join(names())}")
    found: GeneratorSpec = importlib.import_module(f"generators.specs.{name}").SPEC
    if found.name != name:
        raise RuntimeError(f"generators/specs/{name}.py describes {found.name!r}, not {name!r}")
    return found


def load(name: str) -> Any:
    """The generator's `Model` class. Imports torch: only the model child may call this."""
    spec(name)
    return importlib.import_module(f"generators.models.{name}").Model
