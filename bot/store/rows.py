"""Rows to values of the domain and back: the only place that knows both spellings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from bot.core.domain import (
    Artifact,
    Delivery,
    DeliveryState,
    Job,
    JobState,
    LedgerEntry,
    PostingKind,
)
from generators.engine.port import ArtifactRef

JOB_FIELDS = tuple(field.name for field in fields(Job))
ARTIFACT_FIELDS = tuple(field.name for field in fields(Artifact))
DELIVERY_FIELDS = tuple(field.name for field in fields(Delivery))
LEDGER_FIELDS = tuple(field.name for field in fields(LedgerEntry))

ERASED: Mapping[str, Any] = {
    "params": {},
    "inputs": {},
    "seed": 0,
    "error": None,
    "error_zh": None,
    "receipt": None,
    "favorite": False,
}
"""What is left of a job's content after erasing."""


def job_from(row: sa.Row[Any]) -> Job:
    """A job from a row that has at least the columns of `Job`."""
    values = _pick(row, JOB_FIELDS)
    values["state"] = JobState(values["state"])
    values["inputs"] = {
        name: ArtifactRef.model_validate(ref) for name, ref in values["inputs"].items()
    }
    return Job(**values)


def job_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """`Job` fields as column values; unknown names are refused by the database layer."""
    found = dict(values)
    if "state" in found:
        found["state"] = str(found["state"])
    if "inputs" in found:
        found["inputs"] = {
            name: ref.model_dump(mode="json") for name, ref in found["inputs"].items()
        }
    for name in ("params", "receipt"):
        if found.get(name) is not None:
            found[name] = dict(found[name])
    if "params" in found:
        found["search_text"] = search_text(found["params"])
    return found


def job_row(job: Job) -> dict[str, Any]:
    """A whole job as column values."""
    return job_values({name: getattr(job, name) for name in JOB_FIELDS}) | {"erased_at": None}


def search_text(params: Mapping[str, Any]) -> str:
    """What the history is searched in: the prompt, casefolded, so that every database (and the
    memory twin) finds the same."""
    return str(params.get("prompt", "")).casefold()


def artifact_from(row: sa.Row[Any]) -> Artifact:
    """An artifact from its row."""
    return Artifact(**_pick(row, ARTIFACT_FIELDS))


def artifact_row(artifact: Artifact) -> dict[str, Any]:
    """An artifact as column values."""
    values = {name: getattr(artifact, name) for name in ARTIFACT_FIELDS}
    return values | {"facts": dict(artifact.facts)}


def delivery_from(row: sa.Row[Any]) -> Delivery:
    """A delivery from its row."""
    values = _pick(row, DELIVERY_FIELDS)
    values["state"] = DeliveryState(values["state"])
    return Delivery(**values)


def delivery_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """`Delivery` fields as column values."""
    found = dict(values)
    if "state" in found:
        found["state"] = str(found["state"])
    if "address" in found:
        found["address"] = dict(found["address"])
    return found


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """A whole delivery as column values."""
    return delivery_values({name: getattr(delivery, name) for name in DELIVERY_FIELDS})


def entry_from(row: sa.Row[Any]) -> LedgerEntry:
    """A ledger entry from its row."""
    values = _pick(row, LEDGER_FIELDS)
    values["kind"] = PostingKind(values["kind"])
    return LedgerEntry(**values)


def entry_row(entry: LedgerEntry) -> dict[str, Any]:
    """A ledger entry as column values."""
    values = {name: getattr(entry, name) for name in LEDGER_FIELDS}
    return values | {"kind": str(entry.kind)}


def _pick(row: sa.Row[Any], names: tuple[str, ...]) -> dict[str, Any]:
    mapping = row._mapping
    return {name: mapping[name] for name in names}
