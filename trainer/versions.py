"""The libraries a run stands on: which versions they are, and how loud. Used by `trainer.loop`."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version

DECISIVE = ("torch", "accelerate", "diffusers", "transformers", "peft", "tokenizers")


def library_versions() -> dict[str, str]:
    """The versions that decide what comes out of a training run."""
    return {name: version(name) for name in DECISIVE}


def quieten_libraries() -> None:
    """No bars and hints of the model libraries between our own lines, where they are loaded."""
    for name in ("diffusers", "transformers"):
        if name in sys.modules:
            logging = importlib.import_module(f"{name}.utils.logging")
            logging.set_verbosity_error()
            logging.disable_progress_bar()
