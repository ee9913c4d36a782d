"""What the studio counts, for Prometheus. Built by `bot.app`, handed to the services that count.

One object with a registry of its own: importing this touches no global, and two gateways (or two
tests) in one process do not mix their figures. `bot.http` serves the registry under `/metrics`.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# A job takes 0.2 s on a GPU and up to minutes on a CPU; each bucket is about twice the last.
_RUN_BUCKETS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 45, 90, 180, 600, 3600)
# Waiting starts at nothing (a free worker) and is bounded by a day's queue.
_WAIT_BUCKETS_S = (0.05, 0.2, 1, 3, 10, 30, 60, 180, 600, 1800, 7200)
# Batches hold small whole numbers of items; powers of two are what GPUs like.
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
# From the end of the job to the answer in chat: an edit takes 0.1 s, an upload seconds; what comes
# after a minute went through a retry.
_DELIVERY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)


class Metrics:
    """All instruments; names end in their unit. Labels hold few values, never a person's."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.queue_depth = Gauge(
            "atelier_queue_depth", "Jobs waiting for their turn.", registry=self.registry
        )
        self.in_flight = Gauge(
            "atelier_jobs_in_flight",
            "Jobs that the engine holds, running or not.",
            registry=self.registry,
        )
        self.wait_seconds = Histogram(
            "atelier_job_wait_seconds",
            "From admission until a worker began.",
            buckets=_WAIT_BUCKETS_S,
            registry=self.registry,
        )
        self.run_seconds = Histogram(
            "atelier_job_run_seconds",
            "From a worker's beginning until the result was committed.",
            ["generator"],
            buckets=_RUN_BUCKETS_S,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "atelier_batch_items",
            "Items that ran together, observed once for every job among them.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self.jobs = Counter(
            "atelier_jobs", "Jobs that ended, by how.", ["state"], registry=self.registry
        )
        self.failures = Counter(
            "atelier_job_failures", "Failed jobs, by kind.", ["kind"], registry=self.registry
        )
        self.strikes = Counter(
            "atelier_engine_strikes",
            "Times a job was running when its worker or model child died.",
            registry=self.registry,
        )
        self.stray_results = Counter(
            "atelier_engine_stray_results",
            "Results that changed nothing: duplicate, late, or of an unknown job.",
            ["kind"],
            registry=self.registry,
        )
        self.resent = Counter(
            "atelier_engine_resent",
            "Jobs sent to the engine again, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.deliveries = Counter(
            "atelier_deliveries",
            "Tries to deliver an answer, by platform and outcome.",
            ["platform", "outcome"],
            registry=self.registry,
        )
        self.delivery_seconds = Histogram(
            "atelier_delivery_seconds",
            "From the end of a job until its answer was delivered.",
            ["platform"],
            buckets=_DELIVERY_BUCKETS_S,
            registry=self.registry,
        )
        self.unknown_outcomes = Counter(
            "atelier_delivery_unknown_outcomes",
            "Sends of which nobody knows whether they arrived.",
            ["platform"],
            registry=self.registry,
        )
        self.late_acknowledgements = Counter(
            "atelier_late_acknowledgements",
            "Invocations acknowledged before their admission was through, being slow.",
            ["platform"],
            registry=self.registry,
        )
        self.case_posts = Counter(
            "atelier_case_posts",
            "Tries to post a report to its moderators, by platform and outcome.",
            ["platform", "outcome"],
            registry=self.registry,
        )
        self.loop_errors = Counter(
            "atelier_loop_errors",
            "Errors that one of the gateway's loops survived.",
            ["loop"],
            registry=self.registry,
        )
