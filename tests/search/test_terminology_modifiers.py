""":in, :not-in, :above and :below of tokens over HTTP: what they find is what brute force finds, however many codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from consent import Access
from fhir_server.app import open_context
from fhir_server.errors import FhirError
from fhir_server.http.dispatch import dispatch, query_pairs
from fhir_server.http.exchange import Request
from fhir_server.settings import Settings
from fhir_server.terminology import SearchedCodes, ServedTerminology

SYSTEM, OTHER = "urn:test:mod:items", "urn:test:mod:other"
MANY = 20_000
TREE = {"a": ["a1", "a2"], "a1": ["a11", "a12"], "b": ["b1"]}


def concepts(codes: list[str]) -> list[dict[str, Any]]:
    return [{"code": code, "concept": concepts(TREE[code])} if code in TREE else {"code": code} for code in codes]


def below(code: str) -> set[str]:
    return {code}.union(*(below(child) for child in TREE.get(code, ())))


def valueset(id: str, *include: dict[str, Any], **compose: Any) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "id": id,
        "url": f"urn:test:mod:{id}",
        "status": "active",
        "compose": {"include": list(include), **compose},
    }


HUGE = {f"n{number}" for number in range(0, 2 * MANY, 2)}
ALL = sorted(below("a") | below("b"))
SETS: dict[str, set[tuple[str, str]]] = {
    "mod-tree": {(SYSTEM, code) for code in ALL},
    "mod-a": {(SYSTEM, code) for code in below("a") - {"a"}},
    "mod-two": {(SYSTEM, "b1"), (OTHER, "a1")},
    "mod-none": set(),
    "mod-huge": {(OTHER, code) for code in HUGE},
    "mod-without": {(SYSTEM, code) for code in set(ALL) - below("a1")},
}
DEFINED = [
    {
        "resourceType": "CodeSystem",
        "id": "mod-items",
        "url": SYSTEM,
        "status": "active",
        "content": "complete",
        "hierarchyMeaning": "is-a",
        "concept": concepts(["a", "b"]),
    },
    valueset("mod-tree", {"system": SYSTEM}),
    valueset("mod-a", {"system": SYSTEM, "filter": [{"property": "concept", "op": "descendent-of", "value": "a"}]}),
    valueset(
        "mod-two", {"system": SYSTEM, "concept": [{"code": "b1"}]}, {"system": OTHER, "concept": [{"code": "a1"}]}
    ),
    valueset("mod-none", {"system": SYSTEM, "concept": [{"code": "nothing"}]}),
    valueset("mod-huge", {"system": OTHER, "concept": [{"code": code} for code in sorted(HUGE)]}),
    valueset(
        "mod-without",
        {"system": SYSTEM},
        exclude=[{"system": SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "a1"}]}],
    ),
]
TAG = "urn:test:mod"


@pytest.fixture(scope="module")
def observations(client: httpx.Client) -> Iterator[dict[str, set[tuple[str, str]]]]:
    """Each Observation's codings by id."""
    chosen = random.Random(11)
    for resource in DEFINED:
        answer = client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text[:500]
    found: dict[str, set[tuple[str, str]]] = {}
    entries = []
    for number in range(80):
        pool = [(SYSTEM, code) for code in ALL] + [(OTHER, "a1"), (OTHER, "n4"), (OTHER, "n5"), (OTHER, "n39998")]
        codings = set(chosen.sample(pool, chosen.choice([1, 1, 2])))
        id = f"mod-{number}"
        found[id] = codings
        resource = {
            "resourceType": "Observation",
            "id": id,
            "status": chosen.choice(["final", "amended"]),
            "meta": {"tag": [{"system": TAG, "code": "x"}]},
            "code": {"coding": [{"system": system, "code": code} for system, code in sorted(codings)]},
        }
        entries.append({"resource": resource, "request": {"method": "PUT", "url": f"Observation/{id}"}})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert client.post("", json=bundle).status_code == 200
    yield found


