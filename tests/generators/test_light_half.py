"""The light half stays light: what the gateway imports must not drag the heavy libraries in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "numpy")
LIGHT = (
    "generators.contract",
    "generators.catalog",
    "generators.registry",
    "generators.models_file",
    "generators.weights",
    "generators.settings",
    "generators.logs",
    "generators.artifacts",
    "generators.validation",
    "generators.worker.batching",
    "generators.storing",
    "generators.engine.memory",
    "generators.engine.attach",
    "generators.engine.port",
    "generators.engine.local",
    "generators.engine.source",
    "generators.worker.child",
    "generators.serving",
    "generators.worker.supervisor",
    "generators.worker.process",
)

SCRIPT = """
import importlib, sys
for name in {light}:
    importlib.import_module(name)
from generators import catalog
from generators.registry import read_registry
for name in catalog.names():
    catalog.spec(name).params.model_json_schema()
read_registry(None)
print(*sorted(set(sys.modules) & set({heavy})))
"""


def test_importing_the_light_half_imports_nothing_heavy() -> None:
    script = SCRIPT.format(light=LIGHT, heavy=HEAVY)
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=HOUSE, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []


def test_importing_does_nothing() -> None:
    """No logging set-up, no task, no file: only composition roots act."""
    script = (
        f"import importlib, logging\nfor name in {LIGHT}:\n    importlib.import_module(name)\n"
        "print(logging.getLogger().handlers)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=HOUSE, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
    assert found.stderr == ""
