"""Operations that judge values and files, over HTTP: they tell nothing of what the requester may not see."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from consent import Access
from fhir_server.store.prepare import prepare
from profiles.lossless import encode, parse
from terminology.references import definitions
from tests.leaks.compare import seen
from tests.leaks.coverage import covers
from tests.leaks.oracle import Who
from tests.leaks.people import requesters
from tests.leaks.probe import absent_id, hidden, same
from tests.leaks.web import Web
from tests.leaks.world import build

WHO = requesters()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A world with the shipped definitions: without any, no judgement could tell anything."""
    folder = tmp_path_factory.mktemp("judgements") / "data"
    made = Web(build(folder), folder)
    shipped = [
        prepare(parse(encode(one)), one["id"], made.world.extractor)
        for one in definitions()
        if one["resourceType"] == "ObservationDefinition"
    ]
    everything = Access.everything("leak suite")
    asyncio.run(made.world.store.write(lambda t: [t.put(one, "PUT") for one in shipped], everything))
    yield made
    made.close()


by_who = pytest.mark.parametrize("who", WHO, ids=lambda who: who.name)


@covers("$interpret instance")
@by_who
def test_a_hidden_observation_is_judged_as_an_absent_one(web: Web, who: Who, compared: Counter[str]) -> None:
    for row in hidden(web, who):
        if row.type == "Observation":
            same(web, who, "GET", "Observation/{id}/$interpret?age=50", row)
            compared["$interpret"] += 1
    shown = [row for row in seen(web.world, who, "r") if row.type == "Observation" and not row.deleted]
    current = [row for row in shown if web.world.current[row.type, row.id] is row]
    if current and any("r" in s.letters and s.type in ("*", "Observation") for s in who.scopes):
        assert web.get(who, f"Observation/{current[0].id}/$interpret").status == 200


def observed(patient: str) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "valueQuantity": {"value": 140, "unit": "g/L"},
    }


@covers("$interpret type")
@by_who
def test_a_value_of_a_hidden_patient_is_judged_as_that_of_an_absent_one(web: Web, who: Who) -> None:
    shown = {row.id for row in seen(web.world, who, "r") if row.type == "Patient"}
    for id in ("r1", "r9"):
        if id in shown:
            continue
        answers = []
        for named in (id, absent_id(id)):
            answers.append(web.ask(who, "POST", "Observation/$interpret", observed(named)).without(named))
        assert answers[0] == answers[1]
    if "r1" in shown and who.person == "r1":  # whoever sees the Patient gets its sex and age counted
        assert b'"assumed-adult"' not in web.ask(who, "POST", "Observation/$interpret", observed("r1")).body
