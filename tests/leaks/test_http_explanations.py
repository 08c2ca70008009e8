"""Explanations of access over HTTP: they say what the oracle says, and tell nobody of what is hidden from them."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest

from tests.leaks.compare import seen
from tests.leaks.coverage import covers
from tests.leaks.oracle import ROLES, Row, Who, visible
from tests.leaks.people import requesters
from tests.leaks.probe import absent_id
from tests.leaks.web import Web

WHO = requesters()
STAFF = [who for who in WHO if who.kind == "staff" and who.institution and not who.department and not who.patient]
STAFF = [who for who in STAFF if who.role in ROLES and who.purpose in ROLES[who.role].purposes]
STAFF = [w for w in STAFF if any(s.context == "user" and s.type == "*" and "r" in s.letters for s in w.scopes)]
RESIDENTS = ["r1", "r2", "r3", "r4", "r5", "r6", "r7", "r9", "r11"]


OWN = {id: Who(f"{id} explains", "resident", f"Patient/{id}", "PATRQT", person=id) for id in RESIDENTS}


def rows_of(web: Web, person: str) -> list[Row]:
    return [row for row in web.world.current.values() if row.person == person and not row.deleted]


def parts(answer: Any, name: str) -> list[Any]:
    return [part for part in answer["parameter"] if part["name"] == name]


def value(answer: Any, name: str) -> Any:
    (part,) = parts(answer, name)
    return next(v for k, v in part.items() if k.startswith("value"))


def described(who: Who) -> str:
    practitioner = who.subject.removeprefix("Practitioner/")
    return f"institution={who.institution}&practitioner={practitioner}&role={who.role}&purpose={who.purpose}"


@covers("$explain-access instance")
@pytest.mark.parametrize("person", ["r1", "r4", "r7", "r9"])
def test_a_resident_is_told_of_anybody_what_the_oracle_says(web: Web, person: str, compared: Counter[str]) -> None:
    now, today = web.world.clock[0], web.world.today
    asker = OWN[person]
    for row in rows_of(web, person):
        if "NOPAT" in row.sensitivity:
            continue
        for who in STAFF:
            reference = quote(f"{row.type}/{row.id}")
            answer = web.get(asker, f"Patient/{person}/$explain-access?reference={reference}&{described(who)}")
            assert answer.status == 200, answer
            ground = visible(web.world.facts, row, who, "r", now, today)
            decision = "permit" if ground else "deny"
            assert value(answer.json, "decision") == decision, (who.name, row, ground, answer.json)
            assert value(answer.json, "text")
            compared["explanation"] += 1


@pytest.mark.parametrize("person", RESIDENTS)
def test_how_far_an_access_reaches_is_counted_as_the_oracle_does(web: Web, person: str) -> None:
    now, today = web.world.clock[0], web.world.today
    for who in STAFF:
        answer = web.get(OWN[person], f"Patient/{person}/$explain-access?{described(who)}")
        wanted = Counter(
            row.cls.replace("_", "-")
            for row in rows_of(web, person)
            if visible(web.world.facts, row, who, "r", now, today)
        )
        told = {p["part"][0]["valueCode"]: p["part"][1]["valueInteger"] for p in parts(answer.json, "reach")}
        assert told == dict(wanted), (who.name, answer.json)


@covers("$explain-access instance")
@pytest.mark.parametrize("who", WHO, ids=lambda who: who.name)
def test_what_is_hidden_is_explained_as_what_is_absent(web: Web, who: Who) -> None:
    shown = {(row.type, row.id) for row in seen(web.world, who, "r") if not row.deleted}
    absent: dict[tuple[str, str, int], object] = {}
    rows: dict[tuple[str, str, bool], Row] = {}  # of each person one open and one hidden item of each type
    for row in web.world.current.values():
        if not row.deleted and row.person not in ("", "*") and row.type != "Patient":
            rows[row.type, row.person, (row.type, row.id) in shown] = row
    for row in rows.values():
        path = f"Patient/{row.person}/$explain-access?reference={row.type}/{{}}"
        answer = web.get(who, path.format(row.id))
        if (row.type, row.id) in shown and ("Patient", row.person) in shown:
            assert answer.status == 200 and value(answer.json, "decision") == "permit", (who.name, row, answer)
            continue
        if who.role == "privacy-officer" and answer.status == 200:
            assert row.custodian == f"Organization/{who.institution}"
            continue
        other = absent_id(row.id)
        key = row.person, row.type, len(row.id)
        if key not in absent:
            absent[key] = web.get(who, path.format(other)).without(other)
        assert answer.without(row.id) == absent[key], (who.name, row)


@covers("$consent-status instance")
@pytest.mark.parametrize("who", WHO, ids=lambda who: who.name)
def test_rules_are_told_to_whom_they_concern(web: Web, who: Who) -> None:
    shown = {(row.type, row.id) for row in seen(web.world, who, "r") if not row.deleted}
    mine = {f"Organization/{who.institution}", f"Organization/{who.department}", who.subject, "Organization/alliance"}
    for person in RESIDENTS:
        answer = web.get(who, f"Patient/{person}/$consent-status")
        if ("Patient", person) not in shown:
            assert answer.status in (403, 404)
            assert answer.without(person) == web.get(who, f"Patient/{absent_id(person)}/$consent-status").without(
                absent_id(person)
            )
            continue
        for rule in parts(answer.json, "rule"):
            told = {part["name"]: part for part in rule["part"]}
            source = tuple(told["source"]["valueReference"]["reference"].split("/"))
            grantee = told.get("grantee", {}).get("valueReference", {}).get("reference", "")
            addressed = grantee in mine or grantee.startswith("CareTeam/")
            assert source in shown or addressed or (who.role == "privacy-officer" and not grantee), (who.name, told)


def test_a_resident_sees_consents_refusals_and_who_can_see_an_item(web: Web) -> None:
    answer = web.get(OWN["r7"], "Patient/r7/$consent-status").json
    kinds = Counter(
        (part["valueCode"]) for rule in parts(answer, "rule") for part in rule["part"] if part["name"] == "decision"
    )
    assert kinds["deny"] >= 2 and kinds["permit"] >= 1
    assert "许可" in value(answer, "text")
    item = next(row for row in rows_of(web, "r3") if row.cls == "laboratory" and not row.sensitivity)
    told = web.get(OWN["r3"], f"Patient/r3/$explain-access?reference={item.type}/{item.id}").json
    to = {
        part["valueReference"]["reference"]
        for one in parts(told, "open-to")
        for part in one["part"]
        if part["name"] == "grantee"
    }
    assert item.custodian in to and "Organization/county" in to
    assert value(told, "ground") == "self"


def test_a_refusal_that_prevails_is_named(web: Web) -> None:
    item = next(
        r for r in rows_of(web, "r7") if r.cls == "laboratory" and not r.sensitivity and "town-west" in r.custodian
    )
    east = "institution=town-east&practitioner=dr-east&role=physician&purpose=TREAT"
    told = web.get(OWN["r7"], f"Patient/r7/$explain-access?reference={item.type}/{item.id}&{east}").json
    assert value(told, "decision") == "deny"
    (refusal,) = parts(told, "refusal")
    assert {"name": "source", "valueReference": {"reference": "Consent/c7-not-east"}} in refusal["part"]
    assert "拒绝" in value(told, "text")


def test_only_those_who_may_judge_ask_about_others(web: Web) -> None:
    path = "Patient/r3/$explain-access?institution=county&practitioner=dr-county"
    staff = next(who for who in WHO if who.name == "dr-county for TREAT")
    assert web.get(staff, path).status == 403
    officer = next(who for who in WHO if who.role == "privacy-officer")
    if web.get(officer, "Patient/r3").status == 200:
        assert web.get(officer, path).status == 200
        other = "Patient/r3/$explain-access?institution=town-east&practitioner=dr-east"
        assert web.get(officer, other).status == 403
    for wrong in ("role=king", "purpose=HRESCH", "practitioner=dr-county"):
        query = wrong if wrong.startswith("pr") else f"institution=county&{wrong}"
        assert web.get(OWN["r3"], f"Patient/r3/$explain-access?{query}").status == 400
    assert web.get(OWN["r3"], "Patient/r3/$explain-access?reference=nothing").status == 400
