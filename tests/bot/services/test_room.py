"""Two lanes to the workers: batches by jobs, seats by items, and neither blocks the other."""

from __future__ import annotations

from typing import Any

from people_and_jobs import NOON, a_job

from bot.core.domain import Job, Member
from bot.services.room import Room
from bot.services.status import StudioStatus
from generators.engine.port import Capacity

MEMBER = Member("a", "c", "member")


def room(in_flight: list[Job], **capacity: Any) -> Room:
    status = StudioStatus(lambda: NOON)
    values = {"worker_id": "w", "state": "ready", "slots": 2, "guest_items": 20, "held": 0}
    status.heard(Capacity(**{**values, **capacity}))
    return Room(status, in_flight)


def picture(**more: Any) -> Job:
    return a_job(MEMBER, **more)


def text(count: int = 1, **more: Any) -> Job:
    return a_job(MEMBER, generator="gpt2", model="gpt2", count=count, **more)


def test_texts_are_seated_however_many_pictures_run() -> None:
    full = room([picture(), picture()])
    one, another = text(), text()
    assert full.any
    assert list(full.lanes([picture(), one, picture(), another])) == [([one, another], 20)]


def test_pictures_have_their_slots_however_many_texts_are_written() -> None:
    full = room([text(4) for _ in range(5)])
    one = picture()
    assert list(full.lanes([text(), one])) == [([one], 2)]


def test_who_is_first_in_line_has_the_first_lane() -> None:
    one, two = picture(), text()
    assert [lane for lane, _ in room([]).lanes([one, two])] == [[one], [two]]
    assert [lane for lane, _ in room([]).lanes([two, one])] == [[two], [one]]


def test_a_request_larger_than_what_is_left_is_not_overtaken_by_smaller_ones() -> None:
    nearly_full = room([text(4) for _ in range(4)] + [text(2)])
    assert list(nearly_full.lanes([text(4), text()])) == []
    assert nearly_full.items(text(), 16) == 2


def test_without_seats_a_text_takes_a_slot_like_a_picture() -> None:
    plain = room([text()], guest_items=0)
    one, two = text(), picture()
    assert list(plain.lanes([one, two])) == [([one, two], 1)]


def test_a_text_that_took_a_worker_down_and_a_training_need_slots() -> None:
    struck, training = text(strikes=1), text(kind="train")
    assert list(room([picture(), picture()]).lanes([struck, training])) == []
    assert next(room([struck]).lanes([picture()]))[1] == 1


def test_nothing_is_left_when_both_lanes_are_full() -> None:
    assert not room([text(4) for _ in range(5)] + [picture(), picture()]).any
