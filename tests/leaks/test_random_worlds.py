"""Random small worlds: whatever the consents say and however they contradict each other, engine and oracle agree.

``YIDANG_LEAK_EXAMPLES=5000`` makes a deep run.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
GRANTEES = (
    *("Organization/a", "Organization/b", "Organization/c", "Organization/alliance", "Organization/alliance"),
    *("Practitioner/da", "CareTeam/t"),
)


class Maker:
    """Random items and consents, poor in values, so that rules meet rows and each other."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.one = self.random.choice

    def rarely(self, make: Callable[[], Any], empty: Any, chance: float = 0.2) -> Any:
        return make() if self.random.random() < chance else empty

    def some(self, values: Sequence[str], most: int = 2) -> tuple[str, ...]:
        return tuple(self.random.sample(values, self.random.randint(1, most)))

    def day(self) -> date:
        return date(2025, 1, 1) + timedelta(days=self.random.randrange(20))

    def patient(self) -> str:
        return self.one(("p1", "p1", "p1", "p2", "child"))

    def item(self) -> dict[str, Any]:
        return {
            "cls": self.one(CLASSES),
            "patient": self.patient(),
            "by": self.one(HOUSES),
            "day": self.rarely(self.day, None, 0.8),
            "names": self.rarely(lambda: self.some(NAMES), (), 0.4),
        }

    def part(self, depth: int, permit: bool) -> Part:
        days = sorted((self.day(), self.day()))
        begin = NOW + timedelta(days=self.random.randint(-20, 5))
        return Part(
            permit=permit,
            grantees=self.rarely(lambda: self.some(GRANTEES), (), 0.9 if permit and depth else 0.5),
            classes=self.rarely(lambda: self.some(CLASSES), (), 0.3),
            names=self.rarely(lambda: self.some(NAMES[:3]), (), 0.4),
            purposes=self.rarely(lambda: self.one([("TREAT",), ("REFER", "ETREAT")]), ()),
            valid=self.rarely(lambda: (begin, begin + timedelta(days=self.random.randint(1, 20))), None),
            data=self.rarely(lambda: (days[0], days[1]), None),
            custodian=self.rarely(lambda: self.one(["Organization/a", "Organization/b"]), ""),
            document=self.rarely(lambda: self.one(["Observation/i0", "AllergyIntolerance/i1"]), ""),
            parts=tuple(
                self.part(depth - 1, self.one([not permit, not permit, permit]))
                for _ in range(self.random.randint(0, 2) if depth else 0)
            ),
        )

    def consent(self) -> dict[str, Any]:
        return {
            "patient": self.patient(),
            "part": self.part(1, self.random.random() < 0.7),
            "days": self.one([300, 10]),
            "status": self.one(["active"] * 5 + ["inactive"]),
        }


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


def load(folder: Path, stock: list[dict[str, Any]], given_consents: list[dict[str, Any]]) -> Loaded:
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
            w.put(appointment, item["by"], SEVERAL, "encounter", *item["names"])
            continue
        w.add(item["cls"], item["patient"], item["by"], when, *item["names"], id=f"i{number}")
    for number, one in enumerate(given_consents):
        w.consent(f"c{number}", one["patient"], one["part"], one["days"], status=one["status"])
    world.do(w.steps)
    return world


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_random_consents_open_what_the_oracle_says(seed: int, compared: Counter[str]) -> None:
    maker = Maker(seed)
    stock = [maker.item() for _ in range(maker.random.randint(3, 12))]
    given_consents = [maker.consent() for _ in range(maker.random.randint(1, 5))]
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
                compared["opened by a rule there"] += sum(why.startswith("granted") for why in wanted.values())
        finally:
            world.store.close()


assert micros(NOW) % 1000 == 0
assert records.MAKERS.keys() >= set(CLASSES)
