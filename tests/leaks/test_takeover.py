"""Nobody lets themselves, or anybody, into a file by writing what gives access: attacks over HTTP, with real tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consent import Access, Requester, Scope
from consent.vocabulary import GUARDIAN_PERSON, LEGAL_BASIS
from fhir_server import app
from fhir_server.store.prepare import prepare
from tests.audit.county import County, resident, staff, system
from tests.leaks.http import Answer

ELSEWHERE = "http://elsewhere.example/fhir/"
DOCTOR = staff("chen", "township", "physician")
HERE = staff("wang", "county", "physician")
CLERK = staff("qian", "county", "registrar")
ADMIN = staff("admin", "county", "administrator", "HOPERAT")
LABELS = [
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code}
    for code in ("PSY", "HIV", "SEX", "ADOL", "NOPAT")
]


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    county = County(tmp_path / "data")
    yield county
    county.close()


def consent(patient: str, recipient: str, *performers: str, **more: Any) -> dict[str, Any]:
    """A Consent as the alliance's profiles want it; ``performers`` are references."""
    provision = {
        "type": "permit",
        "actor": [
            {
                "role": {
                    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "PRCP"}]
                },
                "reference": {"reference": recipient},
            }
        ],
        "securityLabel": more.pop("labels", []),
        "purpose": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code}
            for code in more.pop("purposes", ())
        ],
    }
    return {
        "resourceType": "Consent",
        "extension": [{"url": LEGAL_BASIS, "valueCode": "CONSENT"}],
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": patient},
        "dateTime": "2026-01-02",
        "performer": [{"reference": reference} for reference in performers or (patient,)],
        "sourceAttachment": {"title": "告知书", "url": "urn:yidang:notice:1", "hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
        "policy": [{"uri": "urn:yidang:notice:1"}],
        "provision": {key: value for key, value in provision.items() if value},
        **more,
    }


def verified(resource: dict[str, Any]) -> dict[str, Any]:
    with_whom = {"verified": True, "verifiedWith": {"display": "本人"}, "verificationDate": "2026-01-02"}
    return {**resource, "verification": [with_whom]}


def refusal(resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, "provision": {**resource["provision"], "type": "deny"}}


def guardian(ward: str, who: str) -> dict[str, Any]:
    return {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": {"reference": ward},
        "extension": [{"url": GUARDIAN_PERSON, "valueReference": {"reference": who}}],
        "relationship": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]}
        ],
    }


def post(county: County, requester: Requester, resource: dict[str, Any]) -> Answer:
    return county.ask(requester, "POST", resource["resourceType"], resource)


def sees(county: County, requester: Requester, patient: str) -> int:
    return int(county.ask(requester, "GET", f"Observation?patient={patient}&_summary=count").json["total"])


def child(county: County, born: str) -> str:
    patient = {"resourceType": "Patient", "name": [{"text": "小宝"}], "birthDate": born}
    return county.create(system("county"), patient)


def load(county: County, resource: dict[str, Any], party: str = "") -> None:
    """Write it as a load does: without restriction, as its own proof."""
    context = app.open_context(county.settings, Access.everything("test"))
    access = Access(reason="test", unrestricted=True, party=party)
    context.store.write_now(  # type: ignore[attr-defined]
        lambda transaction: transaction.put(prepare(resource, resource["id"], context.extractor), "PUT"), access
    )
    context.store.close()


# -- somebody else's references -----------------------------------------------------------------------------


@pytest.mark.parametrize("base", [ELSEWHERE, "https://yidang.test/fhir/", "//yidang.test/fhir/", "/"])
def test_what_another_server_calls_so_is_not_ours(county: County, base: str) -> None:
    county.observation(county.zhang)
    zhang, me = f"{base}Patient/{county.zhang}", f"{base}Organization/township"
    for resource in (
        consent(zhang, "Organization/township"),
        consent(zhang, me),
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "category": [{"coding": [{"system": "urn:yidang:request-kind", "code": "referral"}]}],
            "subject": {"reference": zhang},
            "performer": [{"reference": "Practitioner/chen"}],
        },
        guardian(zhang, f"Patient/{county.li}"),
    ):
        for asker in (DOCTOR, staff("qian", "township", "registrar"), system("township")):
            post(county, asker, verified(resource))
            assert sees(county, DOCTOR, county.zhang) == 0
            assert county.ask(DOCTOR, "GET", f"Patient/{county.zhang}").status == 404
            assert sees(county, resident(county.li), county.zhang) == 0


