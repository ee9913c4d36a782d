"""The loop that writes: rows join, take a step together, and leave as they end. Torch.

A row's tokens depend on its own text, settings and seed alone: its chances were drawn before it
came, and scores are chosen among row by row. So it is the same text whenever it joined.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from generators import sampling
from generators.contract import CANCELLED, BadRequest, Generated, GenerateRequest, OnStep, Step
from generators.writing.memories import Memory
from generators.writing.rows import Reader, Row

TEXT_EVERY_S = 0.1


class TextSession:
    """See `contract.Session`; an item is a row."""

    def __init__(self, reader: Reader, memory: Memory, max_items: int) -> None:
        self._reader, self._memory, self._max_items = reader, memory, max_items
        self._rows: list[Row] = []  # as the memory has them
        self._arriving: list[Row] = []  # have not been read yet
        self._jobs: dict[str, list[Row]] = {}
        self._unseen: set[str] = set()  # jobs of which nothing was shown yet
        self._shown_at = time.monotonic()
        self._chooser: _Chooser | None = None

    @property
    def jobs(self) -> Sequence[str]:
        return list(self._jobs)

    def room(self) -> int:
        if self._rows and not self._memory.joins:
            return 0
        return self._max_items - len(self._rows) - len(self._arriving)

    def join(self, request: GenerateRequest) -> None:
        rows = self._reader.rows(request)
        self._jobs[request.job_id] = rows
        self._unseen.add(request.job_id)
        self._arriving += rows

    @torch.inference_mode()
    def leave(self, job_id: str) -> None:
        rows = self._jobs.pop(job_id, [])
        self._unseen.discard(job_id)
        self._arriving = [row for row in self._arriving if row not in rows]
        self._drop(rows)

    @torch.inference_mode()
    def step(self) -> Step:
        scores = self._next_scores()
        if self._chooser is None:
            self._chooser = _Chooser(self._rows, scores)
        tokens = self._chooser.choose(scores, self._rows)
        for row, token in zip(self._rows, tokens, strict=True):
            if token in self._reader.ends:
                row.done = True
            else:
                row.ids.append(token)
                row.done = row.written >= row.limit
        progress = {job_id: _progress(rows) for job_id, rows in self._jobs.items()}
        texts = self._texts()
        finished = {
            job_id: self._reader.answer(rows)
            for job_id, rows in self._jobs.items()
            if all(row.done for row in rows)
        }
        self._drop([row for row in self._rows if row.done])
        for job_id in finished:
            del self._jobs[job_id]
        done, total = max(progress.values(), key=lambda steps: steps[1] - steps[0])
        return Step(done, total, texts=texts, finished=finished, progress=progress)

    def _next_scores(self) -> Tensor:
        """Scores of every row's next token, (B, V), newcomers read and last in line."""
        outgrown = [row for row in self._rows if self._reader.outgrown(row)]
        if outgrown:
            for row in outgrown:
                row.window = len(row.ids) - self._reader.context // 2
            moved = outgrown if self._memory.joins else list(self._rows)
            self._drop(moved)
            self._arriving = moved + self._arriving
        parts = []
        if self._rows:
            latest = torch.tensor([row.ids[-1] for row in self._rows])
            parts.append(self._memory.advance(latest))
        if self._arriving:
            parts.append(self._memory.add([row.view for row in self._arriving]))
            self._rows += self._arriving
            self._arriving, self._chooser = [], None
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _drop(self, rows: Sequence[Row]) -> None:
        """Forget rows; the last ones take their places, so that little has to be moved."""
        gone = {index for index, row in enumerate(self._rows) if row in rows}
        if not gone:
            return
        left = len(self._rows) - len(gone)
        movers = iter([index for index in range(left, len(self._rows)) if index not in gone])
        order = [next(movers) if index in gone else index for index in range(left)]
        self._memory.keep(order)
        self._rows = [self._rows[index] for index in order]
        self._chooser = None

    def _texts(self) -> dict[str, str]:
        """Texts worth showing: a job's first token at once, and all ten times a second together.

        Several texts of a job are shown one under the other.
        """
        now = time.monotonic()
        due = now - self._shown_at >= TEXT_EVERY_S
        if due:
            self._shown_at = now
        texts = {}
        for job_id, rows in self._jobs.items():
            if due or job_id in self._unseen:
                self._unseen.discard(job_id)
                texts[job_id] = "\n\n".join(self._reader.text_so_far(row) for row in rows)
        return texts


