"""The leaks of other servers, each as a test of ours (numbers 16 to 23 of the project's study of its peers)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from consent import Scope as SmartScope
from fhir_server.auth.issue import issue
from tests.leaks import people
from tests.leaks.compare import requester, seen
from tests.leaks.http import Answer
from tests.leaks.oracle import Scope, Who
from tests.leaks.probe import hidden, same
from tests.leaks.web import Web

OUTSIDER = people.staff("dr-outside")
LABORATORY = SmartScope("user", "Observation", "rs", (("category", "laboratory"),))
PATIENT_APP = people.staff(
    "dr-county", name="an app in the file of r3", scopes=(Scope("patient", "*", "rs"),), patient="r3"
)


def names(answer: Answer) -> set[str]:
    assert answer.status == 200, answer
    return {"/".join(entry["fullUrl"].split("/")[-2:]) for entry in answer.json.get("entry", ())}


def scoped(web: Web, who: Who, *scopes: SmartScope, patient: str = "") -> str:
    """A token of ``who`` with these scopes."""
    facts = replace(requester(who), scopes=scopes, patient=patient)
    return issue(web._auth, facts, 3600, now=web.world.clock[0] / 1e6)


# -- 16 hapi-fhir#6065 ----------------------------------------------------------------------------


def test_hapi_6065_has_inference(web: Web, compared: Counter[str]) -> None:
    """A hidden HIV result must not be found out by asking which patients have one."""
    for who in (people.staff("dr-west"), people.staff("dr-county", "REFER"), people.staff("tech-county"), OUTSIDER):
        labs = [row for row in seen(web.world, who, "s") if row.sensitivity and not row.deleted]
        for label, name in (("HIV", "HIV"), ("PSY", "MENTAL"), ("GDIS", "GENETIC"), ("SEX", "REPRODUCTION")):
            for type in ("Observation", "Condition"):
                allowed = {row.person for row in labs if row.type == type and name in row.sensitivity}
                found = names(web.get(who, f"Patient?_has:{type}:patient:_security={label}&_count=100"))
                assert {one.removeprefix("Patient/") for one in found} <= allowed
                told = web.get(who, f"Patient?_has:{type}:patient:_security={label}&_summary=count").json["total"]
                assert told == len(found)
                compared["threads"] += 2
    # The same by chain, by filter, by reference and by order.
    for path in (
        "Observation?_security=HIV",
        "Provenance?target:Observation._security=HIV",
        "Observation?subject:Patient._has:Observation:patient:_security=HIV&_summary=count",
        "Patient?_filter=_id eq r4 and name eq 陈",
    ):
        assert "r4" not in str(web.get(OUTSIDER, path).json.get("entry", ()))
        compared["threads"] += 1


# -- 17 Microsoft ADR-2607, PR#5683 ---------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "Observation?_include=Observation:subject&_include=Observation:focus",
        "Observation?_include=*&_revinclude=*",
        "Patient?_revinclude=Observation:subject&_revinclude=Observation:focus&_revinclude=Observation:performer",
        "Appointment?_include=Appointment:patient",
        "Organization?_revinclude=Patient:organization&_revinclude=Encounter:service-provider",
        "Practitioner?_revinclude=Provenance:agent&_revinclude:iterate=*",
        "List?_include=List:item&_include:iterate=Observation:subject&_revinclude:iterate=Observation:subject",
        "DocumentReference?_include:iterate=*",
    ],
)
def test_ms_adr_2607_includes_of_a_patient_token_stay_in_its_file(web: Web, path: str, compared: Counter[str]) -> None:
    following: str | None = f"{path}&_count=3"
    pages = 0
    allowed = {f"{row.type}/{row.id}" for row in seen(web.world, PATIENT_APP, "s")}
    while following is not None and pages < 60:
        answer = web.get(PATIENT_APP, following)
        assert names(answer) <= allowed
        links = [link["url"] for link in answer.json.get("link", ()) if link["relation"] == "next"]
        following = links[0].partition("/fhir/")[2] if links else None
        pages += 1
        compared["threads"] += 1


def test_ms_adr_2607_focus_confers_no_membership(web: Web, compared: Counter[str]) -> None:
    """Observation.focus is no parameter of the Patient compartment: r2 has no part in what is measured on r3."""
    assert web.get(people.resident("r2"), "Observation/r3-about-r2").status == 404
    assert web.get(people.resident("r3"), "Observation/r3-about-r2").status == 200
    assert "Observation/r3-about-r2" not in names(
        web.get(people.staff("dr-county"), "Patient/r2/Observation?_count=100")
    )
    compared["threads"] += 3


# -- 18 Microsoft PR#5688, PR#5817 ----------------------------------------------------------------


def test_ms_5688_missing_claims_close(web: Web, compared: Counter[str]) -> None:
    """Without institution, person, purpose, role or launch context nothing is open; nothing falls back to all."""
    doctor, resident = people.staff("dr-county"), people.resident("r3")
    lacking = [
        replace(doctor, institution=""),
        replace(doctor, role=""),
        replace(doctor, purpose=""),
        replace(resident, person="", subject=""),
        replace(resident, purpose=""),
        replace(doctor, scopes=()),
        replace(doctor, scopes=(Scope("patient", "*", "rs"),), patient=""),
        replace(people.system("emr-county"), role=""),
        replace(people.system("emr-county"), institution=""),
    ]
    for number, who in enumerate(lacking):
        who = replace(who, name=f"lacking {number}")
        for path in ("Patient/r3", "Observation/r3-laboratory-county", "Consent/c3-county"):
            assert web.get(who, path).status in (401, 403, 404), (number, path)
        for path in ("Patient?_total=accurate", "_history", "Observation?_total=accurate"):
            answer = web.get(who, path)
            shown = [one["resource"] for one in answer.json.get("entry", ()) if "resource" in one]
            assert not [one for one in shown if one["resourceType"] in ("Patient", "Observation", "Consent")]
        compared["threads"] += 6


@pytest.mark.parametrize("prefer", ["handling=lenient", "handling=strict", "respond-async", "return=representation"])
def test_ms_5817_prefer_relaxes_nothing(web: Web, prefer: str, compared: Counter[str]) -> None:
    token = scoped(
        web, people.staff("dr-county"), SmartScope("user", "Observation", "rs", (("category", "laboratory"),))
    )
    for path in (
        "Observation?_count=1000",
        "Observation?nonsense=1&_count=1000",
        "Patient",
        "?_type=Observation,Patient",
    ):
        answer = web.server.ask("GET", path, token, headers={"prefer": prefer})
        shown = [one["resource"] for one in (answer.json or {}).get("entry", ()) if "resource" in one]
        for resource in shown:
            if resource["resourceType"] != "OperationOutcome":
                assert resource["resourceType"] == "Observation" and "laboratory" in str(resource["category"])
        compared["threads"] += 1


def test_ms_5817_a_constraint_that_is_not_understood_closes_its_scope(web: Web, compared: Counter[str]) -> None:
    for query in ((("nonsense", "1"),), (("category:nonsense", "x"),), (("_has:X:y:z", "1"),), (("date", "soon"),)):
        token = scoped(web, people.staff("dr-county"), SmartScope("user", "Observation", "rs", query))
        assert web.server.ask("GET", "Observation/r3-laboratory-county", token).status in (403, 404)
        answer = web.server.ask("GET", "Observation?_total=accurate", token)
        assert answer.status >= 400 or answer.json["total"] == 0
        compared["threads"] += 2


def test_ms_5817_a_constraint_bounds_every_path(web: Web, compared: Counter[str]) -> None:
    """A scope of laboratory results: no other observation by read, history, search, include, chain or _has."""
    token = scoped(web, people.staff("dr-county"), LABORATORY, SmartScope("user", "Patient", "rs"))

    def ask(path: str) -> Answer:
        return web.server.ask("GET", path, token)

    assert ask("Observation/r3-laboratory-county").status == 200
    assert ask("Observation/r3-laboratory-county/_history/1").status == 200
    for path in ("Observation/r3-vital-signs-town-east", "Observation/r3-vital-signs-village/_history/1"):
        assert ask(path).status == 404
    for path in (
        "Observation?_count=500",
        "Patient?_revinclude=Observation:subject&_count=100",
        "Observation/_history?_count=500",
    ):
        assert not [one for one in names(ask(path)) if "vital" in one]
    assert ask("Patient?_has:Observation:patient:code=pulse&_total=accurate").json["total"] == 0
    assert ask("Observation?code=pulse&_summary=count").json["total"] == 0
    compared["threads"] += 8


# -- 19 hapi-fhir#2369, PR#6854, PR#8072 ----------------------------------------------------------


def test_hapi_2369_later_pages_are_judged_like_the_first(web: Web, compared: Counter[str]) -> None:
    for who in (PATIENT_APP, people.staff("dr-west"), people.resident("r10")):
        allowed = {f"{row.type}/{row.id}" for row in seen(web.world, who, "s")}
        for path in (
            "Observation?_count=1",
            "Patient/r3/$everything?_count=2",
            "?_type=Observation,Condition&_count=2",
        ):
            following: str | None = path
            for _ in range(12):
                answer = web.get(who, following or path)
                if answer.status != 200:
                    break
                assert names(answer) <= allowed
                links = [link["url"] for link in answer.json["link"] if link["relation"] == "next"]
                compared["threads"] += 1
                if not links:
                    break
                following = links[0].partition("/fhir/")[2]


# -- 20 hapi-fhir#7872, LinuxForHealth#2300, Microsoft#105, proxy-smart PR#245 ----------------------


def test_lfh_2300_histories_and_reads_by_id_ask_too(web: Web, compared: Counter[str]) -> None:
    for who in (OUTSIDER, PATIENT_APP, people.resident("r1"), people.staff("tech-county")):
        allowed = {f"{row.type}/{row.id}" for row in seen(web.world, who, "r")}
        for path in ("_history?_count=1000", "Observation/_history?_count=1000", "Patient/_history?_count=1000"):
            shown = web.get(who, path).json.get("entry", ())
            assert {"/".join(one["fullUrl"].split("/")[-2:]) for one in shown} <= allowed
        for row in hidden(web, who):
            same(web, who, "GET", f"{row.type}/{{id}}", row)
            same(web, who, "GET", f"{row.type}/{{id}}/_history/1", row)
        compared["threads"] += 10


def test_hapi_7872_links_between_persons_tell_nothing(web: Web, compared: Counter[str]) -> None:
    for who in (OUTSIDER, people.resident("r3"), people.staff("dr-county")):
        for path in ("Linkage", "Person", "Patient?link:missing=false", "Patient?link=Patient/r6"):
            allowed = {f"{row.type}/{row.id}" for row in seen(web.world, who, "s")}
            assert names(web.get(who, path)) <= allowed
            compared["threads"] += 1


# -- 21 medplum#4183, #5441, #2792 ----------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["$graphql", "$graphql?query={PatientList{id}}", "Patient/r1/$graphql", "$export", "Patient/$export"]
)
def test_medplum_4183_no_second_door(web: Web, path: str, compared: Counter[str]) -> None:
    """What is not offered is not there; when it is, the registry asks for a leak test of its own."""
    for method in ("GET", "POST"):
        assert web.ask(OUTSIDER, method, path).status in (400, 404, 405, 501)
        compared["threads"] += 1


def test_medplum_2792_of_several_compartments_the_file_counts(web: Web, compared: Counter[str]) -> None:
    """What is about several persons is in nobody's file: none of them, and no consent of theirs, opens it."""
    for id in ("r2", "r3"):
        for path in ("Appointment/two-patients", "Group/group-of-two"):
            assert web.get(people.resident(id), path).status == 404
    for who in (people.staff("dr-west"), people.staff("dr-east"), people.system("emr-east")):
        assert web.get(who, "Appointment/two-patients").status == 404
        compared["threads"] += 1
    assert web.get(people.staff("dr-county"), "Appointment/two-patients").status == 200


