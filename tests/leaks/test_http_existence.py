"""By no method and no header can the hidden be told from the absent, and by none is it changed."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.leaks import people
from tests.leaks.compare import EVERYTHING
from tests.leaks.coverage import covers
from tests.leaks.oracle import Row, Who
from tests.leaks.people import requesters
from tests.leaks.probe import absent_id, hidden, same
from tests.leaks.web import Web
from tests.leaks.world import build

CURIOUS = [who for who in requesters() if who.name in {
    "dr-outside for TREAT", "tech-county for TREAT", "r3 (user )", "rec-county as steward of county",
    "dr-county in the file of r3", "emr-outside",
}]  # fmt: skip
by_curious = pytest.mark.parametrize("who", CURIOUS, ids=lambda who: who.name)
JSON_PATCH = {"content-type": "application/json-patch+json"}
MERGE_PATCH = {"content-type": "application/merge-patch+json"}
LANGUAGE = [{"op": "add", "path": "/language", "value": "zh"}]


@pytest.fixture(scope="module")
def worn_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A world of this file's own: what matches nothing may be created."""
    folder = tmp_path_factory.mktemp("worn") / "data"
    made = Web(build(folder), folder)
    yield made
    made.close()


def body_of(row: Row, web: Web) -> dict[str, Any]:
    """The resource itself with its id left open, as if it were somebody's to write."""
    found = web.world.resources[(row.type, row.id, row.version)]
    assert found is not None
    return {**found, "id": "{id}"}


def untouched(web: Web, row: Row) -> None:
    now = web.world.store.read(row.type, row.id, EVERYTHING)
    assert now is not None and now.version == row.version, (
        f"{row.type}/{row.id} was changed by somebody it is hidden from"
    )


def attacks(row: Row, web: Web) -> list[tuple[str, str, Any, dict[str, str]]]:
    """Method, path, body and headers of everything that can be tried on one resource."""
    one, body = f"{row.type}/{{id}}", body_of(row, web)
    patch = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "operation",
                "part": [
                    {"name": "type", "valueCode": "delete"},
                    {"name": "path", "valueString": f"{row.type}.language"},
                ],
            }
        ],
    }
    meta = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
    found: list[tuple[str, str, Any, dict[str, str]]] = [
        ("HEAD", one, None, {}),
        ("GET", one, None, {"if-none-match": 'W/"1"'}),
        ("GET", one, None, {"if-none-match": "*"}),
        ("GET", one, None, {"if-modified-since": "Sat, 01 Jan 2050 00:00:00 GMT"}),
        ("GET", one, None, {"accept": "application/fhir+xml"}),
        ("GET", f"{one}?_summary=true", None, {}),
        ("GET", f"{one}?_elements=id", None, {}),
        ("GET", f"{one}/_history/1", None, {}),
        ("GET", f"{one}/_history/99", None, {}),
        ("GET", f"{one}/_history", None, {}),
        ("GET", f"{one}/_history?_count=1&_since=2020-01-01", None, {}),
        ("PUT", one, body, {}),
        ("PUT", one, body, {"if-match": 'W/"1"'}),
        ("PUT", one, body, {"if-match": 'W/"7"'}),
        ("PUT", one, body, {"if-none-match": "*"}),
        ("PATCH", one, LANGUAGE, JSON_PATCH),
        ("PATCH", one, LANGUAGE, {**JSON_PATCH, "if-match": 'W/"1"'}),
        ("PATCH", one, [{"op": "test", "path": "/status", "value": "final"}], JSON_PATCH),
        ("PATCH", one, {"language": "zh"}, MERGE_PATCH),
        ("PATCH", one, patch, {}),
        ("DELETE", one, None, {}),
        ("DELETE", one, None, {"if-match": 'W/"1"'}),
        ("GET", f"{one}/$meta", None, {}),
        ("GET", f"{one}/_history/1/$meta", None, {}),
        ("POST", f"{one}/$meta-add", meta, {}),
        ("POST", f"{one}/$meta-delete", meta, {}),
        ("POST", f"{one}/$validate?mode=update", body, {}),
        ("POST", f"{one}/$validate?mode=delete", None, {}),
        ("GET", f"{one}/$validate", None, {}),
    ]
    if row.type in ("Patient", "Encounter"):
        found += [("GET", f"{one}/$everything", None, {}), ("GET", f"{one}/Observation", None, {})]
        found += [("GET", f"{one}/*?_total=accurate", None, {})]
    return found


