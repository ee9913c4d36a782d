"""The light half stays light: what the gateway imports never pulls in torch.

import-linter reads import statements only; this asks a real interpreter, so lazy imports, plug-ins
and third parties count too.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = [
    "bot.cli",
    "bot.app",
    "bot.doctor",
    "generators.contract",
    "generators.catalog",
    "generators.registry",
    "generators.artifacts",
    "generators.engine.local",
    "generators.engine.attach",
    "generators.worker.process",
    "trainer.contract",
    "trainer.catalog",
]
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "numpy", "matplotlib"}


@pytest.mark.parametrize("module", LIGHT)
def test_light_module_leaves_torch_out(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", ["discord", "telegram"])
def test_gateway_imports_no_chat_library_that_has_no_token(module: str) -> None:
    program = f"import sys, bot.app, bot.settings; print({module!r} in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
