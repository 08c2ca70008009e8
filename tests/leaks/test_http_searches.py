"""Searches over HTTP: every answer is the one of a server that holds nothing but what may be seen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.leaks.compare import seen
from tests.leaks.coverage import covers
from tests.leaks.oracle import Who
from tests.leaks.paths import Paths
from tests.leaks.people import RESIDENTS, requesters
from tests.leaks.web import Shadow, Web, next_link, normal

SEARCHERS = [who for who in requesters() if who.name in {
    "dr-east for TREAT", "dr-outside for TREAT", "tech-county for TREAT", "r10 (user )", "dr-county in the file of r3",
    "cdc-officer for PUBHLTH",
}]  # fmt: skip
by_searcher = pytest.mark.parametrize("who", SEARCHERS, ids=lambda who: who.name)
ShadowOf = Callable[[Who], Shadow]
COMPARTMENTS = ("Patient/{0}", "Encounter/{0}-encounter-county", "Practitioner/dr-county", "RelatedPerson/parent-r9")


def paths(web: Web) -> dict[str, list[str]]:
    resources = [web.world.resources[(row.type, row.id, row.version)] for row in web.world.current.values()]
    made = Paths([resource for resource in resources if resource], web.world.extractor, most=1)
    return {**made.all(), **more(made.types)}


def more(types: list[str]) -> dict[str, list[str]]:
    """Paths that only HTTP has: of the whole system, of compartments, and every form of counting and showing."""
    clinical = ["Observation", "Condition", "DiagnosticReport", "DocumentReference", "Encounter", "Consent", "Task"]
    counting = ["_summary=count", "_total=estimate", "_total=none", "_summary=true", "_elements=id", "_count=0"]
    return {
        "system": [f"?_type={','.join(types)}&_count=1000", "?_type=Patient,Observation&_lastUpdated=gt2000"]
        + [f"?_type={type}&{how}" for type in ("Patient", "Observation") for how in counting],
        "counting": [f"{type}?{how}" for type in types for how in counting],
        "compartment": [
            f"{compartment.format(id)}/{type}"
            for id in RESIDENTS[:10:3]
            for compartment in COMPARTMENTS
            for type in (*clinical, "*")
        ],
        "contained": [f"{type}?_contained={how}" for type in ("Specimen", "Observation") for how in ("true", "both")],
        "text": [f"{type}?{how}" for type in types for how in ("_content=项目", "_content=结论", "_text=血压")],
        "security": [f"{type}?_security={label}" for type in clinical for label in ("HIV", "R", "PSY", "NOPAT")],
    }


@covers("GET {type}", "GET ", "GET {type}/{id}/{compartment}")
@by_searcher
def test_every_search_answers_as_if_the_hidden_did_not_exist(
    web: Web, web_shadow_of: ShadowOf, who: Who, compared: Counter[str]
) -> None:
    shadow, wrong = web_shadow_of(who), []
    place = SEARCHERS.index(who)
    for kind, asked in paths(web).items():
        for number, path in enumerate(asked):
            if (number + place) % 3 and kind not in ("type", "system", "compartment", "has"):
                continue  # the others ask it
            # A count that is told is told truly.
            told = (
                path
                if "_total" in path or "_summary=count" in path
                else f"{path}{'&' if '?' in path else '?'}_total=accurate"
            )
            got, true = normal(web.get(who, told)), normal(shadow.get(told))
            compared[f"HTTP search by {kind}"] += 1
            if got != true:
                wrong.append(f"{told}\n   got {brief(got)}\n  true {brief(true)}")
    assert not wrong, f"{who.name}: {len(wrong)} paths leak or lose\n" + "\n".join(wrong[:8])


def brief(answer: tuple[int, object]) -> str:
    """The ids that an answer names."""
    status, body = answer
    if isinstance(body, dict) and body.get("resourceType") == "Bundle":
        ids = ["/".join(entry["fullUrl"].split("/")[-2:]) for entry in body.get("entry", ())]
        return f"{status} total {body.get('total')} links {body['link']} {ids}"
    return f"{status} {json.dumps(body, ensure_ascii=False)[:300]}"


@covers("POST {type}/_search", "POST _search", "POST {type}/{id}/{compartment}/_search")
@by_searcher
def test_posted_searches_answer_as_those_of_a_url(web: Web, who: Who, compared: Counter[str]) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for path, asked in (
        ("Observation", "code=glucose&_total=accurate"),
        ("Patient", "_has:Observation:patient:code=glucose&_total=accurate"),
        ("Condition", "_total=accurate&_revinclude=Provenance:target"),
        ("", "_type=Patient,Condition&_total=accurate"),
        ("Patient/r3/Observation", "_total=accurate"),
        ("Patient/r7/*", "_total=accurate"),
    ):
        posted = web.ask(who, "POST", f"{path}/_search".lstrip("/"), asked.encode(), form)
        assert normal(posted) == normal(web.get(who, f"{path}?{asked}"))
        compared["HTTP posted search"] += 1


@by_searcher
def test_a_walk_over_small_pages_meets_all_that_is_open_and_nothing_else(
    web: Web, who: Who, compared: Counter[str]
) -> None:
    rows = [row for row in seen(web.world, who, "s") if row in set(web.world.current.values()) and not row.deleted]
    for type in ("Observation", "Condition", "Encounter", "Patient", "Consent"):
        wanted = {f"{row.type}/{row.id}" for row in rows if row.type == type}
        for order in ("", "&_sort=-date" if type in ("Observation", "Encounter", "Consent") else "&_sort=-_id"):
            found = list(walk(web, who, f"{type}?_count=3&_total=accurate{order}", len(wanted)))
            assert sorted(found) == sorted(wanted)
            compared["HTTP pages"] += len(wanted)


def walk(web: Web, who: Who, path: str, total: int) -> Iterator[str]:
    following: str | None = path
    while following is not None:
        answer = web.get(who, following)
        assert answer.status == 200, answer
        assert answer.json.get("total", total) == total
        entries = answer.json.get("entry", [])
        following = next_link(answer)
        assert following is None or len(entries) == 3, "a page that is not full tells that something was left out"
        yield from ("/".join(entry["fullUrl"].split("/")[-2:]) for entry in entries)


def test_every_parameter_of_the_capability_statement_keeps_the_hidden_hidden(
    web: Web, web_shadow_of: ShadowOf, compared: Counter[str]
) -> None:
    """Each type and each parameter that is offered, also of types that nobody wrote, for somebody who sees little."""
    who = next(one for one in SEARCHERS if one.name == "dr-outside for TREAT")
    shadow, wrong, count = web_shadow_of(who), [], 0
    there = {row.type for row in web.world.facts.rows}
    for resource in web.get(who, "metadata").json["rest"][0]["resource"]:
        type = resource["type"]
        if type == "AuditEvent":  # is served from the audit chain
            continue
        for parameter in resource["searchParam"]:
            name = parameter["name"]
            if name[0] == "_" and name not in ("_security", "_profile", "_tag", "_source"):
                continue
            if type not in there and count % 5:  # of types that are not there one in five
                count += 1
                continue
            count += 1
            for answer in ("true", "false") if type in there else ("false",):
                path = f"{type}?{name}:missing={answer}&_total=accurate"
                got, true = normal(web.get(who, path)), normal(shadow.get(path))
                compared["HTTP parameters offered"] += 1
                if got != true:
                    wrong.append(f"{path}\n   got {brief(got)}\n  true {brief(true)}")
    assert not wrong, f"{len(wrong)} parameters leak or lose\n" + "\n".join(wrong[:8])
    assert count > 1000


@covers("$everything type", "$everything instance")
@by_searcher
def test_everything_is_everything_that_is_open(
    web: Web, web_shadow_of: ShadowOf, who: Who, compared: Counter[str]
) -> None:
    shadow = web_shadow_of(who)
    asked = [f"Patient/{id}/$everything?_count=1000" for id in RESIDENTS]
    asked += [f"Patient/{id}/$everything?_type=Observation,Consent&start=2025-01-01" for id in RESIDENTS[:6]]
    asked += [f"Encounter/{id}-encounter-county/$everything" for id in RESIDENTS]
    asked += ["Patient/$everything?_count=1000"]
    for path in asked:
        got, true = normal(web.get(who, path)), normal(shadow.get(path))
        assert got == true, f"{path}\n got {brief(got)}\ntrue {brief(true)}"
        compared["HTTP $everything"] += 1


@covers("$meta system", "$meta type")
@by_searcher
def test_meta_of_many_tells_the_labels_of_the_open_only(
    web: Web, web_shadow_of: ShadowOf, who: Who, compared: Counter[str]
) -> None:
    shadow = web_shadow_of(who)
    for path in ("$meta", "Observation/$meta", "Condition/$meta", "Procedure/$meta"):
        got, true = normal(web.get(who, path)), normal(shadow.get(path))
        assert got == true, f"{path}\n got {got}\ntrue {true}"
        compared["HTTP $meta"] += 1