@covers(
    "PUT {type}/{id}",
    "PATCH {type}/{id}",
    "DELETE {type}/{id}",
    "$meta instance",
    "$meta version",
    "$meta-add instance",
    "$meta-delete instance",
    "$validate instance",
)
@by_curious
def test_what_is_tried_on_the_hidden_answers_as_on_the_absent(web: Web, who: Who, compared: Counter[str]) -> None:
    rows = hidden(web, who)
    assert rows or "steward" in who.name
    for row in rows:
        for method, path, body, headers in attacks(row, web):
            same(web, who, method, path, row, body, headers)
            compared["HTTP existence"] += 1
        untouched(web, row)
    for row in hidden(web, who, deleted=True):
        for method in ("GET", "HEAD", "DELETE"):
            same(web, who, method, f"{row.type}/{{id}}", row)
        compared["HTTP existence"] += 3


@covers("POST ")
@by_curious
def test_entries_of_batches_and_transactions_tell_as_little(worn_web: Web, who: Who, compared: Counter[str]) -> None:
    web = worn_web
    for row in hidden(web, who):
        one, body = f"{row.type}/{{id}}", body_of(row, web)
        entries: list[dict[str, Any]] = [
            {"request": {"method": "GET", "url": one}},
            {"request": {"method": "GET", "url": one, "ifNoneMatch": 'W/"1"'}},
            {"request": {"method": "GET", "url": f"{one}/_history/1"}},
            {"request": {"method": "GET", "url": f"{one}/_history"}},
            {"request": {"method": "GET", "url": f"{row.type}?_id={{id}}&_total=accurate"}},
            {"request": {"method": "PUT", "url": one}, "resource": body},
            {"request": {"method": "PUT", "url": one, "ifMatch": 'W/"1"'}, "resource": body},
            {"request": {"method": "DELETE", "url": one}},
            {"request": {"method": "DELETE", "url": f"{row.type}?_id={{id}}"}},
            {"request": {"method": "PUT", "url": f"{row.type}?_id={{id}}"}, "resource": body},
        ]
        same(web, who, "POST", "", row, {"resourceType": "Bundle", "type": "batch", "entry": entries})
        for entry in entries:
            same(web, who, "POST", "", row, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
            compared["HTTP bundles"] += 1
        untouched(web, row)


@covers("PUT {type}", "PATCH {type}", "DELETE {type}")
@by_curious
def test_criteria_match_only_what_may_be_seen(worn_web: Web, who: Who, compared: Counter[str]) -> None:
    web = worn_web
    for row in hidden(web, who, "s"):
        where, body = f"{row.type}?_id={{id}}", {k: v for k, v in body_of(row, web).items() if k != "id"}
        same(web, who, "DELETE", where, row)
        same(web, who, "PATCH", where, row, LANGUAGE, JSON_PATCH)
        same(web, who, "PUT", where, row, body_of(row, web))
        same(web, who, "GET", f"{where}&_total=accurate", row)
        if row.type in ("Observation", "Condition"):
            same(web, who, "PUT", where, row, body)
        untouched(web, row)
        compared["HTTP criteria"] += 4


@covers("POST {type}")
def test_a_conditional_create_does_not_find_the_hidden(fresh_web: Web, compared: Counter[str]) -> None:
    web, who = fresh_web, people.staff("dr-outside")
    for row in hidden(web, who, "s"):
        if row.type not in ("Observation", "Condition", "Encounter"):
            continue
        body = {k: v for k, v in body_of(row, web).items() if k != "id"}
        same(web, who, "POST", row.type, row, body, {"if-none-exist": "_id={id}"})
        entry = {"request": {"method": "POST", "url": row.type, "ifNoneExist": "_id={id}"}, "resource": body}
        same(web, who, "POST", "", row, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        untouched(web, row)
        compared["HTTP criteria"] += 2


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_conditional_reference_does_not_find_the_hidden(fresh_web: Web, kind: str, compared: Counter[str]) -> None:
    web, who = fresh_web, people.staff("dr-outside")
    row = next(row for row in hidden(web, who, "s") if row.type == "Patient")
    record = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient?_id={id}"},
    }
    entry = {"request": {"method": "POST", "url": "Observation"}, "resource": record}
    same(web, who, "POST", "", row, {"resourceType": "Bundle", "type": kind, "entry": [entry]})
    compared["HTTP criteria"] += 1


def test_the_hidden_takes_no_longer_than_the_absent(web: Web, compared: Counter[str]) -> None:
    """Coarse, on purpose: medians of interleaved samples; a second look at the record would double them."""
    who = people.staff("dr-outside")
    row = next(row for row in hidden(web, who) if row.type == "Observation")
    there, nowhere = f"Observation/{row.id}", f"Observation/{absent_id(row.id)}"
    times: dict[str, list[float]] = {there: [], nowhere: []}
    for number in range(400):
        for path in (there, nowhere) if number % 2 else (nowhere, there):
            begun = time.perf_counter()
            web.get(who, path)
            times[path].append(time.perf_counter() - begun)
    medians = [statistics.median(times[path][20:]) for path in (there, nowhere)]
    assert max(medians) / min(medians) < 1.6, f"hidden {medians[0]:.6f} s, absent {medians[1]:.6f} s"
    compared["HTTP timing"] += 400


def test_without_a_token_nothing_is_told(web: Web, compared: Counter[str]) -> None:
    for row in {row.type: row for row in web.world.current.values()}.values():
        other = absent_id(row.id)
        for method in ("GET", "DELETE", "PUT", "PATCH", "POST"):
            answers = [web.server.ask(method, f"{row.type}/{id}").without(id) for id in (row.id, other)]
            assert answers[0] == answers[1] and answers[0][0] == 401
            compared["HTTP without token"] += 1
    for path in ("", "Patient", "_history", "Patient/_history", "$meta", "Patient?name=王", "openapi.json"):
        assert web.server.ask("GET", path).status == 401, path
    assert web.server.ask("GET", "metadata").status == 200


def test_a_token_that_is_not_good_is_no_token(web: Web) -> None:
    for token in ("x", "null", "undefined", web.token(people.staff("dr-county"))[:-1], "é"):
        assert web.server.ask("GET", "Patient/r1", headers={"authorization": f"Bearer {token}"}).status == 401
    good = web.token(people.staff("dr-county"))
    assert web.server.ask("GET", f"Patient/r1?access_token={good}").status == 401
    assert web.server.ask("GET", "Patient/r1", headers={"authorization": f"Basic {good}"}).status == 401


@covers("$reindex system", "$reindex instance")
def test_reindexing_is_for_administrators_and_tells_nothing_of_records(web: Web) -> None:
    for who in CURIOUS:
        for path in ("$reindex", "SearchParameter/x/$reindex"):
            assert web.ask(who, "POST", path).status == 403
            assert web.get(who, path).status == 403


@covers("$validate type")
def test_validation_does_not_look_things_up(web: Web, compared: Counter[str]) -> None:
    for who in CURIOUS:
        for row in hidden(web, who):
            same(web, who, "POST", f"{row.type}/$validate", row, body_of(row, web))
            compared["HTTP existence"] += 1