def test_a_refusal_about_another_servers_patient_closes_nothing(county: County) -> None:
    county.observation(county.zhang)
    county.create(resident_writing(county.zhang), consent(f"Patient/{county.zhang}", "Organization/township"))
    assert sees(county, DOCTOR, county.zhang) == 1
    for asker in (HERE, DOCTOR, system("county")):
        post(county, asker, verified(refusal(consent(f"{ELSEWHERE}Patient/{county.zhang}", "Organization/township"))))
    assert sees(county, DOCTOR, county.zhang) == 1


def test_our_own_address_is_ours(county: County) -> None:
    county.observation(county.zhang)
    own = "http://yidang.test/fhir/"
    given = consent(f"{own}Patient/{county.zhang}", f"{own}Organization/township")
    made = county.create(resident_writing(county.zhang), given)
    assert sees(county, DOCTOR, county.zhang) == 1
    kept = county.ask(resident_writing(county.zhang), "GET", f"Consent/{made}").json
    assert kept["patient"]["reference"] == f"{own}Patient/{county.zhang}", "the text is as it was sent"


def resident_writing(who: str, file: str = "") -> Requester:
    """A resident whose app may write, in the own file or that of a ward."""
    return replace(resident(who), patient=file or who, scopes=(Scope("patient", "*", "cruds"),))


# -- what a person may give ------------------------------------------------------------------------------------


def test_nobody_gives_themselves_what_is_withheld_from_patients(county: County) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "NOPAT"}
    hidden = county.observation(county.zhang, meta={"security": [label]})
    me = resident_writing(county.zhang)
    assert county.ask(me, "GET", f"Observation/{hidden}").status == 404
    zhang = f"Patient/{county.zhang}"
    post(county, me, consent(zhang, zhang, labels=LABELS, purposes=["PATRQT", "FAMRQT"]))
    assert county.ask(me, "GET", f"Observation/{hidden}").status == 404


def test_a_guardian_opens_no_confidential_items_of_an_adolescent(county: County) -> None:
    teen = child(county, "2011-05-01")
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
    hidden = county.observation(teen, meta={"security": [label]})
    plain = county.observation(teen)
    county.create(CLERK, guardian(f"Patient/{teen}", f"Patient/{county.li}"))
    me, li = resident_writing(county.li, teen), f"Patient/{county.li}"
    for recipient, purposes in ((li, ["PATRQT", "FAMRQT"]), ("Organization/township", ["TREAT"])):
        given = consent(f"Patient/{teen}", recipient, li, labels=LABELS, purposes=purposes)
        assert post(county, me, given).status == 201
    assert county.ask(me, "GET", f"Observation/{plain}").status == 200
    assert county.ask(me, "GET", f"Observation/{hidden}").status == 404
    assert county.ask(DOCTOR, "GET", f"Observation/{plain}").status == 200
    assert county.ask(DOCTOR, "GET", f"Observation/{hidden}").status == 404


def test_a_child_alone_gives_nothing_and_is_told(county: County) -> None:
    kid = child(county, "2018-05-01")
    county.observation(kid)
    county.create(CLERK, guardian(f"Patient/{kid}", f"Patient/{county.li}"))
    own = f"Patient/{kid}"
    for performers in ((own,), (f"Patient/{county.li}",), (own, f"Patient/{county.li}")):
        answer = post(county, resident_writing(kid), consent(own, "Organization/township", *performers))
        assert answer.status == 422, answer.body
        assert answer.json["issue"][0]["expression"] == ["Consent.performer"]
    for performer in ("Practitioner/wang", f"Patient/{county.zhang}"):
        answer = post(county, HERE, verified(consent(own, "Organization/township", performer)))
        assert answer.status == 422, answer.body
    assert sees(county, DOCTOR, kid) == 0
    assert post(county, HERE, verified(consent(own, "Organization/township", f"Patient/{county.li}"))).status == 201
    assert sees(county, DOCTOR, kid) == 1


def test_a_guardian_does_not_undo_what_an_adolescent_refused(county: County) -> None:
    teen = child(county, "2010-05-01")
    county.create(CLERK, guardian(f"Patient/{teen}", f"Patient/{county.li}"))
    made = county.create(resident_writing(teen), refusal(consent(f"Patient/{teen}", "Organization/township")))
    me = resident_writing(county.li, teen)
    text = county.ask(resident_writing(teen), "GET", f"Consent/{made}").json
    for method, body in (("PUT", {**text, "status": "inactive"}), ("DELETE", None)):
        assert county.ask(me, method, f"Consent/{made}", body).status in (403, 404)
    recorded = county.create(HERE, verified(refusal(consent(f"Patient/{teen}", "Organization/township"))))
    assert county.ask(me, "DELETE", f"Consent/{recorded}").status == 403
    for id in (made, recorded):
        assert county.ask(resident_writing(teen), "DELETE", f"Consent/{id}").status == 204


