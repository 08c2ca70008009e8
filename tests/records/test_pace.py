"""How often the person index may be asked."""

from __future__ import annotations

from dataclasses import replace

from fhir_server.records.pace import Pace

from .conftest import World, patient


def test_so_many_calls_in_so_many_seconds() -> None:
    pace = Pace(60.0)
    assert [pace.take("a", 2, now) for now in (0.0, 1.0, 2.0)] == [0.0, 0.0, 58.0]
    assert pace.take("b", 2, 2.0) == 0.0
    assert pace.take("a", 2, 60.5) == 0.0
    assert pace.take("a", 2, 60.6) > 0


def test_who_has_been_quiet_is_forgotten() -> None:
    pace = Pace(60.0)
    for number in range(25_000):
        pace.take(str(number), 1, number / 10)
    assert len(pace._calls) <= 10_000


def test_match_is_refused_to_who_asks_too_often_and_never_to_stewards(world: World) -> None:
    def asked(who: str) -> list[int]:
        caller = world.steward() if who == "steward" else world.staff("town", name=who)
        caller.context = replace(caller.context, settings=replace(caller.context.settings, matches_per_minute=2))
        return [caller("POST", "Patient/$match", patient()).status for _ in range(4)]

    assert asked("hasty") == [200, 200, 429, 429]
    assert asked("another") == [200, 200, 429, 429]
    assert asked("steward") == [200, 200, 200, 200]