# -- 22 LinuxForHealth#2669 -----------------------------------------------------------------------


def test_lfh_2669_hidden_is_not_forbidden_but_absent(web: Web, compared: Counter[str]) -> None:
    for who in (OUTSIDER, people.resident("r1"), people.system("emr-outside")):
        for row in [*hidden(web, who), *hidden(web, who, deleted=True)]:
            assert web.get(who, f"{row.type}/{row.id}").status == 404
            same(web, who, "GET", f"{row.type}/{{id}}", row)
            compared["threads"] += 1


def test_hapi_ids_tell_nothing_of_what_was_written_between(fresh_web: Web, compared: Counter[str]) -> None:
    """Ids are not counted up: two of one's own do not tell how much others wrote in between."""
    web, who = fresh_web, people.staff("dr-outside")
    note: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/r1"},
    }
    answers = [web.ask(who, "POST", "Observation", note) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201], answers[0]
    first, second = (answer.json["id"] for answer in answers)
    assert not first.isdigit() and first[14:] != second[14:]
    assert {answer.json["meta"]["versionId"] for answer in answers} == {"1"}
    compared["threads"] += 2


# -- 23 Microsoft#3979, hapi-fhir#1507 ------------------------------------------------------------


def test_ms_3979_consent_is_a_feature(web: Web, compared: Counter[str]) -> None:
    """The same question by the same doctor of two residents: the one consented, the other did not."""
    doctor = people.staff("dr-north")
    assert web.get(people.staff("dr-east"), "Observation?patient=r2&_total=accurate").json["total"] > 0
    assert web.get(people.staff("dr-east"), "Observation?patient=r8&_total=accurate").json["total"] == 0
    assert web.get(doctor, "Observation/r2-laboratory-county").status == 404  # joined after that consent
    assert web.get(doctor, "Observation/r7-laboratory-county").status == 200
    compared["threads"] += 4
