"""Conditions hold when many ask at the same moment: one resource, one winner, no lost update.

https://hl7.org/fhir/R4/http.html#ccreate, https://hl7.org/fhir/R4/http.html#concurrency
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.robustness.api import Answer, Api, Resource
from tests.robustness.nursery import Nursery, free_port

ASKERS = 16
SYSTEM = "urn:race"
Ask = Callable[[Api, int], Answer]
_names = itertools.count()


class Crowd:
    """Sixteen clients with a connection each, who ask at the same moment."""

    def __init__(self, url: str) -> None:
        self.apis = [Api(url) for _ in range(ASKERS)]
        self._pool = ThreadPoolExecutor(ASKERS)

    def ask(self, question: Ask) -> list[Answer]:
        start = threading.Barrier(ASKERS)

        def one(number: int) -> Answer:
            start.wait()
            return question(self.apis[number], number)

        return list(self._pool.map(one, range(ASKERS)))

    def close(self) -> None:
        self._pool.shutdown()
        for api in self.apis:
            api.close()


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def crowd(
    request: pytest.FixtureRequest, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Crowd]:
    data = tmp_path_factory.mktemp("race") / "data"
    server = nursery.serve(data, free_port(), "--workers", str(request.param))
    server.ready().close()
    found = Crowd(server.url)
    # The server's correlation ids begin with a name of the process that answers.
    while len({api.get("metadata").headers["x-request-id"].partition("-")[0] for api in found.apis}) < request.param:
        found.close()
        found = Crowd(server.url)
    yield found
    found.close()
    assert server.stop() == 0


def patient(label: str, **more: object) -> Resource:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": label}], **more}


def fresh() -> str:
    return f"n{next(_names)}"


@pytest.mark.parametrize("_", range(8))
def test_sixteen_equal_conditional_creates_make_one_resource(crowd: Crowd, _: int) -> None:
    name = fresh()
    answers = crowd.ask(
        lambda api, _: api.post("Patient", patient(name), **{"If-None-Exist": f"identifier={SYSTEM}|{name}"})
    )
    assert Counter(answer.status for answer in answers) == {201: 1, 200: ASKERS - 1}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert crowd.apis[0].count(f"Patient?identifier={SYSTEM}|{name}") == 1


@pytest.mark.parametrize("_", range(8))
def test_conditional_creates_inside_transactions_make_one_resource(crowd: Crowd, _: int) -> None:
    name = fresh()

    def bundle() -> Resource:
        full_url = f"urn:uuid:{uuid.uuid4()}"
        observation = {"resourceType": "Observation", "status": "final", "code": {"text": name}}
        condition = f"identifier={SYSTEM}|{name}"
        return {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": full_url,
                    "resource": patient(name),
                    "request": {"method": "POST", "url": "Patient", "ifNoneExist": condition},
                },
                {
                    "resource": {**observation, "subject": {"reference": full_url}},
                    "request": {"method": "POST", "url": "Observation"},
                },
            ],
        }

    answers = crowd.ask(lambda api, _: api.post("", bundle()))
    assert {answer.status for answer in answers} == {200}, [a.body for a in answers if a.status != 200][:1]
    made = [answer.json["entry"][0]["response"]["status"][:3] for answer in answers]
    assert Counter(made) == {"201": 1, "200": ASKERS - 1}
    api = crowd.apis[0]
    (id_,) = api.get(f"Patient?identifier={SYSTEM}|{name}").ids()
    assert api.count(f"Observation?subject=Patient/{id_}") == ASKERS


@pytest.mark.parametrize("_", range(8))
def test_parallel_conditional_updates_make_one_resource_with_a_version_each(crowd: Crowd, _: int) -> None:
    name = fresh()
    answers = crowd.ask(
        lambda api, number: api.put(f"Patient?identifier={SYSTEM}|{name}", patient(name, multipleBirthInteger=number))
    )
    assert Counter(answer.status for answer in answers) == {201: 1, 200: ASKERS - 1}
    assert sorted(answer.version for answer in answers) == list(range(1, ASKERS + 1))
    last = max(answers, key=lambda answer: answer.version).json
    found = crowd.apis[0].get(f"Patient?identifier={SYSTEM}|{name}").json["entry"]
    assert [entry["resource"] for entry in found] == [last]


def test_each_round_of_parallel_if_match_updates_has_one_winner(crowd: Crowd) -> None:
    api, id_ = crowd.apis[0], fresh()
    assert api.put(f"Patient/{id_}", patient(id_, id=id_)).status == 201
    for version in range(1, 13):
        answers = crowd.ask(
            lambda api, number, version=version: api.put(  # type: ignore[misc]
                f"Patient/{id_}", patient(id_, id=id_, multipleBirthInteger=number), **{"If-Match": f'W/"{version}"'}
            )
        )
        assert Counter(answer.status for answer in answers) == {200: 1, 412: ASKERS - 1}
        (winner,) = (answer.json for answer in answers if answer.good)
        assert api.get(f"Patient/{id_}").json == winner
        assert winner["meta"]["versionId"] == str(version + 1)


def test_parallel_updates_with_if_match_inside_transactions_have_one_winner(crowd: Crowd) -> None:
    api, id_ = crowd.apis[0], fresh()
    assert api.put(f"Patient/{id_}", patient(id_, id=id_)).status == 201
    entry = {
        "resource": patient(id_, id=id_),
        "request": {"method": "PUT", "url": f"Patient/{id_}", "ifMatch": 'W/"1"'},
    }
    other = {"resource": patient(f"beside-{id_}"), "request": {"method": "POST", "url": "Patient"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [other, entry]}
    answers = crowd.ask(lambda api, _: api.post("", bundle))
    assert Counter(answer.status for answer in answers) == {200: 1, 412: ASKERS - 1}
    assert api.count(f"Patient?identifier={SYSTEM}|beside-{id_}") == 1


def test_parallel_patches_are_all_applied(crowd: Crowd) -> None:
    api, id_ = crowd.apis[0], fresh()
    assert api.put(f"Patient/{id_}", patient(id_, id=id_, name=[{"text": "first"}])).status == 201
    answers = crowd.ask(
        lambda api, number: api.send(
            "PATCH",
            f"Patient/{id_}",
            b'[{"op":"add","path":"/name/-","value":{"text":"added %d"}}]' % number,
            {"Content-Type": "application/json-patch+json"},
        )
    )
    assert {answer.status for answer in answers} == {200}
    names = [name["text"] for name in api.get(f"Patient/{id_}").json["name"]]
    assert sorted(names) == sorted(["first", *(f"added {number}" for number in range(ASKERS))])


def test_parallel_deletes_and_creates_of_one_id_leave_an_unbroken_history(crowd: Crowd) -> None:
    api, id_ = crowd.apis[0], fresh()

    def either(api: Api, number: int) -> Answer:
        if number % 2:
            return api.delete(f"Patient/{id_}")
        return api.put(f"Patient/{id_}", patient(id_, id=id_))

    answers = crowd.ask(either)
    assert {answer.status for answer in answers} <= {200, 201, 204}
    history = api.get(f"Patient/{id_}/_history?_count=100").json["entry"]
    tags = [entry["response"]["etag"] for entry in history]
    assert tags == [f'W/"{version}"' for version in range(len(tags), 0, -1)]
    deletions = [entry["request"]["method"] == "DELETE" for entry in history]
    assert not any(a and b for a, b in itertools.pairwise(deletions)), "what is deleted was deleted again"
