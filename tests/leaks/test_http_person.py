"""Operations and desks about persons: matching, merging, explaining, emergencies, health code, the access log."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.leaks import people
from tests.leaks.compare import seen
from tests.leaks.coverage import COVERED, covers
from tests.leaks.oracle import Who
from tests.leaks.probe import absent_id, hidden, plain, put_id, same
from tests.leaks.test_registry import load_attacks
from tests.leaks.web import Web

OUTSIDER = people.staff("dr-outside")
STEWARD = Who("steward", "staff", "Practitioner/rec-county", "HOPERAT", "county", "", "steward")
OFFICER = Who("privacy officer", "staff", "Practitioner/rec-county", "HOPERAT", "county", "", "privacy-officer")
AUDITOR = Who("auditor", "staff", "Practitioner/quality-county", "HOPERAT", "county", "", "auditor")
STRANGE_OFFICER = replace(OFFICER, name="officer outside", subject="Practitioner/dr-outside", institution="outside")
CURIOUS = [OUTSIDER, people.staff("tech-county"), people.resident("r3"), people.system("emr-outside"), STRANGE_OFFICER]
by_curious = pytest.mark.parametrize("who", CURIOUS, ids=lambda who: who.name)


def parameters(**values: Any) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": name, **({"resource": value} if "resourceType" in value else value)}
            for name, value in named.items()
        ],
    }


def like(resource: dict[str, Any], family: str) -> dict[str, Any]:
    return {**resource, "name": [{**resource["name"][0], "family": family}]}


@covers("$match type")
@by_curious
def test_matching_tells_nothing_of_strangers(web: Web, who: Who, compared: Counter[str]) -> None:
    """All that somebody may know of a person, but no checked number: as if it were a description of nobody."""
    open_ = {row.id for row in seen(web.world, who, "r") if row.type == "Patient"}
    for id in people.RESIDENTS:
        resource = web.world.resources["Patient", id, 1]
        assert resource is not None
        if id in open_:
            continue
        told = {name: resource[name] for name in ("resourceType", "name", "birthDate", "gender", "address")}
        # Who has a number of the person and everything else besides is told that it is that person; not who guesses.
        guess = {**like(told, "诸葛"), "identifier": resource["identifier"]}
        for asked in (
            told,
            guess,
            {"resourceType": "Patient", "name": told["name"], "identifier": guess["identifier"]},
        ):
            answer = web.ask(who, "POST", "Patient/$match", parameters(resource=asked))
            nobody = web.ask(who, "POST", "Patient/$match", parameters(resource=like(asked, "欧阳")))
            assert answer.status == nobody.status and answer.status in (200, 403, 422)
            assert b'"entry"' not in answer.body, f"{who.name} learns of {id} by $match"
            assert plain(answer.without(id)[2]) == plain(nobody.without(id)[2])
            compared["person operations"] += 1


@covers("$ihe-pix type")
@by_curious
def test_cross_references_tell_nothing_of_strangers(web: Web, who: Who, compared: Counter[str]) -> None:
    open_ = {row.id for row in seen(web.world, who, "s") if row.type == "Patient"}
    for id in set(people.RESIDENTS) - open_:
        answers = []
        for value in (id, absent_id(id)):
            path = f"Patient/$ihe-pix?sourceIdentifier=urn:local:county|county-{value}"
            answers.append(
                [web.get(who, path + more).without(value) for more in ("", "&targetSystem=urn:local:county")]
            )
        assert answers[0] == answers[1] and answers[0][0][0] in (403, 404), f"{who.name} learns of {id} by $ihe-pix"
        compared["person operations"] += 2


@covers("$merge type", "$unmerge type", "$decide instance", "$explain-access instance", "$consent-status instance")
@by_curious
def test_operations_on_hidden_persons_answer_as_on_absent_ones(web: Web, who: Who, compared: Counter[str]) -> None:
    rows = {row.type: row for row in hidden(web, who)}
    person, task = rows.get("Patient"), rows.get("Task")
    one = {"valueReference": {"reference": "Patient/{id}"}}
    other = {"valueReference": {"reference": "Patient/r3"}}
    if person is not None:
        for body in (
            parameters(source_patient=one, target_patient=other),
            parameters(source_patient=other, target_patient=one),
        ):
            same(web, who, "POST", "Patient/$merge", person, body)
        same(web, who, "POST", "Patient/$unmerge", person, parameters(source_patient=one))
        for path in ("$explain-access", "$consent-status", "$explain-access?reference=Patient/{id}"):
            same(web, who, "GET", f"Patient/{{id}}/{path}", person)
            same(web, who, "POST", f"Patient/{{id}}/{path}", person)
        compared["person operations"] += 9
    if task is not None:
        same(web, who, "POST", "Task/{id}/$decide?decision=different", task)
        compared["person operations"] += 1


@by_curious
def test_explanations_tell_the_hidden_from_nothing(web: Web, who: Who, compared: Counter[str]) -> None:
    """Of a file of which something is open: what else there is, is not told."""
    patients = {row.id for row in seen(web.world, who, "r") if row.type == "Patient"}
    closed = hidden(web, who)
    for id in sorted(patients):
        for row in closed:
            if row.type != "Patient":
                same(web, who, "GET", f"Patient/{id}/$explain-access?reference={row.type}/{{id}}", row)
                compared["person operations"] += 1
        if who.person != id:
            path = f"Patient/{id}/$explain-access?institution=county&practitioner=dr-county"
            assert web.get(who, path).status in (403, 404)


def told_sources(answer: dict[str, Any]) -> set[str]:
    found = set()
    for part in answer.get("parameter", ()):
        for inner in part.get("part", ()):
            if inner["name"] == "source":
                found.add(inner["valueReference"]["reference"])
    return found


def test_rules_are_told_to_whom_they_address_or_who_may_read_them(web: Web, compared: Counter[str]) -> None:
    for who in [people.staff(name) for name in ("dr-county", "dr-east", "dr-north", "reg-east")] + [
        people.resident("r10"), people.resident("r5"), OFFICER,
    ]:  # fmt: skip
        readable = {f"{row.type}/{row.id}" for row in seen(web.world, who, "r")}
        mine = {f"Organization/{who.institution}", who.subject, f"Patient/{who.person}", "Organization/alliance"}
        mine |= {team.reference for team in web.world.facts.teams if who.subject in team.members}
        addressed = {rule.source for rule in web.world.facts.rules if rule.grantee in mine}
        if who in (OFFICER,) or who.kind == "resident":
            addressed |= {rule.source for rule in web.world.facts.rules if rule.grantee == "*"}
        for id in people.RESIDENTS:
            for operation in ("$consent-status", "$explain-access"):
                answer = web.get(who, f"Patient/{id}/{operation}")
                if answer.status != 200:
                    assert answer.status == 404
                    continue
                told = told_sources(answer.json)
                assert told <= readable | addressed, f"{who.name} is told of {told - readable - addressed}"
                compared["person operations"] += 1


# -- desks beside the FHIR base -------------------------------------------------------------------


@covers("POST /minor-access", "POST /statutory-report")
@pytest.mark.parametrize("who", [STRANGE_OFFICER, OUTSIDER, people.staff("dr-west"), OFFICER], ids=lambda who: who.name)
def test_desks_do_not_tell_who_is_in_the_records(fresh_web: Web, who: Who, compared: Counter[str]) -> None:
    web = fresh_web
    person = next(row for row in hidden(web, who) if row.type == "Patient") if who is not OFFICER else None
    if person is not None:
        body = {"patient": "{id}", "practitioner": "dr-east", "reason": "复核", "days": 1}
        same(web, who, "POST", "/minor-access", person, body)
        for row in hidden(web, who):
            report = {"patient": row.person or "r1", "recipient": "cdc", "reason": "x", "items": [f"{row.type}/{{id}}"]}
            same(web, who, "POST", "/statutory-report", row, report)
            compared["desks"] += 1
    # Nobody lets themselves in, and nobody reports what is not theirs.
    before = {(row.type, row.id) for row in seen(web.world, who, "r")}
    mine = {"patient": "r9", "practitioner": who.subject.partition("/")[2], "reason": "x", "days": 5}
    assert web.ask(who, "POST", "/minor-access", mine).status in (403, 404)
    theirs = {
        "patient": "r6",
        "recipient": who.institution,
        "reason": "x",
        "items": ["Observation/r6-laboratory-town-east"],
    }
    assert web.ask(who, "POST", "/statutory-report", theirs).status in (403, 404)
    after = {row for row in before if web.get(who, "/".join(row)).status == 200}
    assert len(after) <= len(before)
    compared["desks"] += 3


def test_a_report_goes_to_disease_control_only_and_tells_of_whom_it_is(fresh_web: Web, compared: Counter[str]) -> None:
    web, doctor, officer = fresh_web, people.staff("dr-county"), people.staff("cdc-officer")
    item, asked = "Observation/r3-laboratory-county", {"patient": "r3", "reason": "法定传染病"}
    for path in (item, "Patient/r3"):
        assert web.get(officer, path).status == 404
    for recipient in ("town-east", "outside", "county"):
        answer = web.ask(doctor, "POST", "/statutory-report", {**asked, "recipient": recipient, "items": [item]})
        assert answer.status == 400, answer
    before = web.get(officer, "_history?_count=1000").json["total"]
    answer = web.ask(doctor, "POST", "/statutory-report", {**asked, "recipient": "cdc", "items": [item]})
    assert answer.status == 201, answer
    for path in (item, "Patient/r3"):
        assert web.get(officer, path).status == 200
    assert web.get(officer, "Patient?_summary=count&_id=r3").json["total"] == 1
    after = web.get(officer, "_history?_count=1000").json["total"]
    opened = {("Patient", "r3"), ("Observation", item.partition("/")[2])}
    versions = sum((row.type, row.id) in opened for row in web.world.facts.rows)
    assert after - before == versions + 1  # and the Task
    compared["desks"] += 8


@covers("POST /break-glass", "GET /break-glass", "POST /break-glass/review", "POST /break-glass/end")
def test_an_emergency_is_for_those_who_treat_and_opens_one_file_for_a_day(
    fresh_web: Web, compared: Counter[str]
) -> None:
    web = fresh_web
    body = {"patient": "r8", "reason": "unconscious", "text": "昏迷送诊", "purpose": "ETREAT"}
    for who in (
        people.resident("r3"),
        STEWARD,
        OFFICER,
        AUDITOR,
        people.staff("cdc-officer"),
        people.staff("quality-county"),
    ):
        person = next((row for row in hidden(web, who) if row.type == "Patient"), None)
        assert web.ask(who, "POST", "/break-glass", body).status == 403
        if person is not None:
            same(web, who, "POST", "/break-glass", person, {**body, "patient": "{id}"})
        compared["desks"] += 1
    opened = web.ask(OUTSIDER, "POST", "/break-glass", body)
    assert opened.status == 201, opened
    token = opened.json["access_token"]

    def status(path: str) -> int:
        return web.server.ask("GET", path, token).status

    assert status("Observation/r8-laboratory-county") == 200
    closed = (
        "Observation/r6-laboratory-town-east",
        "Coverage/r8-financial-town-north",
        "Patient/r6",
        "CarePlan/r8-care-plan-county",
    )
    assert {status(path) for path in closed} == {404}
    assert web.get(OUTSIDER, "Observation/r8-laboratory-county").status == 404, "only for the purpose of the emergency"
    assert web.server.ask("POST", "Observation", token, {"resourceType": "Observation"}).status in (403, 422)
    other = replace(OUTSIDER, subject="Practitioner/dr-north", name="a colleague", purpose="ETREAT")
    assert web.get(other, "Observation/r8-laboratory-county").status == 404, "only for who asked"
    task = opened.json["task"].removeprefix("Task/")
    for who in (OUTSIDER, people.resident("r8"), OFFICER, other):
        for path in ("review", "end"):
            note = {"task": "{id}", "outcome": "justified", "note": "x"}
            if path == "end" and who is OUTSIDER:
                continue
            answers = [
                web.ask(who, "POST", f"/break-glass/{path}", put_id(note, id)).without(id)
                for id in (task, absent_id(task))
            ]
            assert answers[0] == answers[1] and answers[0][0] in (403, 404)
            compared["desks"] += 1
    for who in (OUTSIDER, OFFICER, people.resident("r8"), AUDITOR):
        shown = web.ask(who, "GET", "/break-glass")
        assert b"r8" not in shown.body or shown.status == 403, f"{who.name} reads another institution's emergencies"
    web.world.clock[0] += 25 * 3_600_000_000
    assert status("Observation/r8-laboratory-county") in (401, 404)


@covers("GET /health-code", "POST /health-code/scan")
def test_a_health_code_is_shown_by_the_person_and_opens_once(fresh_web: Web, compared: Counter[str]) -> None:
    web = fresh_web
    for who in (OUTSIDER, OFFICER, people.system("emr-outside")):
        assert web.ask(who, "GET", "/health-code").status == 403
    for who in (people.resident("r3"), people.resident("r10")):
        for ward in ("r8", "r4"):
            answers = [web.ask(who, "GET", f"/health-code?patient={id}").without(id) for id in (ward, absent_id(ward))]
            assert answers[0] == answers[1] and answers[0][0] in (403, 404)
            compared["desks"] += 1
    for code in ("", "x", "a.b.c"):
        assert web.ask(OUTSIDER, "POST", "/health-code/scan", {"code": code}).status in (400, 422)


def test_every_desk_is_attacked(web: Web) -> None:
    """Whoever adds a way beside FHIR adds an attack on it; sign-in and tokens have theirs in tests/auth."""
    load_attacks()
    started = web.server.application._started
    assert started is not None
    ways = [
        f"{method} {route.path}"
        for route in started.beside.routes  # type: ignore[union-attr]
        if getattr(route, "path", None)
        for method in sorted(getattr(route, "methods", ()) or ())
        if method != "HEAD"
    ]
    assert len(ways) > 5
    public = {"GET /health-code/keys"}
    assert not [way for way in ways if way not in public and not COVERED.get(way)], "nothing attacks these"


# -- the access log -------------------------------------------------------------------------------


def test_the_access_log_is_read_by_whom_it_concerns(fresh_web: Web, compared: Counter[str]) -> None:
    web = fresh_web
    for who in (people.staff("dr-county"), people.resident("r3"), people.staff("dr-east")):
        for id in ("r3", "r6", "r2", "r9"):
            web.get(who, f"Patient/{id}")
            web.get(who, f"Observation?patient={id}")
    entries = web.get(AUDITOR, "AuditEvent?_count=500").json["entry"]
    assert len(entries) > 10
    r3 = people.resident("r3")
    mine = web.get(r3, "AuditEvent?_count=500").json
    assert mine["entry"] and b"Patient/r6" not in str(mine).encode() and "Patient/r9" not in str(mine)
    ids = {entry["resource"]["id"] for entry in mine["entry"]}
    for entry in entries:
        id = entry["resource"]["id"]
        about_me = "Patient/r3" in str(entry)
        status = web.get(r3, f"AuditEvent/{id}").status
        assert (status == 200) == (id in ids)
        assert about_me or status == 404, f"r3 reads the log of another: {entry}"
        for who in (people.staff("dr-county"), OUTSIDER, STEWARD, people.system("emr-county")):
            assert web.get(who, f"AuditEvent/{id}").status in (403, 404)
        compared["access log"] += 5
    for who in (people.staff("dr-county"), OUTSIDER, STEWARD, STRANGE_OFFICER):
        for path in (
            "AuditEvent?patient=r3&_total=accurate",
            "Patient/r3/AuditEvent",
            "Patient?_has:AuditEvent:patient:action=R",
            "Patient?_revinclude=AuditEvent:patient",
        ):
            answer = web.get(who, path)
            shown = [one["resource"] for one in answer.json.get("entry", ())]
            events = [one for one in shown if one["resourceType"] == "AuditEvent"]
            # A privacy officer reads what the own institution did, whomever it was about.
            assert not [one for one in events if who is not STRANGE_OFFICER or "Organization/outside" not in str(one)]
    event = entries[0]["resource"]["id"]
    for who in (AUDITOR, r3, people.staff("dr-county")):
        for method, path, body in (
            ("PUT", f"AuditEvent/{event}", entries[0]["resource"]),
            ("DELETE", f"AuditEvent/{event}", None),
            ("PATCH", f"AuditEvent/{event}", [{"op": "remove", "path": "/agent"}]),
            ("DELETE", "AuditEvent?date=gt2000", None),
        ):
            assert web.ask(who, method, path, body).status in (403, 404, 405, 415), (who.name, method)
            compared["access log"] += 1
