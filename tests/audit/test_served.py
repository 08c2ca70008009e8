"""Every access over HTTP is on record before it is answered, and read again as FHIR by those who may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from consent.vocabulary import GUARDIAN_PERSON
from fhir_server.audit.verify import verify
from profiles.definitions import load
from profiles.structure import Validator
from tests.audit.county import County, resident, staff, system

AUDITOR = staff("zhao", "county", "auditor", "HOPERAT")
WANG = staff("wang", "county", "physician")
CHEN = staff("chen", "township", "physician")


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    made = County(tmp_path_factory.mktemp("county") / "data")
    yield made
    made.close()


def agent(event: dict[str, Any], code: str) -> dict[str, Any]:
    return next(a for a in event["agent"] if a["type"]["coding"][0]["code"] == code)


def references(event: dict[str, Any]) -> list[str]:
    return [e["what"]["reference"] for e in event.get("entity", ()) if "reference" in e.get("what", {})]


def test_a_read_tells_who_of_whom_where_why_and_what(county: County) -> None:
    id = county.observation(county.zhang)
    assert county.ask(WANG, "GET", f"Observation/{id}", headers={"x-request-id": "first-read"}).status == 200
    event = county.log(AUDITOR, f"patient={county.zhang}&subtype=read")[0]
    user = agent(event, "IRCP")
    assert user["who"] == {"reference": "Practitioner/wang", "display": "wang"}
    assert user["role"][0]["coding"][0]["code"] == "physician"
    assert user["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
    assert user["policy"] == ["urn:yidang:legal-basis:CONTRACT"]
    assert agent(event, "PROV")["who"] == {"reference": "Organization/county", "display": "县人民医院"}
    assert agent(event, "110152")["who"]["identifier"]["value"] == "emr-county"
    assert agent(event, "110152")["network"]["address"] == "127.0.0.1"
    assert references(event) == [f"Patient/{county.zhang}", f"Observation/{id}/_history/1"]
    assert event["entity"][0]["what"]["identifier"]["value"] == "first-read"
    assert event["outcome"] == "0"
    assert event["meta"]["profile"] == [
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"
    ]


def test_a_search_is_one_entry_for_each_person_seen(county: County) -> None:
    first, second = county.observation(county.zhang), county.observation(county.li)
    assert county.ask(WANG, "GET", f"Observation?_id={first},{second}").json["total"] == 2
    for patient, id in ((county.zhang, first), (county.li, second)):
        event = county.log(AUDITOR, f"patient={patient}&subtype=search-type")[0]
        assert references(event) == [f"Patient/{patient}", f"Observation/{id}/_history/1"]
        assert event["meta"]["profile"][0].endswith("PatientQuery")
        query = next(e for e in event["entity"] if "query" in e)
        assert query["description"] == f"Observation?_id={first},{second}"


def test_a_search_that_finds_nothing_still_names_whom_it_sought(county: County) -> None:
    nobody = county.file_of("county", "王五")
    assert county.ask(CHEN, "GET", f"Condition?patient={nobody}").json["total"] == 0
    (event,) = county.log(AUDITOR, f"patient={nobody}&agent=Practitioner/chen")
    assert references(event) == [f"Patient/{nobody}"]


def test_what_was_sought_by_name_or_number_cannot_be_read_from_the_log(county: County) -> None:
    query = "Patient?name=%E5%BC%A0%E4%B8%89&identifier=11010519491231002X&gender=male"
    assert county.ask(WANG, "GET", query).status == 200
    event = county.log(AUDITOR, "subtype=search-type&agent=Practitioner/wang")[0]
    text = next(e for e in event["entity"] if "query" in e)["description"]
    assert "张三" not in text
    assert "11010519491231002X" not in text
    assert "gender=male" in text


@pytest.mark.parametrize(
    ("method", "code", "action"), [("POST", "create", "C"), ("PUT", "update", "U"), ("DELETE", "delete", "D")]
)
def test_a_write_is_told_with_its_versions(county: County, method: str, code: str, action: str) -> None:
    id = county.observation(county.zhang)
    body = county.ask(system("county"), "GET", f"Observation/{id}").json
    if method == "PUT":
        body["status"] = "amended"
        assert county.ask(system("county"), "PUT", f"Observation/{id}", body).status == 200
    if method == "DELETE":
        assert county.ask(system("county"), "DELETE", f"Observation/{id}").status in (200, 204)
    version = 1 if method == "POST" else 2
    found = [
        event
        for event in county.log(AUDITOR, f"patient={county.zhang}&action={action}")
        if f"Observation/{id}/_history/{version}" in references(event)
    ]
    (event,) = found
    assert event["subtype"][0]["code"] == code
    assert event["meta"]["profile"][0].endswith(f"Patient{code.capitalize()}")


def test_a_transaction_is_told_by_person_and_kind_of_change(county: County) -> None:
    def entry(patient: str) -> dict[str, Any]:
        resource = {
            "resourceType": "Condition",
            "subject": {"reference": f"Patient/{patient}"},
            "clinicalStatus": {
                "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
            },
        }
        return {"resource": resource, "request": {"method": "POST", "url": "Condition"}}

    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [entry(county.zhang), entry(county.zhang), entry(county.li)],
    }
    assert county.ask(system("county"), "POST", "", bundle).status == 200
    for patient, count in ((county.zhang, 2), (county.li, 1)):
        event = county.log(AUDITOR, f"patient={patient}&action=C")[0]
        assert len([r for r in references(event) if r.startswith("Condition/")]) == count


def test_a_refusal_is_told_to_the_person_whose_file_it_was(county: County) -> None:
    id = county.observation(county.li)
    assert county.ask(CHEN, "GET", f"Observation/{id}").status == 404
    event = county.log(resident(county.li), "agent=Practitioner/chen")[0]
    assert event["type"]["code"] == "110113"
    assert event["outcome"] == "4"
    assert "访问被拒绝" in event["text"]["div"]


def test_a_request_for_what_does_not_exist_concerns_nobody(county: County) -> None:
    assert county.ask(CHEN, "GET", "Observation/no-such-thing").status == 404
    event = county.log(AUDITOR, "agent=Practitioner/chen&outcome=4")[0]
    assert event["subtype"][0]["code"] == "read"
    assert references(event) == []


@pytest.mark.parametrize("path", ["Nonsense/x", "nonsense/x", "Observation/x/nonsense", "Observation/x/_history/9"])
def test_a_path_that_leads_nowhere_is_on_record_and_concerns_nobody(county: County, path: str) -> None:
    answer = county.ask(CHEN, "GET", path, headers={"x-request-id": f"nowhere {path}".replace(" ", "/")})
    assert answer.status in (400, 404)
    events = county.log(AUDITOR, "agent=Practitioner/chen&outcome=4&_count=1000")
    mine = [e for e in events if f"nowhere/{path}" in json.dumps(e)]
    assert len(mine) == 1
    assert references(mine[0]) == []


def test_a_write_to_what_is_not_ones_own_is_told_to_the_person(county: County) -> None:
    id = county.observation(county.zhang, "county")
    body = county.ask(WANG, "GET", f"Observation/{id}").json
    assert county.ask(system("township"), "PUT", f"Observation/{id}", body).status in (403, 404)
    event = county.log(resident(county.zhang), "agent=Organization/township&type=110113")[0]
    assert "访问被拒绝" in event["text"]["div"]


def test_a_request_without_token_is_on_record(county: County) -> None:
    assert county.ask(None, "GET", f"Patient/{county.zhang}").status == 401
    event = county.log(AUDITOR, "type=110113&subtype=AuthZ-Role")[0]
    assert event["outcome"] == "4"


def test_a_flood_of_requests_without_token_does_not_fill_the_disk(county: County) -> None:
    before = county.ask(AUDITOR, "GET", "AuditEvent?subtype=AuthZ-Role&_summary=count").json["total"]
    for _ in range(300):
        county.ask(None, "GET", "Patient")
    after = county.ask(AUDITOR, "GET", "AuditEvent?subtype=AuthZ-Role&_summary=count").json["total"]
    assert 0 < after - before < 150


def test_residents_read_who_looked_in_their_own_words(county: County) -> None:
    zhang = county.file_of("county", "赵六")
    id = county.observation(zhang)
    county.ask(WANG, "GET", f"Observation/{id}")
    event = next(e for e in county.log(resident(zhang)) if e["action"] == "R")
    text = event["text"]["div"]
    for words in ("县人民医院", "医师", "诊疗", "查看", "检验", "本机构产生的记录"):
        assert words in text
    assert "127.0.0.1" not in json.dumps(event)


def test_a_guardian_reads_the_log_of_the_ward_and_not_what_is_confidential(county: County) -> None:
    child = county.create(
        system("county"),
        {"resourceType": "Patient", "name": [{"text": "小明"}], "birthDate": "2015-03-01"},
    )
    plain = county.observation(child)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ADOL"}
    secret = county.observation(child, meta={"security": [label]})
    assert county.log(resident(county.li), f"patient={child}") == []
    guardian = {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": {"reference": f"Patient/{child}"},
        "extension": [
            {"url": GUARDIAN_PERSON, "valueReference": {"reference": f"Patient/{county.li}"}},
        ],
        "relationship": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]}
        ],
    }
    county.create(staff("qian", "county", "registrar"), guardian)
    read = json.dumps(county.log(resident(county.li), f"patient={child}&_count=100"))
    assert plain in read
    assert secret not in read


def test_residents_read_nothing_about_others(county: County) -> None:
    county.observation(county.zhang)
    events = county.log(resident(county.li), "_count=1000")
    assert events
    assert county.zhang not in json.dumps(events)
    assert county.log(resident(county.li), f"patient={county.zhang}") == []
    other = county.log(AUDITOR, f"patient={county.zhang}")[0]["id"]
    assert county.ask(resident(county.li), "GET", f"AuditEvent/{other}").status == 404


def test_a_residents_name_is_never_in_the_log(county: County) -> None:
    county.ask(resident(county.li), "GET", f"Patient/{county.li}")
    assert "不应出现的姓名" not in json.dumps(county.log(AUDITOR, "_count=1000"), ensure_ascii=False)


def test_privacy_officers_read_what_concerns_their_institution(county: County) -> None:
    mine, theirs = county.observation(county.zhang, "county"), county.observation(county.zhang, "township")
    officer = staff("sun", "county", "privacy-officer", "HOPERAT")
    seen = json.dumps(county.log(officer, "_count=1000"))
    assert mine in seen
    assert theirs not in seen


def test_other_staff_read_nothing_of_the_log(county: County) -> None:
    assert county.log(WANG) == []
    entry = county.log(AUDITOR)[0]["id"]
    assert county.ask(WANG, "GET", f"AuditEvent/{entry}").status == 404


def test_reading_the_log_is_itself_on_record(county: County) -> None:
    county.log(resident(county.zhang))
    (first, *_) = county.log(AUDITOR, f"agent=Patient/{county.zhang}&subtype=110101")
    assert references(first) == [f"Patient/{county.zhang}"]


def test_a_walk_over_all_pages_gives_each_entry_once(county: County) -> None:
    seen: list[str] = []
    path = "AuditEvent?_count=7&_sort=-date"
    totals = set()
    while path:
        bundle = county.ask(AUDITOR, "GET", path).json
        totals.add(bundle["total"])
        seen += [entry["resource"]["id"] for entry in bundle.get("entry", ())]
        path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert len(seen) == len(set(seen)) == totals.pop()
    assert totals == set()
    recorded = [county.ask(AUDITOR, "GET", f"AuditEvent/{id}").json["recorded"] for id in (seen[0], seen[-1])]
    assert recorded[0] > recorded[1]


def test_searches_by_date_entity_outcome_and_purpose(county: County) -> None:
    id = county.observation(county.zhang)
    county.ask(WANG, "GET", f"Observation/{id}")
    events = county.log(AUDITOR, f"entity=Observation/{id}")
    assert {e["action"] for e in events} == {"C", "R"}
    assert county.log(AUDITOR, "date=lt2020-01-01") == []
    assert county.log(AUDITOR, "date=ge2020-01-01&outcome=0&purpose=TREAT")
    assert county.log(AUDITOR, f"entity=Observation/{id}&agent-role=nurse") == []
    assert county.log(AUDITOR, "agent=Organization/township&patient=" + county.li)


def test_an_unknown_parameter_is_refused_or_ignored_aloud(county: County) -> None:
    assert county.ask(AUDITOR, "GET", "AuditEvent?nonsense=1").status == 400
    lenient = county.ask(AUDITOR, "GET", "AuditEvent?nonsense=1", headers={"prefer": "handling=lenient"}).json
    assert lenient["entry"][-1]["search"]["mode"] == "outcome"
    for wrong in ("date=yesterday", "_sort=agent", "outcome=x", "_cursor=%21", "_count=many"):
        assert county.ask(AUDITOR, "GET", f"AuditEvent?{wrong}").status == 400, wrong


def test_the_compartment_of_a_person_is_searched(county: County) -> None:
    found = county.ask(resident(county.zhang), "GET", f"Patient/{county.zhang}/AuditEvent").json
    assert found["total"] > 0


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_the_log_is_not_changed_by_anybody(county: County, method: str) -> None:
    event = county.log(AUDITOR)[0]
    administrator = staff("zhou", "county", "administrator", "HOPERAT")
    for requester in (AUDITOR, WANG, system("county"), administrator):
        answer = county.ask(requester, method, f"AuditEvent/{event['id']}", event)
        assert answer.status in (403, 404, 405, 415)
    assert county.ask(AUDITOR, "GET", f"AuditEvent/{event['id']}").json == event


def test_the_capability_statement_tells_what_the_log_offers(county: County) -> None:
    statement = county.ask(None, "GET", "metadata").json
    (log,) = [one for one in statement["rest"][0]["resource"] if one["type"] == "AuditEvent"]
    assert {one["code"] for one in log["interaction"]} == {"read", "vread", "search-type", "create"}
    assert not log["updateCreate"]
    for one in log["searchParam"]:
        value = {"date": "ge2026-01-01", "_lastUpdated": "ge2026-01-01", "outcome": "0"}.get(one["name"], "x")
        assert county.ask(AUDITOR, "GET", f"AuditEvent?{one['name']}={value}").status == 200, one["name"]


def test_a_system_adds_an_event_of_its_own(county: County) -> None:
    event = {
        "resourceType": "AuditEvent",
        "type": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110106"},
        "action": "R",
        "recorded": "2026-01-05T10:00:00+08:00",
        "agent": [{"requestor": True, "name": "病案室打印"}],
        "source": {"observer": {"display": "EMR"}},
        "entity": [{"what": {"reference": f"Patient/{county.zhang}"}}],
    }
    answer = county.ask(system("county"), "POST", "AuditEvent", event)
    assert answer.status == 201
    id = answer.headers["location"].split("/")[-3]
    assert county.ask(AUDITOR, "GET", f"AuditEvent/{id}").json["agent"][0]["name"] == "病案室打印"
    assert "上报访问记录" in county.ask(resident(county.zhang), "GET", f"AuditEvent/{id}").json["text"]["div"]
    hidden = {**event, "entity": [{"what": {"reference": "Patient/nobody"}}]}
    assert county.ask(system("county"), "POST", "AuditEvent", hidden).status == 422
    assert county.ask(WANG, "POST", "AuditEvent", event).status == 403


def test_every_entry_is_a_valid_auditevent(county: County) -> None:
    check = Validator(load()).check
    for requester in (AUDITOR, resident(county.zhang)):
        events = county.log(requester, "_count=1000")
        assert len(events) > 20
        for event in events:
            assert [issue for issue in check(event) if issue.severity == "error"] == [], event


def test_after_all_this_the_chain_is_whole(county: County) -> None:
    assert verify(county.folder / "audit").problems == []


@pytest.mark.parametrize(
    "query",
    [
        "_count=²",
        "_count=٣",
        "outcome=" + "9" * 30,
        "outcome=5",
        "outcome=²",
        "_id=" + "1-1," * 5000,
        "&".join(["agent=Practitioner/wang"] * 2000),
    ],
)
def test_what_is_no_value_is_refused_and_breaks_nothing(county: County, query: str) -> None:
    assert county.ask(AUDITOR, "GET", f"AuditEvent?{query}").status == 400


def test_a_count_of_any_size_is_cut_to_the_greatest(county: County) -> None:
    assert county.ask(AUDITOR, "GET", f"AuditEvent?_count={'9' * 30}").status == 200