def test_a_guardian_is_one_as_soon_as_the_age_is_known(county: County) -> None:
    ward = county.create(system("county"), {"resourceType": "Patient", "name": [{"text": "无名氏"}]})
    county.observation(ward)
    county.create(CLERK, guardian(f"Patient/{ward}", f"Patient/{county.li}"))
    assert sees(county, family(county.li, ward), ward) == 0
    text = county.ask(CLERK, "GET", f"Patient/{ward}").json
    assert county.ask(CLERK, "PUT", f"Patient/{ward}", {**text, "birthDate": "2019-03-01"}).status == 200
    assert sees(county, family(county.li, ward), ward) == 1


def family(guardian: str, ward: str) -> Requester:
    return replace(resident(guardian), purpose="FAMRQT", patient=ward)


# -- what staff and systems may record ---------------------------------------------------------------------------


def test_what_a_person_withdrew_is_not_put_in_force_again_by_others(county: County) -> None:
    county.observation(county.zhang)
    zhang, me = f"Patient/{county.zhang}", resident_writing(county.zhang)
    made = county.create(HERE, verified(consent(zhang, "Organization/township")))
    assert sees(county, DOCTOR, county.zhang) == 1
    text = county.ask(HERE, "GET", f"Consent/{made}").json
    assert county.ask(me, "PUT", f"Consent/{made}", {**text, "status": "inactive"}).status == 200
    assert county.ask(HERE, "PUT", f"Consent/{made}", text).status == 403
    patch = [{"op": "replace", "path": "/status", "value": "active"}]
    headers = {"content-type": "application/json-patch+json"}
    assert county.ask(HERE, "PATCH", f"Consent/{made}", patch, headers).status == 403
    assert sees(county, DOCTOR, county.zhang) == 0
    assert county.ask(me, "DELETE", f"Consent/{made}").status == 204
    assert county.ask(HERE, "PUT", f"Consent/{made}", text).status == 403
    assert sees(county, DOCTOR, county.zhang) == 0
    assert post(county, HERE, verified(consent(zhang, "Organization/township"))).status == 201
    assert sees(county, DOCTOR, county.zhang) == 1


def test_what_a_person_limited_is_not_widened_by_others(county: County) -> None:
    county.observation(county.zhang)
    zhang, me = f"Patient/{county.zhang}", resident_writing(county.zhang)
    made = county.create(HERE, verified(consent(zhang, "Organization/township")))
    text = county.ask(HERE, "GET", f"Consent/{made}").json
    imaging = [{"system": "urn:yidang:record-class", "code": "imaging"}]
    narrow = {**text, "provision": {**text["provision"], "class": imaging}}
    assert county.ask(me, "PUT", f"Consent/{made}", narrow).status == 200
    assert sees(county, DOCTOR, county.zhang) == 0
    assert county.ask(HERE, "PUT", f"Consent/{made}", text).status == 403
    assert sees(county, DOCTOR, county.zhang) == 0


def test_refusals_are_recorded_and_ended_like_permissions(county: County) -> None:
    county.observation(county.zhang)
    zhang = f"Patient/{county.zhang}"
    county.create(resident_writing(county.zhang), consent(zhang, "Organization/township"))
    no = refusal(consent(zhang, "Organization/township"))
    assert post(county, system("county"), verified(no)).status == 403
    assert post(county, HERE, no).status == 422, "on nobody's word"
    assert sees(county, DOCTOR, county.zhang) == 1
    made = county.create(HERE, verified(no))
    assert sees(county, DOCTOR, county.zhang) == 0
    assert county.ask(system("county"), "DELETE", f"Consent/{made}").status == 403
    assert sees(county, DOCTOR, county.zhang) == 0


def test_guardians_are_registered_by_registrars_who_know_both(county: County) -> None:
    county.observation(county.zhang)
    stated = guardian(f"Patient/{county.zhang}", f"Patient/{county.li}")
    for asker in (HERE, staff("liu", "county", "nurse"), system("county"), resident_writing(county.li)):
        assert post(county, asker, stated).status == 403
    assert post(county, staff("qian", "township", "registrar"), stated).status == 403
    stranger = county.create(system("township"), {"resourceType": "Patient", "name": [{"text": "外人"}]})
    assert post(county, CLERK, guardian(f"Patient/{county.zhang}", f"Patient/{stranger}")).status == 403
    assert sees(county, family(county.li, county.zhang), county.zhang) == 0


