"""Continuous jobs in the model child: seated as they come, stepped together, answered one by one.
Torch (through the models).

A job waits here until its model has a session with room, then takes part in every turn until its
text is done. All sessions take a step in a turn, so jobs of different models share the device
token by token. Only `generators.runner` uses this, on its one thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from generators import catalog
from generators.contract import (
    BadRequest,
    Generated,
    GenerateRequest,
    GeneratorSpec,
    Session,
)
from generators.engine.port import EngineJob
from generators.runner.answers import Answers
from generators.runner.halving import NO_MEMORY
from generators.runner.shelf import Shelf
from generators.runtime import free_memory, is_out_of_memory
from generators.serving import Batch, ErrorKind, Outcome, Reporting, broken, failed, log_failure
from generators.validation import checked_request

Key = tuple[str, str, str]
"""(generator, model, compat key): who may share a session."""


@dataclass(slots=True, eq=False)
class _Guest:
    """A job with what it has cost so far."""

    request: GenerateRequest
    spec: GeneratorSpec
    key: Key
    gpu_ms: float = 0.0
    batch_size: int = 0  # the largest company it had, in items, itself included


@dataclass(slots=True)
class _Table:
    """A session and those who sit there."""

    session: Session
    answers: Answers
    guests: dict[str, _Guest]

    def items(self) -> int:
        return sum(guest.request.count for guest in self.guests.values())


class Seats:
    """All continuous jobs of this process."""

    def __init__(self, shelf: Shelf, device: str) -> None:
        self._shelf, self._device = shelf, device
        self._waiting: deque[_Guest] = deque()
        self._tables: dict[Key, _Table] = {}
        self._limits: dict[Key, int] = {}  # items at once, where memory has shown to be short

    def turn(self, link: Reporting, *, may_load: bool = True, may_seat: bool = True) -> bool:
        """Seat who waits, give everybody seated one step; returns whether anybody is there whom
        another call would bring further. Raises nothing.

        `may_load`: whether a model may be loaded for those who wait; else they wait on.
        """
        self._take_in(link)
        self._dismiss_cancelled(link)
        if may_seat:
            self._seat(link, may_load=may_load)
        for key, table in list(self._tables.items()):
            if table.guests:
                self._step(key, table, link)
            if not table.guests:
                self._tables.pop(key, None)  # and its memory with it
        return bool(self._tables) or (may_load and may_seat and bool(self._waiting))

    def empty(self, link: Reporting) -> None:
        """Write until nobody sits here; who comes meanwhile waits."""
        while self._tables:
            self.turn(link, may_seat=False)

    def _take_in(self, link: Reporting) -> None:
        for batch in link.newcomers():
            for job in batch.jobs:
                try:
                    self._waiting.append(_guest(job, batch))
                except BadRequest as error:
                    link.answer(failed(job.id, error, "bad_request"))

    def _dismiss_cancelled(self, link: Reporting) -> None:
        for guest in [g for g in self._waiting if link.cancelled(g.request.job_id)]:
            self._waiting.remove(guest)
            link.answer(Outcome(guest.request.job_id, "cancelled"))
        for table in self._tables.values():
            for job_id in [job_id for job_id in table.guests if link.cancelled(job_id)]:
                table.session.leave(job_id)
                guest = table.guests.pop(job_id)
                link.answer(Outcome(job_id, "cancelled", gpu_ms=round(guest.gpu_ms)))

    def _seat(self, link: Reporting, *, may_load: bool) -> None:
        """Let in who fits, in the order they came; who does not fit holds up their own table.

        A model is loaded when all tables are empty: it may need the memory of theirs.
        """
        full: set[Key] = set()
        for guest in list(self._waiting):
            if guest.key in full:
                continue
            if guest.key not in self._tables and guest.key[1] not in self._shelf.names:
                if not may_load:
                    continue
                if self._tables:
                    return
            table = self._table(guest, link)
            if table is not None and table.session.room() < guest.request.count:
                full.add(guest.key)
                continue
            self._waiting.remove(guest)
            if table is not None:
                self._join(guest, table, link)

    def _table(self, guest: _Guest, link: Reporting) -> _Table | None:
        """The table of this guest, laid if need be; None where there is no such model, which the
        guest has been told."""
        if guest.key in self._tables:
            return self._tables[guest.key]
        loaded = self._shelf.take(guest.spec, guest.key[1], [guest.request.job_id], link)
        if loaded is None:
            return None
        limit = max(self._limits.get(guest.key, guest.spec.max_batch), guest.request.count)
        session = loaded.model.open(limit)
        answers = Answers(guest.spec, loaded, self._device, link)
        self._tables[guest.key] = _Table(session, answers, {})
        return self._tables[guest.key]

    def _join(self, guest: _Guest, table: _Table, link: Reporting) -> None:
        job_id = guest.request.job_id
        try:
            table.session.join(guest.request)
        except BadRequest as error:
            link.answer(failed(job_id, error, "bad_request"))
        except Exception as error:  # of any model: those at the table go on
            log_failure([job_id])
            link.answer(failed(job_id, broken(error), "internal"))
        else:
            table.guests[job_id] = guest

    def _step(self, key: Key, table: _Table, link: Reporting) -> None:
        began = time.monotonic()
        company = table.items()
        loaded = table.answers.loaded
        try:
            adapters = getattr(loaded.model, "adapters", None)
            if adapters is not None:  # another table may share the base
                adapters.use(loaded.entry.adapter)
            step = table.session.step()
        except Exception as error:  # of any model: the other tables go on
            self._break_up(key, table, error, link)
            return
        now = time.monotonic()
        for guest in table.guests.values():
            guest.gpu_ms += 1000 * (now - began) * guest.request.count / company
            guest.batch_size = max(guest.batch_size, company)
        if step.texts:
            link.report(step)
        for job_id, generated in step.finished.items():
            self._answer(table, table.guests.pop(job_id), generated)

    def _answer(self, table: _Table, guest: _Guest, generated: Generated) -> None:
        table.answers.give(
            guest.request,
            generated,
            gpu_ms=max(1, round(guest.gpu_ms)),
            batch_size=guest.batch_size,
        )

    def _break_up(self, key: Key, table: _Table, error: Exception, link: Reporting) -> None:
        """A step has failed. Where memory ran out, half as many begin again, the same texts from
        the same seeds; else all who sat there fail."""
        guests, items = list(table.guests.values()), table.items()
        table.guests.clear()
        if not is_out_of_memory(error):
            log_failure([guest.request.job_id for guest in guests])
            _fail(guests, broken(error), "internal", link)
        elif len(guests) == 1:
            _fail(guests, NO_MEMORY, "bad_request", link)
        else:
            self._limits[key] = max(1, items // 2)
            self._waiting.extendleft(reversed(guests))
        del self._tables[key]
        free_memory()


def _fail(guests: Sequence[_Guest], reason: BadRequest, kind: ErrorKind, link: Reporting) -> None:
    for guest in guests:
        link.answer(failed(guest.request.job_id, reason, kind))


def _guest(job: EngineJob, batch: Batch) -> _Guest:
    """Raises BadRequest."""
    request = checked_request(job, batch.inputs.get(job.id, {}))
    spec = catalog.spec(job.generator)
    if not spec.continuous:
        raise BadRequest(
            f"{job.generator} jobs run in batches only.", f"{job.generator} 任务只能成批运行。"
        )
    key = (job.generator, job.model, spec.compat_key(job.model, request.params))
    return _Guest(request, spec, key)
