"""What /ping and /healthz are told about workers, and what Prometheus is told about all of it."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import generate_latest

from generators.engine.port import Capacity


def word(worker_id: str, state: str, **facts: Any) -> Capacity:
    return Capacity(worker_id=worker_id, state=state, slots=4, held=0, **facts)


async def test_the_best_worker_speaks_for_the_studio(make_studio: Any) -> None:
    studio = make_studio()
    take, status = studio.dispatcher.news.take, studio.status
    assert (status.worker_state, status.slots) == ("none", 0)

    take(word("one", "loading"))
    assert (status.worker_state, status.slots) == ("loading", 0)
    take(word("two", "ready", loaded_models=("ink",), device="cuda:0"))
    assert (status.worker_state, status.slots) == ("ready", 4)
    assert (status.loaded_models, status.devices) == (("ink",), ("cuda:0",))
    take(word("two", "gone"))
    assert status.worker_state == "loading"

    studio.clock.advance(31)
    assert status.worker_state == "none"
    assert json.loads(json.dumps(status.snapshot()))["uptime_s"] == 31.0


async def test_one_jobs_way_through_the_figures(make_studio: Any) -> None:
    studio = make_studio()
    await studio.ask()
    await studio.dispatcher.news.tell_places()
    studio.ready()
    await studio.work_off()
    await studio.deliver()
    figures = generate_latest(studio.metrics.registry).decode()
    for line in (
        "atelier_queue_depth 1.0",
        'atelier_jobs_total{state="done"} 1.0',
        "atelier_job_wait_seconds_count 1.0",
        'atelier_job_run_seconds_count{generator="diffusion"} 1.0',
        "atelier_batch_items_count 1.0",
        'atelier_deliveries_total{outcome="delivered",platform="wall"} 1.0',
        'atelier_delivery_seconds_count{platform="wall"} 1.0',
    ):
        assert line in figures