class _Chooser:
    """Draws every row's next token; made anew when rows come or go."""

    def __init__(self, rows: Sequence[Row], scores: Tensor) -> None:
        self._device = scores.device

        def column(name: str, dtype: torch.dtype) -> Tensor:
            values = [row.settings[name] for row in rows]
            return torch.tensor(values, dtype=dtype, device=self._device)

        self._temperature = column("temperature", torch.float32)
        self._top_k = column("top_k", torch.long)
        self._top_p = column("top_p", torch.float32)
        self._penalty = column("repetition_penalty", torch.float32)
        self._all = torch.zeros_like(self._top_k)
        self._greedy = [row.settings["temperature"] == 0 for row in rows]
        self._seen: Tensor | None = None  # (B, S): the tokens of each row's text
        if any(row.settings["repetition_penalty"] != 1.0 for row in rows):
            longest = max(len(row.ids) for row in rows)
            seen = [row.ids + row.ids[:1] * (longest - len(row.ids)) for row in rows]
            self._seen = torch.tensor(seen, device=self._device)

    def choose(self, scores: Tensor, rows: Sequence[Row]) -> list[int]:
        """One token for each row, from its scores (B, V)."""
        if self._seen is not None:
            scores = sampling.penalize_repetition(scores, self._seen, self._penalty)
        if all(self._greedy):
            tokens = scores.argmax(-1)
        else:
            tokens = self._drawn(scores, rows)
            if any(self._greedy):
                tokens = torch.where(self._temperature > 0, tokens, scores.argmax(-1))
        if self._seen is not None:
            self._seen = torch.cat([self._seen, tokens[:, None]], dim=1)
        chosen: list[int] = tokens.tolist()
        return chosen

    def _drawn(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        chances = torch.tensor([row.chances[row.written] for row in rows], device=self._device)
        ids, scores = sampling.narrow(scores, self._top_k)
        scores = sampling.temper(scores, self._temperature)
        limits = self._top_k if ids is None else self._all
        drawn = sampling.draw(sampling.keep_likeliest(scores, limits, self._top_p), chances)
        return drawn if ids is None else ids.gather(-1, drawn[:, None]).squeeze(-1)


def _progress(rows: Sequence[Row]) -> tuple[int, int]:
    """(done, total) tokens of a job; an early end is the end."""
    total = rows[0].limit
    written = max(row.written for row in rows)
    return (total if all(row.done for row in rows) else min(written, total - 1)), total


def write_together(
    open_session: Callable[[int], Any], requests: Sequence[GenerateRequest], on_step: OnStep
) -> list[Generated | BadRequest]:
    """`Model.generate` by a session of its own: all begin together, each ends when it ends."""
    session = open_session(sum(request.count for request in requests))
    answers: dict[str, Generated | BadRequest] = {}
    for request in requests:
        try:
            session.join(request)
        except BadRequest as error:
            answers[request.job_id] = error
    total = taken = 0
    while session.jobs:
        step = session.step()
        taken += 1
        total = total or max(steps for _, steps in step.progress.values())
        answers |= step.finished
        last = not session.jobs
        early = {} if last else step.finished
        unwanted = on_step(Step(total if last else taken, total, texts=step.texts, finished=early))
        for job_id in unwanted:
            session.leave(job_id)
        if not last and not session.jobs:
            on_step(Step(total, total))
    if not total:
        on_step(Step(1, 1))
    return [answers.get(request.job_id, CANCELLED) for request in requests]
