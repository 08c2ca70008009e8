"""The terminology operations over HTTP: every level and method, what is stored, what comes along, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Running
from tests.terminology import ecosystem

GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
GENDER = "http://hl7.org/fhir/administrative-gender"
DISEASES: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "id": "tt-diseases",
    "url": "urn:test:diseases",
    "version": "2026.1",
    "name": "Diseases",
    "status": "active",
    "language": "zh-CN",
    "caseSensitive": True,
    "hierarchyMeaning": "is-a",
    "content": "complete",
    "concept": [
        {
            "code": "I10",
            "display": "原发性高血压",
            "designation": [{"language": "en", "value": "Essential hypertension"}],
            "concept": [{"code": "I10.x00x002", "display": "高血压病"}],
        },
        {"code": "I10.x00", "display": "特发性高血压", "property": [{"code": "inactive", "valueBoolean": True}]},
    ],
}
ALL: dict[str, Any] = {
    "resourceType": "ValueSet",
    "id": "tt-all",
    "url": "urn:test:vs:diseases",
    "status": "active",
    "compose": {"include": [{"system": "urn:test:diseases"}]},
}
MAP: dict[str, Any] = {
    "resourceType": "ConceptMap",
    "id": "tt-map",
    "url": "urn:test:map",
    "status": "active",
    "group": [
        {
            "source": "urn:test:diseases",
            "target": "urn:test:insurance",
            "element": [{"code": "I10", "target": [{"code": "I10.900", "equivalence": "wider"}]}],
            "unmapped": {"mode": "provided"},
        }
    ],
}


@pytest.fixture(scope="module", autouse=True)
def stored(client: httpx.Client) -> None:
    for resource in (DISEASES, ALL, MAP):
        path = f"{resource['resourceType']}/{resource['id']}"
        assert client.put(path, json=resource).status_code in (200, 201)


def values(answer: httpx.Response, name: str) -> list[Any]:
    assert answer.status_code == 200, answer.text
    found = [part for part in answer.json()["parameter"] if part["name"] == name]
    return [next((v for k, v in part.items() if k.startswith("value")), part.get("part")) for part in found]


def codes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["code"] for one in answer.json()["expansion"].get("contains", [])]


def parameters(**named: Any) -> dict[str, Any]:
    parts = [
        {
            "name": name.replace("_", "-"),
            ("resource" if isinstance(value, dict) and "resourceType" in value else key(value)): value,
        }
        for name, several in named.items()
        for value in (several if isinstance(several, list) else [several])
    ]
    return {"resourceType": "Parameters", "parameter": parts}


def key(value: Any) -> str:
    if isinstance(value, dict):
        return "valueCodeableConcept" if "coding" in value else "valueCoding"
    return "valueBoolean" if isinstance(value, bool) else "valueInteger" if isinstance(value, int) else "valueString"


DOWN = {"codeA": "I10", "codeB": "I10.x00x002"}
UP = {"codeA": "I10.x00x002", "codeB": "I10"}
BACK = {"system": "urn:test:insurance", "code": "I10.900", "reverse": "true"}
CALLS = [
    ("CodeSystem/$lookup", {"system": GENDER, "code": "male"}, "display", ["Male"]),
    ("CodeSystem/tt-diseases/$lookup", {"code": "I10"}, "display", ["原发性高血压"]),
    ("CodeSystem/$validate-code", {"url": GENDER, "code": "male"}, "result", [True]),
    ("CodeSystem/$validate-code", {"url": GENDER, "code": "mail"}, "result", [False]),
    ("CodeSystem/tt-diseases/$validate-code", {"code": "I10"}, "result", [True]),
    ("CodeSystem/$subsumes", {"system": "urn:test:diseases", **DOWN}, "outcome", ["subsumes"]),
    ("CodeSystem/$subsumes", {"system": "urn:test:diseases", **UP}, "outcome", ["subsumed-by"]),
    ("CodeSystem/tt-diseases/$subsumes", {"codeA": "I10", "codeB": "I10.x00"}, "outcome", ["not-subsumed"]),
    ("ValueSet/$validate-code", {"url": GENDERS, "system": GENDER, "code": "other"}, "result", [True]),
    ("ValueSet/$validate-code", {"url": GENDERS, "code": "other", "inferSystem": "true"}, "system", [GENDER]),
    ("ValueSet/tt-all/$validate-code", {"system": "urn:test:diseases", "code": "I10.x00"}, "inactive", [True]),
    ("ConceptMap/$translate", {"url": "urn:test:map", "system": "urn:test:diseases", "code": "I10"}, "result", [True]),
    ("ConceptMap/tt-map/$translate", BACK, "result", [True]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "named", "told", "wanted"), CALLS)
def test_an_operation_is_called_by_get_and_by_post(
    client: httpx.Client, path: str, named: dict[str, str], told: str, wanted: list[Any]
) -> None:
    assert values(client.get(path, params=named), told) == wanted
    body = {name: value == "true" if value in ("true", "false") else value for name, value in named.items()}
    assert values(client.post(path, json=parameters(**body)), told) == wanted


def test_operations_stand_in_batches(client: httpx.Client) -> None:
    entries: list[dict[str, Any]] = [
        {"request": {"method": "GET", "url": f"{path}?{httpx.QueryParams(named)}"}} for path, named, _, _ in CALLS
    ]
    entries.append({
        "resource": parameters(url=GENDERS, filter="fem"),
        "request": {"method": "POST", "url": "ValueSet/$expand"},
    })  # fmt: skip
    entries.append({"request": {"method": "GET", "url": "ValueSet/$expand?url=urn:nothing"}})
    answer = client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries}).json()
    statuses = [entry["response"]["status"][:3] for entry in answer["entry"]]
    assert statuses == ["200"] * (len(CALLS) + 1) + ["404"]
    assert answer["entry"][len(CALLS)]["resource"]["expansion"]["total"] == 1


def test_a_value_set_is_expanded_by_pages_filters_and_languages(client: httpx.Client) -> None:
    url = {"url": "urn:test:vs:diseases"}
    assert codes(client.get("ValueSet/$expand", params={**url, "excludeNested": "true"})) == [
        "I10", "I10.x00x002", "I10.x00",
    ]  # fmt: skip
    nested = client.get("ValueSet/tt-all/$expand").json()["expansion"]["contains"]
    assert [one["code"] for one in nested] == ["I10", "I10.x00"] and nested[0]["contains"][0]["code"] == "I10.x00x002"
    assert codes(client.get("ValueSet/$expand", params={**url, "count": "1", "offset": "1"})) == ["I10.x00x002"]
    assert codes(client.get("ValueSet/$expand", params={**url, "filter": "gxy"})) == ["I10", "I10.x00x002", "I10.x00"]
    assert codes(client.get("ValueSet/$expand", params={**url, "filter": "tefaxing"})) == ["I10.x00"]
    assert codes(client.get("ValueSet/$expand", params={**url, "filter": "血压病"})) == ["I10.x00x002"]
    assert codes(client.get("ValueSet/$expand", params={**url, "filter": "hyper"})) == ["I10"]
    active = codes(client.get("ValueSet/$expand", params={**url, "activeOnly": "true", "excludeNested": "true"}))
    assert active == ["I10", "I10.x00x002"]
    english = client.get("ValueSet/$expand", params={**url, "displayLanguage": "en", "includeDesignations": "true"})
    first = english.json()["expansion"]["contains"][0]
    assert first["display"] == "Essential hypertension" and first["designation"][0]["value"] == "原发性高血压"
    header = client.get("ValueSet/$expand", params=url, headers={"Accept-Language": "en"}).json()
    assert header["expansion"]["contains"][0]["display"] == "Essential hypertension"


def test_a_strange_language_header_is_passed_over(client: httpx.Client) -> None:
    for header in ("x_y;;q", "*", "zh-CN,zh;q=0.9,en;q=0.8,en-GB;q=0.7,*;q=0.5"):
        answer = client.get("ValueSet/tt-all/$expand", headers={"Accept-Language": header})
        assert answer.json()["expansion"]["contains"][0]["display"] == "原发性高血压", header


def test_what_is_stored_holds_at_once_and_in_other_processes(
    start_server: Callable[..., Running], client: httpx.Client
) -> None:
    server = start_server("--open")
    second = start_server("--open", data=server.data)
    with server.client() as one, second.client() as two:
        url = {"url": "urn:test:changing"}
        assert two.get("ValueSet/$expand", params=url).status_code == 404
        for word in ("first", "second"):
            changing = {
                "resourceType": "ValueSet",
                "id": "changing",
                "url": "urn:test:changing",
                "status": "active",
                "compose": {"include": [{"system": "urn:unknown", "concept": [{"code": word}]}]},
            }
            assert one.put("ValueSet/changing", json=changing).status_code in (200, 201)
            assert codes(one.get("ValueSet/$expand", params=url)) == [word]
            assert codes(two.get("ValueSet/$expand", params=url)) == [word]
        assert one.delete("ValueSet/changing").status_code in (200, 204)
        assert two.get("ValueSet/$expand", params=url).status_code == 404


def test_what_a_request_brings_along_holds_for_it_alone(client: httpx.Client) -> None:
    own = {**DISEASES, "url": "urn:test:own", "id": "own"}
    body = parameters(system="urn:test:own", code="I10", tx_resource=own)
    assert values(client.post("CodeSystem/$lookup", json=body), "display") == ["原发性高血压"]
    assert client.get("CodeSystem/$lookup", params={"system": "urn:test:own", "code": "I10"}).status_code == 404


def test_several_codes_are_validated_in_one_request(client: httpx.Client) -> None:
    asked = [
        parameters(coding={"system": GENDER, "code": "male"}),
        parameters(coding={"system": GENDER, "code": "x"}),
        parameters(coding={"code": 5}),
    ]
    answer = client.post("ValueSet/$batch-validate-code", json=parameters(url=GENDERS, validation=asked)).json()
    kinds = [part["resource"]["resourceType"] for part in answer["parameter"]]
    assert kinds == ["Parameters", "Parameters", "OperationOutcome"]
    results = [part["resource"]["parameter"][0]["valueBoolean"] for part in answer["parameter"][:2]]
    assert results == [True, False]


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("CodeSystem/$lookup", {"code": "x"}, 400, "system"),
    ("CodeSystem/$lookup", {"system": "urn:nothing", "code": "x"}, 404, "urn:nothing"),
    ("CodeSystem/$lookup", {"system": GENDER, "code": "x"}, 404, "'x'"),
    ("CodeSystem/$lookup", {"system": GENDER, "code": "male", "colour": "red"}, 400, "colour"),
    ("CodeSystem/$lookup", {"system": GENDER, "code": 5}, 400, "code"),
    ("CodeSystem/nothing/$lookup", {"code": "x"}, 404, "nothing"),
    ("CodeSystem/$subsumes", {"system": GENDER, "codeA": "male"}, 400, "codeB"),
    ("CodeSystem/$validate-code", {"code": "x"}, 400, "code"),
    ("ValueSet/$expand", {}, 400, "url"),
    ("ValueSet/$expand", {"url": "urn:nothing"}, 404, "urn:nothing"),
    ("ValueSet/$expand", {"url": GENDERS, "count": -1}, 400, "count"),
    ("ValueSet/$expand", {"url": GENDERS, "activeOnly": "maybe"}, 400, "activeOnly"),
    ("ValueSet/$expand", {"url": GENDERS, "displayLanguage": "x y"}, 400, "displayLanguage"),
    ("ValueSet/$expand", {"url": GENDERS, "system-version": "x"}, 400, "system-version"),
    ("ValueSet/$expand", {"url": "http://hl7.org/fhir/ValueSet/ucum-units"}, 422, "grammar"),
    ("ValueSet/$expand", {"url": "http://hl7.org/fhir/ValueSet/observation-codes"}, 404, "loinc"),
    ("ValueSet/$expand", {"valueSet": GENDERS}, 400, "valueSet"),
    ("ValueSet/$validate-code", {"url": GENDERS, "code": "male"}, 400, "code"),
    ("ValueSet/$validate-code", {"url": GENDERS, "coding": {"code": ""}}, 400, "coding"),
    ("ValueSet/$validate-code", {"url": GENDERS, "codeableConcept": {"coding": []}}, 400, "code"),
    ("ConceptMap/$translate", {"url": "urn:nothing", "code": "x"}, 404, "urn:nothing"),
    ("ConceptMap/$translate", {"url": "urn:test:map"}, 400, "code"),
    ("ValueSet/$batch-validate-code", {"url": GENDERS}, 400, "validation"),
    ("CodeSystem/$lookup", {"system": "x", "code": "x", "tx-resource": "x"}, 400, "tx-resource"),
]


@pytest.mark.parametrize(("path", "named", "status", "says"), REFUSED)
def test_what_makes_no_sense_is_refused_and_says_why(
    client: httpx.Client, path: str, named: dict[str, Any], status: int, says: str
) -> None:
    answer = client.post(path, json=parameters(**named))
    assert answer.status_code == status, answer.text
    issue = answer.json()["issue"][0]
    told = issue.get("diagnostics") or issue["details"]["text"]
    assert issue["severity"] == "error" and says in told


BROKEN = [
    {"resourceType": "CodeSystem", "url": "urn:b", "concept": [{"display": "no code"}]},
    {"resourceType": "CodeSystem", "url": "urn:b", "concept": "x"},
    {"resourceType": "CodeSystem", "url": "urn:b", "concept": [{"code": 5}]},
    {"resourceType": "CodeSystem", "url": "urn:b", "property": ["x"], "concept": [{"code": "a", "property": "x"}]},
    {"resourceType": "ValueSet", "url": "urn:b", "compose": []},
    {"resourceType": "ValueSet", "url": "urn:b", "compose": {"include": [5]}},
    {"resourceType": "ValueSet", "url": "urn:b", "compose": {"include": [{"concept": [{"display": "x"}]}]}},
    {"resourceType": "ConceptMap", "url": "urn:b", "group": [{"element": [{"code": "a", "target": 5}]}]},
]


@pytest.mark.parametrize("broken", BROKEN, ids=json.dumps)
def test_a_definition_that_is_none_is_refused(client: httpx.Client, broken: dict[str, Any]) -> None:
    path, named = {
        "CodeSystem": ("CodeSystem/$lookup", {"system": "urn:b", "code": "a"}),
        "ValueSet": ("ValueSet/$expand", {"url": "urn:b"}),
        "ConceptMap": ("ConceptMap/$translate", {"url": "urn:b", "code": "a"}),
    }[broken["resourceType"]]
    answer = client.post(path, json=parameters(**named, tx_resource=broken))
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_expansions_without_pages_have_an_end(client: httpx.Client) -> None:
    large = {**ALL, "url": "urn:test:large", "id": "large"}
    large["compose"] = {
        "include": [{"system": "urn:x", "concept": [{"code": f"c{n}", "display": f"数 {n}"} for n in range(1_500)]}]
    }
    whole = client.post("ValueSet/$expand", json=parameters(valueSet=large))
    assert whole.status_code == 422 and whole.json()["issue"][0]["code"] == "too-costly"
    page = client.post("ValueSet/$expand", json=parameters(valueSet=large, count=10, offset=1_495))
    assert codes(page) == [f"c{n}" for n in range(1_495, 1_500)] and page.json()["expansion"]["total"] == 1_500


def wrong(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """The errors that ``$validate`` found; that a narrative is missing is none."""
    return [issue for issue in outcome["issue"] if issue["severity"] in ("error", "fatal")]


def test_the_capabilities_tell_of_terminology(client: httpx.Client) -> None:
    told = client.get("metadata?mode=terminology").json()
    assert told["resourceType"] == "TerminologyCapabilities"
    systems = {one["uri"]: one for one in told["codeSystem"]}
    assert systems["urn:test:diseases"]["version"][0]["code"] == "2026.1"
    assert {"filter", "displayLanguage", "tx-resource"} <= {one["name"] for one in told["expansion"]["parameter"]}
    checked = client.post("TerminologyCapabilities/$validate", json=told).json()
    assert not wrong(checked), checked


def test_answers_are_valid_resources(client: httpx.Client) -> None:
    for path, named, _, _ in CALLS:
        answer = client.get(path, params=named).json()
        checked = client.post("Parameters/$validate", json=parameters(resource=answer)).json()
        assert not wrong(checked), (path, checked)
    expanded = client.get("ValueSet/$expand", params={"url": "urn:test:vs:diseases", "property": "inactive"}).json()
    checked = client.post("ValueSet/$validate", json=expanded).json()
    assert not wrong(checked), checked


@pytest.mark.skipif(not ecosystem.ARCHIVE.exists(), reason="the data folder ../shared/fhir is absent")
def test_cases_of_hl7_pass_over_http(client: httpx.Client) -> None:
    paths = {"expand": "ValueSet/$expand", "validate-code": "ValueSet/$validate-code", "lookup": "CodeSystem/$lookup"}

    def call(operation: str, body: dict[str, Any], headers: dict[str, str]) -> ecosystem.Answer:
        answer = client.post(paths[operation], json=body, headers=headers)
        return answer.status_code, answer.json()

    failed = [
        case.name for case in ecosystem.cases("simple-cases", "language", "case") if not ecosystem.passed(case, call)
    ]
    assert failed == []


def test_the_lists_of_the_guide_are_known(client: httpx.Client) -> None:
    asked = {"url": "urn:yidang:value-set:repeat-reason"}
    expanded = client.get("ValueSet/$expand", params=asked).json()
    assert expanded["expansion"]["contains"], expanded
    one = expanded["expansion"]["contains"][0]
    checked = client.get("ValueSet/$validate-code", params={**asked, "system": one["system"], "code": one["code"]})
    assert checked.json()["parameter"][0] == {"name": "result", "valueBoolean": True}


def test_a_value_set_that_imports_again_and_again_holds_nobody_up(client: httpx.Client) -> None:
    codes = [{"code": f"c{number}"} for number in range(5_000)]
    many = {"resourceType": "CodeSystem", "url": "urn:m", "status": "active", "content": "complete", "concept": codes}
    all_of_it = {"url": "urn:m:all", "compose": {"include": [{"system": "urn:m"}]}}
    big = {"resourceType": "ValueSet", "status": "active", **all_of_it}
    include = [{"valueSet": ["urn:m:all"]}] * 5_000
    asked = {"resourceType": "ValueSet", "status": "active", "compose": {"include": include}}
    parts = [{"name": "tx-resource", "resource": many}, {"name": "tx-resource", "resource": big}]
    parts.append({"name": "valueSet", "resource": asked})
    answer = client.post("ValueSet/$expand", json={"resourceType": "Parameters", "parameter": parts})
    assert answer.status_code == 422 and answer.json()["issue"][0]["code"] == "too-costly"
    assert answer.elapsed.total_seconds() < 5


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"CodeSystem/$lookup?system={GENDER}&code=male&code=female", "code"),
        (f"CodeSystem/$lookup?system={GENDER}&code=male&date=2020-13", "date"),
        (f"ValueSet/$expand?url={GENDERS}&date=notadate", "date"),
        (f"ValueSet/$expand?url={GENDERS}&count=1&count=2", "count"),
        (f"ValueSet/$validate-code?url={GENDERS}&code=male&system={GENDER}&system=x", "system"),
    ],
)
def test_what_may_come_once_comes_once_and_a_date_is_one(client: httpx.Client, path: str, name: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400 and f"'{name}'" in answer.text


def test_several_properties_and_a_date_are_taken(client: httpx.Client) -> None:
    path = f"CodeSystem/$lookup?system={GENDER}&code=male&property=inactive&property=parent&date=2020-01-02T03:04:05Z"
    assert client.get(path).status_code == 200


def test_a_page_has_an_end_too(client: httpx.Client) -> None:
    asked = {"url": GENDERS, "count": 100_000}
    assert client.get("ValueSet/$expand", params=asked).status_code == 200  # there are fewer
    codes = [{"code": f"c{number}"} for number in range(1_001)]
    include = [{"system": "urn:p", "concept": codes}]
    valueset = {"resourceType": "ValueSet", "status": "active", "compose": {"include": include}}
    for count, status in ((1_000, 200), (100_000, 422)):
        parts = [{"name": "valueSet", "resource": valueset}, {"name": "count", "valueInteger": count}]
        answer = client.post("ValueSet/$expand", json={"resourceType": "Parameters", "parameter": parts})
        assert answer.status_code == status, answer.text