def ids(client: httpx.Client, *pairs: tuple[str, str]) -> set[str]:
    """What a search finds on all its pages."""
    found: set[str] = set()
    url: str | None = f"Observation?{httpx.QueryParams([('_tag', f'{TAG}|x'), *pairs, ('_count', '7')])}"
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text[:500]
        bundle = answer.json()
        page = [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        assert found.isdisjoint(page)
        found.update(page)
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found


@pytest.mark.parametrize("name", SETS)
def test_in_and_not_in_find_what_brute_force_finds(
    client: httpx.Client, observations: dict[str, set[tuple[str, str]]], name: str
) -> None:
    inside = {id for id, codings in observations.items() if codings & SETS[name]}
    assert ids(client, ("code:in", f"urn:test:mod:{name}")) == inside
    assert ids(client, ("code:in", f"ValueSet/{name}")) == inside
    assert ids(client, ("code:not-in", f"urn:test:mod:{name}")) == set(observations) - inside
    total = client.get(
        "Observation", params={"_tag": f"{TAG}|x", "code:in": f"urn:test:mod:{name}", "_summary": "count"}
    )
    assert total.json()["total"] == len(inside)


@pytest.mark.parametrize("code", [*ALL])
def test_above_and_below_follow_the_hierarchy(
    client: httpx.Client, observations: dict[str, set[tuple[str, str]]], code: str
) -> None:
    under = {(SYSTEM, one) for one in below(code)}
    over = {(SYSTEM, one) for one in ALL if code in below(one)}
    value = f"{SYSTEM}|{code}"
    assert ids(client, ("code:below", value)) == {id for id, codings in observations.items() if codings & under}
    assert ids(client, ("code:above", value)) == {id for id, codings in observations.items() if codings & over}


def test_they_stand_beside_other_conditions(
    client: httpx.Client, observations: dict[str, set[tuple[str, str]]]
) -> None:
    huge = {id for id, codings in observations.items() if codings & SETS["mod-huge"]}
    final = ids(client, ("status", "final"))
    assert ids(client, ("code:in", "urn:test:mod:mod-huge"), ("status", "final")) == huge & final
    either = ("code:in", "urn:test:mod:mod-huge,urn:test:mod:mod-two")
    two = {id for id, codings in observations.items() if codings & SETS["mod-two"]}
    assert ids(client, either) == huge | two
    assert ids(client, ("_filter", 'code in "urn:test:mod:mod-huge"')) == huge
    assert ids(client, ("_filter", f'code sb "{SYSTEM}|a1"')) == ids(client, ("code:below", f"{SYSTEM}|a1"))
    assert ids(client, ("_filter", f'code ss "{SYSTEM}|a1"')) == ids(client, ("code:above", f"{SYSTEM}|a1"))
    statuses = "http://hl7.org/fhir/ValueSet/observation-status"
    assert ids(client, ("status:in", statuses)) == set(observations)
    assert ids(client, ("status:not-in", statuses)) == set()


def test_a_value_set_of_a_whole_unknown_system_finds_all_its_codes(client: httpx.Client) -> None:
    resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "mod-loinc"}]},
    }
    id = client.post("Observation", json=resource).json()["id"]
    found = client.get("Observation", params={"_id": id, "code:in": "http://hl7.org/fhir/ValueSet/observation-codes"})
    assert found.json()["total" if "total" in found.json() else "type"] in (1, "searchset")
    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == [id]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code:in", "urn:nothing"),
        ("code:in", "ValueSet/nothing"),
        ("code:below", "a"),
        ("code:below", f"{SYSTEM}|nothing"),
        ("code:above", "urn:nothing|a"),
        ("identifier:in", "urn:nothing"),
    ],
)
def test_what_cannot_be_decided_is_refused(client: httpx.Client, name: str, value: str) -> None:
    answer = client.get("Observation", params={name: value})
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["diagnostics"]


IN = "code:in=http://hl7.org/fhir/ValueSet/administrative-gender"
ENTRIES = [
    {"request": {"method": "GET", "url": f"Condition?{IN}"}},
    {"request": {"method": "DELETE", "url": f"Condition?{IN}"}},
    {"request": {"method": "DELETE", "url": "Condition?code%3Ain=http://hl7.org/fhir/administrative-gender?fhir_vs"}},
]
ASKING = [
    ("GET", "Condition", IN, {}, None),
    ("GET", "Patient", f"_has:Condition:subject:{IN}", {}, None),
    ("GET", "Condition", "_filter=code in http://hl7.org/fhir/ValueSet/administrative-gender", {}, None),
    ("GET", "Condition", "code:below=http://hl7.org/fhir/administrative-gender|male", {}, None),
    ("DELETE", "Condition", IN, {}, None),
    ("PUT", "Condition", IN, {}, {"resourceType": "Condition", "subject": {"display": "x"}}),
    ("PATCH", "Condition", IN, {"content-type": "application/merge-patch+json"}, {"a": 1}),
    ("POST", "Condition", "", {"if-none-exist": IN}, {"resourceType": "Condition", "subject": {"display": "x"}}),
    *(("POST", "", "", {}, {"resourceType": "Bundle", "type": "transaction", "entry": [one]}) for one in ENTRIES),
]


def test_what_they_ask_is_never_worked_out_on_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[threading.Thread] = []

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def told(self: SearchedCodes, *args: str) -> Any:
            asked.append(threading.current_thread())
            return real(self, *args)

        return told

    for name in ("members", "below"):
        monkeypatch.setattr(SearchedCodes, name, watched(getattr(SearchedCodes, name)))

    async def ask() -> None:
        context = open_context(Settings(data=tmp_path), Access.everything("test"))
        try:
            for method, path, query, headers, body in ASKING:
                before = len(asked)
                content = b"" if body is None else json.dumps(body).encode()
                segments = (path,) if path else ()
                request = Request(method, segments, query_pairs(query), headers, content, "http://h/fhir", "c")
                with contextlib.suppress(FhirError):
                    await dispatch(request, context)
                assert len(asked) > before, (method, path, query)
        finally:
            context.store.close()

    asyncio.run(ask())
    assert threading.main_thread() not in asked


def test_of_answers_kept_the_longest_unused_goes_first() -> None:
    codes = SearchedCodes(ServedTerminology(None, Path("/nowhere")))
    url = "http://hl7.org/fhir/administrative-gender"
    first = codes.below(url, "male")
    for n in range(70):
        with contextlib.suppress(FhirError):
            codes.below("http://hl7.org/fhir/observation-status", "final")
            codes.below("urn:ietf:bcp:47", f"zh-x-a{n}")
        assert codes.below(url, "male") is first
