"""Fixtures that more than one room uses come from `tests/fixtures`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

pytest_plugins = ["postgres_server", "stores", "desk", "browser", "played"]


def pytest_configure(config: pytest.Config) -> None:
    """Take Ctrl-C, also where whoever started us ignores it.

    A shell without job control starts its background processes (`pytest &` in a script) with SIGINT
    ignored, which a child inherits and Python respects: programs that tests end by SIGINT would
    live on. What has a handler in us is back at its default in them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
