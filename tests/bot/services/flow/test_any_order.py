"""Whatever happens, in whatever order: each job has one end, one answer, and a ledger that adds up.

Hypothesis plays members, workers, platforms and the executioner, who kills the gateway between any
two of its transactions, and inside them. Afterwards all are well again for as long as it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.core.domain import DeliveryState, Job, JobState
from bot.errors import DeliveryRetry, UserError
from generators.engine.port import ArtifactRef, EngineResult, Struck

MEMBERS = st.sampled_from(["ann", "bob", "cat"])


class AnyOrder(RuleBasedStateMachine):
    """One gateway after the other over one store. `make_studio` is set by the test."""

    make_studio: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.studio = self.runner.run(self._new())
        self.jobs: dict[str, tuple[str, str]] = {}  # job id -> member, platform
        self.ends: dict[str, JobState] = {}
        self.leases: list[Any] = []
        self.unknown: set[str] = set()  # jobs whose answer met an unknown outcome
        self.armed = False

    async def _new(self) -> Any:
        studio = type(self).make_studio()
        studio.ready(6)
        return studio

    def run(self, step: Callable[[], Awaitable[Any]]) -> Any:
        """One step of the gateway; if it dies in it, the next one starts over the same store."""
        try:
            return self.runner.run(step())
        except UserError:
            return None
        except BaseException as error:
            if type(error).__name__ != "Crash":
                raise
            return None
        finally:
            if self.armed and self.studio.faults.fired:
                self.start_anew()

    def start_anew(self) -> None:
        self.studio.faults.calm()
        self.armed = False
        self.runner.run(self._start_anew())

    async def _start_anew(self) -> None:
        tasks = set(self.studio.delivery._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for job_id in self._rows():
            if (await self.studio.outbox(job_id)).state is DeliveryState.SENDING:
                self.unknown.add(job_id)
        self.studio.restart()
        self.studio.ready(6)

    # --- members ---

    @rule(member=MEMBERS, steps=st.integers(1, 2), platform=st.sampled_from(["wall", "radio"]))
    def ask(self, member: str, steps: int, platform: str) -> None:
        job_id = self.run(lambda: self.studio.ask(member, steps=steps, platform=platform))
        if job_id is not None:
            self.jobs[job_id] = (member, platform)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        member, platform = self.jobs[job_id]
        self.run(lambda: self.studio.cancel(member, job_id, platform))

    # --- the gateway's loops, one turn each ---

    @rule()
    def dispatch(self) -> None:
        self.run(self.studio.dispatcher.dispatch_once)

    @rule()
    def take_events(self) -> None:
        self.run(self.studio.dispatcher.news.record_once)

    @rule()
    def take_results(self) -> None:
        self.run(self.studio.take_results)

    @rule(later=st.sampled_from([0, 20, 400]))
    def reconcile(self, later: int) -> None:
        self.studio.clock.advance(later)
        self.studio.ready(6)
        self.run(self.studio.dispatcher.reconciler.reconcile_once)

    @rule(later=st.sampled_from([0, 10]))
    def look_after_cancels(self, later: int) -> None:
        self.studio.clock.advance(later)
        self.run(self.studio.dispatcher.reconciler.cancel_once)

    @rule()
    def deliver(self) -> None:
        self.run(self.studio.deliver)

    # --- workers ---

    @rule(many=st.integers(1, 4))
    def work_begins(self, many: int) -> None:
        for lease in self.run(lambda: self.studio.lease(many)):
            self.leases.append(lease)
            self.studio.begins(lease)

    @precondition(lambda self: self.leases)
    @rule(
        which=st.integers(0, 9),
        state=st.sampled_from(["done", "failed", "as asked"]),
        gpu_ms=st.integers(0, 5000),
    )
    def work_ends(
        self, which: int, state: Literal["done", "failed", "as asked"], gpu_ms: int
    ) -> None:
        lease = self.leases.pop(which % len(self.leases))
        self.runner.run(self._end(lease, state, gpu_ms))

    async def _end(self, lease: Any, state: str, gpu_ms: int = 100) -> None:
        if state == "as asked":
            state = "cancelled" if lease.cancelled else "done"
        picture = ArtifactRef(key="ab" * 32, mime="image/png", size_bytes=3)
        await lease.done(
            EngineResult(
                job_id=lease.job.id,
                state=state,
                artifacts=(picture,) if state == "done" else (),
                gpu_ms=gpu_ms,
            )
        )

    @rule()
    def results_come_again(self) -> None:
        self.studio.engine.show_again()

    # --- and death ---

    @rule(blame=st.booleans())
    def the_engine_loses_everything(self, blame: bool) -> None:
        for lease in self.leases if blame else ():
            job = lease.job
            self.studio.dispatcher.news.take(Struck(job_id=job.id, strikes=job.strikes + 1))
        self.leases.clear()
        self.studio.engine.lose()

    @rule()
    def the_gateway_dies(self) -> None:
        self.start_anew()

    @precondition(lambda self: not self.armed)
    @rule(points=st.integers(0, 12))
    def the_gateway_will_die(self, points: int) -> None:
        self.studio.faults.crash_after(points)
        self.armed = True

    @rule(arrives=st.booleans(), unknown=st.booleans())
    def the_next_answer_has_trouble(self, arrives: bool, unknown: bool) -> None:
        error = DeliveryRetry("as scripted", unknown=unknown or arrives)
        for place in (self.studio.wall, self.studio.radio):
            place.script = self._trouble(place, error, arrives)

    def _trouble(self, place: Any, error: DeliveryRetry, arrives: bool) -> Callable[[Any], Any]:
        async def arrived() -> BaseException:
            return error

        def script(delivery: Any) -> Any:
            place.script = lambda delivery: None
            if error.unknown:
                self.unknown.add(delivery.job_id)
            if arrives:
                return arrived()
            raise error

        return script

    # --- what must hold ---

    def _rows(self) -> dict[str, Job]:
        """All jobs there are, as committed."""
        rows: dict[str, Job] = dict(self.studio.store.tables.jobs)
        return rows

    @invariant()
    def an_end_is_final(self) -> None:
        ends = {job_id: job.state for job_id, job in self._rows().items() if job.state.ended}
        assert self.ends.items() <= ends.items()
        self.ends = ends

    def teardown(self) -> None:
        try:
            self.start_anew()
            for place in (self.studio.wall, self.studio.radio):
                place.script = lambda delivery: None
            self.runner.run(self._all_is_well())
            self.runner.run(self._what_must_hold())
        finally:
            self.runner.close()

    async def _all_is_well(self) -> None:
        studio = self.studio
        for _ in range(4):
            await studio.dispatcher.reconciler.reconcile_once()
            for lease in self.leases:
                await self._end(lease, "as asked")
            self.leases.clear()
            studio.engine.show_again()
            await studio.take_results()
            await studio.work_off()
            await studio.dispatcher.news.record_once()
            studio.clock.advance(3600)
            studio.ready(6)
            await studio.dispatcher.reconciler.cancel_once()
            await studio.deliver()

    async def _what_must_hold(self) -> None:
        async with self.studio.store.unit_of_work(write=False) as uow:
            assert await uow.jobs.queued_count() == 0
            assert await uow.jobs.in_flight() == []
        for job_id, job in self._rows().items():  # those too whose admission died after its commit
            outbox = await self.studio.outbox(job_id)
            platform = outbox.platform
            assert job.state.ended
            spent = min(job.gpu_ms or 0, job.reserved_gpu_ms) if job.state is JobState.DONE else 0
            assert await self.studio.used(job_id) == spent
            heard = len(self.studio.platforms[platform].arrived[job_id])
            if job_id not in self.unknown:
                assert outbox.state is DeliveryState.DELIVERED
                assert heard == 1 or platform == "wall"
            else:
                assert outbox.state in {DeliveryState.DELIVERED, DeliveryState.GONE}
                assert heard <= 2 or platform == "wall"


def test_in_any_order(make_studio: Any) -> None:
    AnyOrder.make_studio = staticmethod(make_studio)
    run_state_machine_as_test(
        AnyOrder, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