def test_administrators_give_themselves_no_role_under_another_name(county: County) -> None:
    for name in ("Practitioner/admin", "Practitioner/admin/_history/1", "http://yidang.test/fhir/Practitioner/admin"):
        role = {
            "resourceType": "PractitionerRole",
            "practitioner": {"reference": name},
            "organization": {"reference": "Organization/county"},
            "code": [{"coding": [{"system": "urn:yidang:role", "code": "physician"}]}],
        }
        assert post(county, ADMIN, role).status == 403, name


# -- who joins later ------------------------------------------------------------------------------------------------


def test_who_is_taken_into_a_group_backdated_has_no_part_in_earlier_consents(county: County) -> None:
    county.observation(county.zhang)
    load(county, {"resourceType": "Organization", "id": "alliance", "name": "医共体"})
    affiliation = {
        "resourceType": "OrganizationAffiliation",
        "active": True,
        "organization": {"reference": "Organization/alliance"},
        "participatingOrganization": {"reference": "Organization/county"},
        "period": {"start": "2020-01-01"},
    }
    load(county, {**affiliation, "id": "county-in"})
    county.create(resident_writing(county.zhang), consent(f"Patient/{county.zhang}", "Organization/alliance"))
    joining = {**affiliation, "participatingOrganization": {"reference": "Organization/township"}}
    made = county.create(ADMIN, joining)
    assert sees(county, DOCTOR, county.zhang) == 0
    county.ask(ADMIN, "PUT", f"OrganizationAffiliation/{made}", {**joining, "id": made, "period": {}})
    assert sees(county, DOCTOR, county.zhang) == 0
    later = consent(f"Patient/{county.zhang}", "Organization/alliance", dateTime="2027-01-01")
    county.create(resident_writing(county.zhang), later)  # given now, whatever it says
    assert sees(county, DOCTOR, county.zhang) == 1
    # What changes nothing about the membership does not begin it anew.
    county.ask(ADMIN, "PUT", f"OrganizationAffiliation/{made}", {**joining, "id": made, "language": "zh"})
    assert sees(county, DOCTOR, county.zhang) == 1


def test_a_contract_stands_while_a_client_changes_nothing_of_it(county: County) -> None:
    county.observation(county.zhang)
    team = {
        "resourceType": "CareTeam",
        "id": "family",
        "status": "active",
        "category": [{"coding": [{"system": "urn:yidang:care-team-kind", "code": "family-doctor"}]}],
        "subject": {"reference": f"Patient/{county.zhang}"},
        "participant": [{"member": {"reference": "Practitioner/chen"}}],
    }
    load(county, team, "Organization/county")
    assert sees(county, DOCTOR, county.zhang) == 1
    named = {**team, "name": "张家签约团队"}
    assert county.ask(system("county"), "PUT", "CareTeam/family", named).status == 200
    assert sees(county, DOCTOR, county.zhang) == 1
    more = {**named, "participant": [*named["participant"], {"member": {"reference": "Practitioner/other"}}]}
    assert county.ask(system("county"), "PUT", "CareTeam/family", more).status == 200
    assert sees(county, staff("other", "township", "physician"), county.zhang) == 0
    assert sees(county, DOCTOR, county.zhang) == 0, "another contract, which the resident has not made"


def test_administrators_choose_ids_of_what_is_nobodys_only(county: County) -> None:
    valueset = {"resourceType": "ValueSet", "id": "ours", "url": "urn:x", "status": "active"}
    assert county.ask(ADMIN, "PUT", "ValueSet/ours", valueset).status == 201
    assert county.ask(ADMIN, "PUT", "ValueSet/ours", {**valueset, "title": "我们的"}).status == 200
    assert county.ask(HERE, "PUT", "ValueSet/other", {**valueset, "id": "other"}).status in (403, 404)
    for type in ("Patient", "Observation", "Device"):
        made = {"resourceType": type, "id": "chosen", "status": "final", "code": {"text": "x"}}
        assert county.ask(ADMIN, "PUT", f"{type}/chosen", made).status in (400, 403, 404, 422)
        assert county.ask(HERE, "GET", f"{type}/chosen").status == 404
