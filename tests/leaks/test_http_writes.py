"""Writing over HTTP: one's own items only, and nothing that gives oneself access."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from tests.leaks import people
from tests.leaks.compare import seen
from tests.leaks.forms import Part, consent, instant
from tests.leaks.oracle import Who
from tests.leaks.records import concept, labelled, to
from tests.leaks.test_http_existence import untouched
from tests.leaks.web import Web

WRITERS = [
    people.staff("dr-county"), people.staff("dr-east"), people.staff("dr-outside"), people.staff("quality-county"),
    people.system("emr-county"), people.resident("r3"), people.resident("r10"),
]  # fmt: skip


@pytest.mark.parametrize("who", WRITERS, ids=lambda who: who.name)
def test_only_one_s_own_items_are_changed(fresh_web: Web, who: Who, compared: Counter[str]) -> None:
    """What one sees and does not keep answers 403; what one does not see answers as the absent; neither changes."""
    web = fresh_web
    open_ = {(row.type, row.id) for row in seen(web.world, who, "r")}
    mine = f"Organization/{who.institution}" if who.institution else f"Patient/{who.person}"
    for row in list(web.world.current.values()):
        if row.deleted or row.custodian == mine or (row.type == "Consent" and who.kind == "resident"):
            continue
        body = web.world.resources[row.type, row.id, row.version]
        assert body is not None
        name, sees = f"{row.type}/{row.id}", (row.type, row.id) in open_
        changed = web.ask(who, "PUT", name, {**body, "language": "zh"})
        assert changed.status == (403 if sees else 404), (who.name, row, changed)
        gone = web.ask(who, "DELETE", name)
        assert gone.status in ((403,) if sees else (204, 403, 404)), (who.name, row, gone)
        untouched(web, row)
        compared["HTTP writes"] += 2


def test_nothing_moves_to_another_person_or_custodian(fresh_web: Web, compared: Counter[str]) -> None:
    web, who = fresh_web, people.staff("dr-county")
    body = web.world.resources["Observation", "r3-laboratory-county", 1]
    assert body is not None
    for other in ("r6", "r99"):
        answer = web.ask(who, "PUT", "Observation/r3-laboratory-county", {**body, "subject": to("Patient", other)})
        assert answer.status == 422, answer
        patch = [{"op": "replace", "path": "/subject/reference", "value": f"Patient/{other}"}]
        headers = {"content-type": "application/json-patch+json"}
        assert web.ask(who, "PATCH", "Observation/r3-laboratory-county", patch, headers).status == 422
        compared["HTTP writes"] += 2
    kept = {**body, "performer": [to("Organization", "outside")]}
    assert web.ask(who, "PUT", "Observation/r3-laboratory-county", kept).status == 200
    assert web.get(people.staff("dr-outside"), "Observation/r3-laboratory-county").status == 404


def grabs(web: Web) -> dict[str, dict[str, Any]]:
    """What somebody could write to get into the file of r6."""
    me, mine = "Practitioner/dr-outside", "Organization/outside"
    now = web.world.now
    period = {"start": instant(now - timedelta(days=1)), "end": instant(now + timedelta(days=5))}
    base = {"status": "active", "intent": "order", "subject": to("Patient", "r6")}
    document = to("Observation", "r6-laboratory-county")

    def reserved(kind: str) -> dict[str, Any]:
        return {
            "resourceType": "Task",
            "status": "accepted",
            "intent": "order",
            "code": concept(kind, "urn:yidang:task-kind"),
            "for": to("Patient", "r6"),
            "requester": {"reference": me},
            "owner": {"reference": mine},
            "focus": document,
            "restriction": {"period": period},
        }

    unsigned = consent("x", "r6", Part(grantees=(mine,)), now - timedelta(minutes=5))
    return {
        "a consent that nobody verified": {k: v for k, v in unsigned.items() if k != "id"},
        "an emergency": reserved("break-glass-review"),
        "an approval": reserved("minor-access-approval"),
        "a statutory report": reserved("statutory-report"),
        "a request to oneself": {
            "resourceType": "ServiceRequest",
            **base,
            "category": [concept("referral", "urn:yidang:request-kind")],
            "requester": {"reference": "Organization/county"},
            "performer": [{"reference": mine}, {"reference": me}],
            "supportingInfo": [document],
        },
        "a task for oneself": {
            "resourceType": "Task",
            "status": "requested",
            "intent": "order",
            "for": to("Patient", "r6"),
            "owner": {"reference": me},
            "focus": document,
        },
        "a family doctor's contract without the resident": {
            "resourceType": "CareTeam",
            "status": "active",
            "category": [concept("family-doctor", "urn:yidang:care-team-kind")],
            "subject": to("Patient", "r6"),
            "period": {"start": period["start"]},
            "participant": [{"member": {"reference": me}}],
        },
        "a membership in the alliance": {
            "resourceType": "OrganizationAffiliation",
            "active": True,
            "organization": to("Organization", "alliance"),
            "participatingOrganization": {"reference": mine},
        },
        "a role elsewhere": {
            "resourceType": "PractitionerRole",
            "active": True,
            "practitioner": {"reference": me},
            "organization": to("Organization", "county"),
            "code": [concept("physician", "urn:yidang:role")],
        },
        "a provenance": {
            "resourceType": "Provenance",
            "target": [document],
            "recorded": period["start"],
            "agent": [{"who": {"reference": me}}],
        },
        "a list of the hidden": {
            "resourceType": "List",
            "status": "current",
            "mode": "working",
            "entry": [{"item": document}],
        },
    }


@pytest.mark.parametrize("what", [
    "a consent that nobody verified", "an emergency", "an approval", "a statutory report", "a request to oneself",
    "a task for oneself", "a family doctor's contract without the resident", "a membership in the alliance",
    "a role elsewhere", "a provenance", "a list of the hidden",
])  # fmt: skip
def test_nobody_lets_themselves_in(fresh_web: Web, what: str, compared: Counter[str]) -> None:
    web, who = fresh_web, people.staff("dr-outside")
    before = web.get(who, "_history?_count=1000").json["total"]
    body = grabs(web)[what]
    answer = web.ask(who, "POST", body["resourceType"], body)
    made = answer.json.get("id", "") if answer.status == 201 else ""
    closed = ["Patient/r6", "Observation/r6-laboratory-town-east", "Condition/r6-problem-county", "Consent/c6-year"]
    for path in closed:
        assert web.get(who, path).status == 404, f"{what} ({answer.status}) opened {path}"
    after = web.get(who, "_history?_count=1000").json["total"]
    assert after - before == (1 if made else 0), f"{what} ({answer.status}) opened {after - before} versions"
    if what == "a list of the hidden" and made:
        shown = web.get(who, f"Observation?_list={made}&_total=accurate").json
        document = web.get(who, "Observation/r6-laboratory-county").status
        assert shown["total"] == (1 if document == 200 else 0)
    compared["HTTP writes"] += len(closed) + 2


def test_labels_are_not_taken_off_by_others(fresh_web: Web, compared: Counter[str]) -> None:
    """Neither by $meta-delete nor by an update; the custodian may, and then it is on record."""
    web = fresh_web
    meta = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": labelled({}, "HIV")["meta"]}],
    }
    for who in (people.staff("dr-east"), people.resident("r4"), people.staff("dr-outside"), people.staff("vd-village")):
        answer = web.ask(who, "POST", "Observation/r4-laboratory-hiv/$meta-delete", meta)
        assert answer.status in (403, 404), (who.name, answer)
        compared["HTTP writes"] += 1
    untouched(web, web.world.current["Observation", "r4-laboratory-hiv"])
