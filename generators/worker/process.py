"""The generation worker's process: the supervisor, its model child, and what they stand on.

No torch here; the child imports it. `python -m generators.worker --fd N` is started by the local
engine; `--runner` names another module than `generators.runner` (or the path of a `.py` file) as
the model child.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

import structlog

from generators import logs, processes
from generators.artifacts import open_store
from generators.engine.port import EngineClosed
from generators.engine.source import SocketSource
from generators.settings import PREFIX, GeneratorSettings
from generators.worker.child import ModelChild
from generators.worker.supervisor import Worker

log = structlog.get_logger(__name__)

CHILD_DEFAULTS = {
    # Threads that wait must soon sleep: spinning ones take the gateway's share of the processor,
    # and where others compute too they make torch itself many times slower. Ones that sleep at
    # once (OMP_WAIT_POLICY=passive) take up to twice as long for a small model's many short steps.
    "GOMP_SPINCOUNT": "10000",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
}
"""Environment of a process that imports torch, set before it does."""


def child_environment(settings: GeneratorSettings) -> dict[str, str]:
    """What the model child finds in its environment: our settings, and no secrets of ours."""
    return CHILD_DEFAULTS | processes.environment_without(PREFIX) | settings.environment()


def make_child(settings: GeneratorSettings, runner: str = "generators.runner") -> ModelChild:
    """The model child that runs this module (a name, or the path of a `.py` file)."""
    command = processes.module_command(runner)
    return ModelChild(command, child_environment(settings), stall_s=settings.stall_s)


async def serve_socket(end: socket.socket, settings: GeneratorSettings, runner: str) -> None:
    """Serve the local engine at the other end of this socket until it is gone."""
    source = await SocketSource.connect(end)
    store = open_store(settings.artifacts)
    try:
        async with make_child(settings, runner) as child, asyncio.TaskGroup() as group:
            group.create_task(source.listen())
            group.create_task(Worker(source, store, child, settings).run())
    except* EngineClosed:
        log.info("the gateway is gone; the worker ends")
    finally:
        await source.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The worker process. Ends with status 0 when it was asked to end or the gateway is gone."""
    parser = argparse.ArgumentParser(description="Supervisor of a generation worker.")
    parser.add_argument("--fd", type=int, help="the socket the local engine has left us")
    parser.add_argument("--runner", default="generators.runner", help="the model child's module")
    options = parser.parse_args(arguments)
    if options.fd is None:
        parser.error("--fd is missing: the local engine starts this process itself")
    settings = GeneratorSettings()
    logs.configure(settings.log_format, settings.log_level, process="worker")
    processes.end_with_parent(signal.SIGTERM)
    end = socket.socket(fileno=options.fd)

    async def until_told() -> None:
        serving = asyncio.ensure_future(serve_socket(end, settings, options.runner))
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signal_number, serving.cancel)
        await serving

    with suppress(asyncio.CancelledError):
        asyncio.run(until_told())
    return 0
