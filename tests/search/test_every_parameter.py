"""Everything that the CapabilityStatement lists is answered: parameters, modifiers, chains, includes, sorting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from profiles.definitions import SearchParameterDef, load

DEFINITIONS = load()
BY_URL = {definition.url: definition for definition in DEFINITIONS.search_parameters}
VALUES = {
    "number": "5",
    "date": "ge2020-05",
    "string": "a",
    "token": "http://loinc.org|8867-4",
    "reference": "some-id",
    "quantity": "5.4|http://unitsofmeasure.org|mg",
    "uri": "http://example.org/a",
    "special": "30|120|5|km",
}
OF_CODE = {"_text": "a", "_content": "a", "_list": "some-list"}
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
OF_TOKEN = {
    **dict.fromkeys(("in", "not-in"), GENDERS),
    **dict.fromkeys(("above", "below"), "http://hl7.org/fhir/administrative-gender|male"),
}
OF_MODIFIER = {"missing": "true", "of-type": "http://terminology.hl7.org/CodeSystem/v2-0203|MR|1", "identifier": "s|1"}
UNSORTED = frozenset({"composite", "special"})
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Pairs = list[tuple[str, str]]


def value(definition: SearchParameterDef) -> str:
    if definition.type == "composite":
        return "$".join(VALUES[BY_URL[url].type] for url, _ in definition.components)
    return OF_CODE.get(definition.code, VALUES[definition.type])


def parts(pairs: Pairs, size: int) -> list[Pairs]:
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def refused(client: httpx.Client, searches: Sequence[str]) -> list[tuple[str, str]]:
    """Those of the searches that are not answered with 200, and how they are answered; asked in batches."""
    found: list[tuple[str, str]] = []
    for start in range(0, len(searches), 200):
        some = searches[start : start + 200]
        entries = [{"request": {"method": "GET", "url": url}} for url in some]
        answer = client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
        assert answer.status_code == 200, answer.text[:1000]
        statuses = [entry["response"]["status"] for entry in answer.json()["entry"]]
        found += [(url, status) for url, status in zip(some, statuses, strict=True) if not status.startswith("200")]
    return found


def test_every_search_parameter_is_answered_for_each_of_its_types(client: httpx.Client) -> None:
    searches: list[str] = []
    asked: set[str] = set()
    for type_ in sorted(DEFINITIONS.resource_types):
        for code, definition in DEFINITIONS.search_params(type_).items():
            if code != "_query":  # names a query, and there are none
                asked.add(definition.url)
                searches.append(f"{type_}?{urlencode({code: value(definition), '_count': '1'})}")
    missed = {d.url for d in DEFINITIONS.search_parameters} - asked
    assert {BY_URL[url].code for url in missed} <= {"_query"}
    assert len(DEFINITIONS.search_parameters) == 1375
    assert refused(client, searches) == []


@pytest.fixture(scope="module")
def statement(client: httpx.Client) -> dict[str, Any]:
    rest: dict[str, Any] = client.get("metadata").json()["rest"][0]
    return rest


def documented(param: dict[str, Any], title: str) -> list[str]:
    """What the documentation of a parameter lists after a title: its modifiers, or the types of its chains."""
    found = re.search(rf"{title}([^.]*?)(?:, to any depth)?\.", param["documentation"])
    return [one.removeprefix(":") for one in found[1].split(", ")] if found else []


def modified(type_: str, param: dict[str, Any]) -> Pairs:
    definition = DEFINITIONS.search_params(type_)[param["name"]]
    pairs: Pairs = []
    for modifier in documented(param, "Modifiers: "):
        name = (*definition.target, "Patient")[0] if modifier == "[type]" else modifier
        known = {**OF_MODIFIER, **(OF_TOKEN if definition.type == "token" else {})}
        pairs.append((f"{param['name']}:{name}", known.get(modifier, value(definition))))
    return pairs


def chained(param: dict[str, Any]) -> Pairs:
    targets = documented(param, "Chains: any search parameter of ")
    names = ["Patient"] if targets == ["any type"] else targets
    return [(f"{param['name']}:{target}._id", "x") for target in names]


def test_the_statement_lists_only_what_is_answered(client: httpx.Client, statement: dict[str, Any]) -> None:
    searches: list[str] = []
    for resource in statement["resource"]:
        type_, params = resource["type"], resource["searchParam"]
        ours = [param for param in params if param["name"] in DEFINITIONS.search_params(type_)]
        pairs = [pair for param in ours for pair in modified(type_, param)]
        chains = [pair for param in ours for pair in chained(param)]
        sortable = [p["name"] for p in ours if p["type"] not in UNSORTED and p["name"] not in OF_CODE]
        includes = [("_include", one) for one in resource["searchInclude"]]
        reverse = [("_revinclude", one) for one in resource.get("searchRevInclude", ())]
        again = [(f"{name}:iterate", one) for name, one in includes + reverse]
        asked = [*parts(pairs, 50), *parts(chains, 50), *([pair] for pair in includes)]
        asked += [*parts(reverse, 100), *parts(again, 100)]
        asked += [[("_sort", ",".join(sortable[at : at + 5]))] for at in range(0, len(sortable), 5)]
        asked += [[("_sort", f"-{name}")] for name in sortable]
        searches += [f"{type_}?{urlencode([*pairs, ('_count', '1')])}" for pairs in asked]
    assert len(searches) > 3_000
    assert refused(client, searches) == []


def test_what_it_lists_of_system_searches_is_answered(client: httpx.Client, statement: dict[str, Any]) -> None:
    values = {"_id": "x", "_type": "Patient", "_filter": "_id eq x", **OF_CODE}
    for param in statement["searchParam"]:
        name = param["name"]
        if name == "_has":
            continue  # of a type: see below
        asked = values.get(name, VALUES[param["type"]])
        answer = client.get(
            "", params={name: asked, "_type": "Patient,Observation"} if name != "_type" else {name: asked}
        )
        assert answer.status_code == 200, (name, answer.text)
    assert client.get("", params={"_type": "Patient", "_has:Observation:patient:code": "x"}).status_code == 200
