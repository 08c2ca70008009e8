"""Random small worlds: whatever the consents say and however they contradict each other, engine and oracle agree.

``YIDANG_LEAK_EXAMPLES=5000`` makes a deep run.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.leaks import people, records
from tests.leaks.compare import access
from tests.leaks.forms import Part, micros
from tests.leaks.oracle import SEVERAL, Facts, Membership, Team, Who, visible
from tests.leaks.world import Loaded, Writer, open_store, to

EXAMPLES = int(os.environ.get("YIDANG_LEAK_EXAMPLES", "60"))
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
PATIENTS = ("p1", "p2", "child")
HOUSES = ("a", "b", "c")
CLASSES = ("allergy", "laboratory", "imaging", "encounter", "financial")
NAMES = ("HIV", "MENTAL", "MINOR", "NOPAT")
DAYS = st.integers(0, 40).map(lambda n: date(2025, 1, 1) + timedelta(days=n))

items = st.fixed_dictionaries(
    {
        "cls": st.sampled_from(CLASSES),
        "patient": st.sampled_from(PATIENTS),
        "by": st.sampled_from(HOUSES),
        "day": st.one_of(st.none(), DAYS),
        "names": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
    }
)
grantees = st.lists(
    st.sampled_from(
        ["Organization/a", "Organization/b", "Organization/c", "Organization/alliance", "Practitioner/da", "CareTeam/t"]
    ),
    max_size=2,
    unique=True,
).map(tuple)
periods = st.one_of(st.none(), st.tuples(DAYS, DAYS).map(lambda days: (min(days), max(days))))
validity = st.one_of(
    st.none(),
    st.tuples(st.integers(-20, 20), st.integers(1, 20)).map(
        lambda pair: (NOW + timedelta(days=pair[0]), NOW + timedelta(days=pair[0] + pair[1]))
    ),
)


def part(depth: int, permit: bool | None = None) -> st.SearchStrategy[Part]:
    inner = st.lists(part(depth - 1), max_size=2).map(tuple) if depth else st.just(())
    return st.builds(
        Part,
        permit=st.booleans() if permit is None else st.just(permit),
        grantees=grantees,
        classes=st.lists(st.sampled_from(CLASSES), max_size=2, unique=True).map(tuple),
        names=st.lists(st.sampled_from(NAMES[:3]), max_size=2, unique=True).map(tuple),
        purposes=st.sampled_from([(), (), ("TREAT",), ("REFER", "ETREAT")]),
        valid=validity,
        data=periods,
        custodian=st.sampled_from(["", "", "Organization/a", "Organization/b"]),
        document=st.sampled_from(["", "", "", "Observation/i0", "AllergyIntolerance/i1"]),
        parts=inner,
    )


consents = st.fixed_dictionaries(
    {
        "patient": st.sampled_from(PATIENTS),
        "part": part(1),
        "days": st.sampled_from([300, 10]),
        "status": st.sampled_from(["active", "active", "active", "inactive"]),
    }
)
WHO = [
    Who(f"{role} {name} of {house} for {purpose}", "staff", f"Practitioner/{name}", purpose, house, "", role)
    for name, house, role, purpose in (
        ("da", "a", "physician", "TREAT"),
        ("db", "b", "physician", "ETREAT"),
        ("db", "b", "technician", "TREAT"),
        ("dc", "c", "nurse", "REFER"),
        ("dc", "c", "records-officer", "HOPERAT"),
    )
] + [people.resident("p1"), Who("system of a", "system", "Device/x", "TREAT", "a", "", "system")]


def load(folder: Path, stock: list[dict[str, object]], given_consents: list[dict[str, object]]) -> Loaded:
    """A world of these items and consents; c joined the alliance later than the older consents."""
    clock = [micros(NOW)]
    store, extractor = open_store(folder, clock)
    world = Loaded(store, extractor, Facts(), NOW, clock)
    w = Writer(NOW)
    since = {"a": 2000, "b": 2000, "c": 100}
    for id in (*HOUSES, "alliance"):
        w.nobody({"resourceType": "Organization", "id": id, "name": id})
    for id, days in since.items():
        w.nobody(
            {
                "resourceType": "OrganizationAffiliation",
                "id": id,
                "active": True,
                "period": {"start": (NOW - timedelta(days=days)).isoformat()},
                "organization": to("Organization", "alliance"),
                "participatingOrganization": to("Organization", id),
            }
        )
        world.facts.memberships.append(Membership("alliance", id, micros(NOW - timedelta(days=days))))
    team = {
        "resourceType": "CareTeam",
        "id": "t",
        "status": "active",
        "participant": [{"member": to("Practitioner", "dc")}],
    }
    w.put(team, "a", "", "care_plan")
    world.facts.teams.append(Team("CareTeam/t", frozenset({"Practitioner/dc"})))
    for id in PATIENTS:
        year = 2019 if id == "child" else 1980
        world.facts.born[id] = (year, 5, 5)
        w.put({"resourceType": "Patient", "id": id, "birthDate": f"{year}-05-05"}, "a", id, "identity")
    for number, item in enumerate(stock):
        day = item["day"]
        when = f"{day}T12:00:00+08:00" if day else None
        if item["cls"] == "encounter" and number % 5 == 0:
            appointment = {
                "resourceType": "Appointment",
                "id": f"i{number}",
                "status": "booked",
                "participant": [{"actor": to("Patient", one), "status": "accepted"} for one in PATIENTS[:2]],
            }
            w.put(appointment, str(item["by"]), SEVERAL, "encounter", *item["names"])  # type: ignore[misc]
            continue
        w.add(str(item["cls"]), str(item["patient"]), str(item["by"]), when, *item["names"], id=f"i{number}")  # type: ignore[misc]
    for number, one in enumerate(given_consents):
        w.consent(f"c{number}", str(one["patient"]), one["part"], one["days"], status=one["status"])  # type: ignore[arg-type]
    world.do(w.steps)
    return world


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(stock=st.lists(items, min_size=3, max_size=12), given_consents=st.lists(consents, min_size=1, max_size=4))
def test_random_consents_open_what_the_oracle_says(
    stock: list[dict[str, object]], given_consents: list[dict[str, object]], compared: Counter[str]
) -> None:
    with TemporaryDirectory() as folder:
        world = load(Path(folder) / "data", stock, given_consents)
        try:
            for who in WHO:
                got = [(one.type, one.id) for one in world.store.feed(0, 10_000, access(who, world))]
                wanted = {
                    (row.type, row.id): why
                    for row in world.facts.rows
                    if (why := visible(world.facts, row, who, "r", world.clock[0], world.today))
                }
                leaked = sorted(set(got) - set(wanted))
                assert not leaked, f"{who.name} sees what is hidden: {leaked}"
                missed = {one: why for one, why in wanted.items() if one not in got}
                assert not missed, f"{who.name} misses what is open: {missed}"
                compared["random worlds"] += len(world.facts.rows)
        finally:
            world.store.close()


assert micros(NOW) % 1000 == 0
assert records.MAKERS.keys() >= set(CLASSES)
