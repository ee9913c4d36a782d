"""Fixtures that more than one room uses come from `tests/fixtures`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

pytest_plugins = ["postgres_server", "stores", "desk", "browser"]
