"""How often the person index may be asked."""

from __future__ import annotations

from dataclasses import replace

from fhir_server.records.pace import Pace
from loaders.demo.identity import OUTPATIENT_NUMBER

from .conftest import Caller, World, patient


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


def test_registering_persons_has_a_pace_of_its_own_and_the_loader_none(world: World) -> None:
    def asked(caller: Caller, n: int) -> list[int]:
        caller.context = replace(
            caller.context, settings=replace(caller.context.settings, registrations_per_minute=3, matches_per_minute=1)
        )
        return [caller("POST", "Patient", patient(f"张{k}", None, local=f"P{k}")).status for k in range(n)]

    hasty = world.staff("town", name="hasty-registrar")
    assert hasty("POST", "Patient/$match", patient()).status == 200
    assert asked(hasty, 5) == [201, 201, 201, 429, 429]
    entry = {"resource": patient("李四", None, local="P9"), "request": {"method": "POST", "url": "Patient"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert hasty("POST", "", bundle).status == 429
    assert hasty("PUT", f"Patient?identifier={OUTPATIENT_NUMBER}|P0", patient("张0", None, local="P0")).status == 429
    other = world.staff("county", name="other-registrar")
    many = {**bundle, "entry": [{**entry, "resource": patient(f"王{k}", None, local=f"Q{k}")} for k in range(4)]}
    assert asked(other, 0) == [] and other("POST", "", many).status == 429
    assert asked(world.everything(), 5) == [201] * 5
    assert other("GET", "Patient").status == 200
