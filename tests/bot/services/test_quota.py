"""Which limits hold for whom."""

from __future__ import annotations

from datetime import timedelta

import pytest
from desk import Desk
from people_and_jobs import origin

from bot.core.chat import Role
from bot.core.domain import Limits, Member
from bot.errors import SettingsError
from bot.services.limits import limits_of, read_setting, strongest

MEMBER = Member("a", "c", "member")
DEFAULTS = Limits(gpu_ms=600, jobs=10, active_jobs=3, roles={"owner": {"gpu_ms": None}})


def test_defaults_then_studio_then_community() -> None:
    studio = {"gpu_ms": 500, "jobs": 9}
    community = {"jobs": None, "active_jobs": 1}
    found = limits_of(DEFAULTS, [studio, community], MEMBER)
    assert (found.gpu_ms, found.jobs, found.active_jobs, found.waiting_jobs) == (500, None, 1, 50)
    assert limits_of(DEFAULTS, [None, None], MEMBER) == DEFAULTS


def test_the_strongest_of_a_member_s_roles_wins_field_by_field() -> None:
    setting = {
        "gpu_ms": 100,
        "roles": {
            "moderator": {"gpu_ms": 200, "weight": 2},
            "77": {"gpu_ms": 300, "window_s": 3600},
            "78": {"gpu_ms": 50, "window_s": 60},
            "79": {"gpu_ms": None},
        },
    }

    def found(role: str, *platform_roles: str) -> Limits:
        return limits_of(DEFAULTS, [setting], Member("a", "c", role, platform_roles))

    assert found("member").gpu_ms == 100
    assert (found("moderator").gpu_ms, found("moderator").weight) == (200, 2.0)
    both = found("moderator", "77")
    assert (both.gpu_ms, both.weight, both.window_s) == (300, 2.0, 3600)
    assert found("member", "77", "78").window_s == 60
    assert found("member", "78").gpu_ms == 50  # the only word on it may also lower
    assert found("member", "79", "77").gpu_ms is None
    assert found("owner").gpu_ms is None  # from the defaults
    assert strongest([]) == {}


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"gpu_ms": -1}, "limits.gpu_ms"),
        ({"gpu": 1}, "limits.gpu"),
        ({"active_jobs": 0}, "limits.active_jobs"),
        ({"weight": 0}, "limits.weight"),
        ({"roles": {"9": {"jobs": "many"}}}, "limits.roles.9.jobs"),
        ([1], "limits"),
    ],
)
def test_a_setting_that_is_wrong_is_named(setting: object, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_setting(setting)


async def test_a_community_s_setting_holds_there_and_nowhere_else(desk: Desk) -> None:
    await desk.set("limits", {"jobs": 5})
    await desk.set("limits", {"jobs": 6, "roles": {"moderator": {"jobs": 7}}}, origin())
    assert (await desk.quota.view(origin())).limits.jobs == 6
    assert (await desk.quota.view(origin("ben"))).limits.jobs == 6  # never seen before
    assert (await desk.quota.view(origin(role=Role.MODERATOR))).limits.jobs == 7
    assert (await desk.quota.view(origin(place="elsewhere"))).limits.jobs == 5


async def test_a_view_says_when_the_next_part_frees(desk: Desk) -> None:
    desk.use(Limits(window_s=3600))
    assert (await desk.quota.view(origin())).frees_at is None
    first = await desk.ask()
    first_at = desk.now
    desk.later(60)
    await desk.ask()
    view = await desk.quota.view(origin())
    assert view.usage.jobs == 2
    assert view.frees_at == first_at + timedelta(hours=1)
    await desk.report(first.job_id, "cancelled")
    assert (await desk.quota.view(origin())).frees_at == desk.now + timedelta(hours=1)
