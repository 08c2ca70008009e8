"""The Patient of a resident as the institutions know it, family ties and guardians, insurance, allergies."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from consent.vocabulary import GUARDIAN_PERSON, LEGAL_BASIS
from loaders.demo import catalogue, identity
from loaders.demo.county import COUNTY, Institution, practitioners_of
from loaders.demo.draft import ZONE, Draft, Resource, organization
from loaders.demo.people import Person

ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
ETHNIC_GROUP = "urn:yidang:ethnic-group"
DIVISION = "urn:yidang:division"  # extension of Address: GB/T 2260, and below it township and village
_PEOPLES = "urn:oid:2.16.156.10011.2.3.3.3"
# How a guardian stands to the ward, from what the ward is to the guardian, and the guardian's sex.
_TIES = {
    "DAUC": ("FTH", "MTH"),
    "SONC": ("FTH", "MTH"),
    "GRNDCHILD": ("GRFTH", "GRMTH"),
    "FTH": ("SONC", "DAUC"),
    "PRN": ("SONC", "DAUC"),
}
_TIE_NAMES = {
    "FTH": "父亲",
    "MTH": "母亲",
    "GRFTH": "祖父",
    "GRMTH": "祖母",
    "SONC": "儿子",
    "DAUC": "女儿",
    "WIFE": "妻子",
}


def _document(kind: str, national: str, text: str, system: str, value: str) -> Resource:
    """An identity document: its kind in HL7's table 0203 ('' where that has none) and in WS 364.3 ('')."""
    coded = ((identity.IDENTIFIER_TYPE, kind), (identity.DOCUMENT_TYPE, national))
    return {
        "use": "official",
        "type": {"coding": [{"system": system, "code": code} for system, code in coded if code], "text": text},
        "system": system,
        "value": value,
    }


def papers(person: Person) -> list[Resource]:
    """The identifiers of the national kinds that the person has."""
    serial = person.number
    if person.papers == "identity-card":
        number = identity.identity_number(serial, person.born, person.female)
        return [_document("NI", "01", "居民身份证", identity.IDENTITY_NUMBER, number)]
    if person.papers == "passport":
        return [_document("PPN", "03", "护照", identity.PASSPORT, f"E{serial:08d}")]
    if person.papers == "hk-mo-permit":
        return [_document("", "06", "港澳居民来往内地通行证", identity.HK_MO_PERMIT, f"H{serial:08d}")]
    if person.papers == "tw-permit":
        return [_document("", "07", "台湾居民来往内地通行证", identity.TW_PERMIT, f"{serial:08d}")]
    if person.papers == "birth-certificate":
        return [_document("BCT", "", "出生医学证明", identity.BIRTH_CERTIFICATE, f"Z{serial:09d}")]
    return []


def file_number(person: Person, clinic: Institution) -> str:
    """The 17-digit number of the health record file: county, township, village, serial."""
    return f"{division(clinic)}{person.number % 10**5:05d}"


def division(clinic: Institution) -> str:
    """The 12-digit code of the clinic's village."""
    _, township, village = clinic.id.split("-")
    return f"{identity.REGION}{int(township):03d}{100 + int(village)}"


def patient(draft: Draft, institutions: list[Institution]) -> Resource:
    """The Patient, with a record number of each institution that has the person in its books."""
    person, clinic = draft.person, draft.clinic
    name: Resource = {"use": "official", "text": person.name.text, "given": [person.name.given]}
    if person.name.family:
        name["family"] = person.name.family
    numbers = [
        {
            "use": "secondary",
            "type": {"coding": [{"system": identity.IDENTIFIER_TYPE, "code": "MR"}], "text": "病案号"},
            "system": f"{identity.RECORD_NUMBER}:{place.id}",
            "value": f"{place.id}-{person.number:07d}",
            "assigner": {"reference": f"Organization/{place.id}"},
        }
        for place in institutions
    ]
    text = f"{COUNTY}{clinic.township}{clinic.village}{person.house}号"
    found: Resource = {
        "resourceType": "Patient",
        "id": person.id,
        "extension": [
            {
                "url": ETHNIC_GROUP,
                "valueCoding": {"system": _PEOPLES, "code": person.people[0], "display": person.people[1]},
            }
        ],
        "identifier": [
            *papers(person),
            {"use": "secondary", "system": identity.HEALTH_FILE_NUMBER, "value": file_number(person, clinic)},
            *numbers,
        ],
        "active": True,
        "name": [name],
        "telecom": [{"system": "phone", "value": identity.phone(person.phone), "use": "mobile"}],
        "gender": "female" if person.female else "male",
        "birthDate": person.born.isoformat(),
        "address": [
            {
                "extension": [{"url": DIVISION, "valueString": division(clinic)}],
                "use": "home",
                "text": text,
                "line": [f"{clinic.village}{person.house}号"],
                "city": COUNTY,
                "district": clinic.township,
                "country": "CN",
            }
        ],
        "generalPractitioner": [{"reference": f"Practitioner/{practitioners_of(clinic)[0]}"}],
        "managingOrganization": organization(clinic),
    }
    if person.died:
        found["deceasedDateTime"] = datetime.combine(person.died, time(4, 30), ZONE).isoformat()
    return found


def _kinship(code: str) -> list[Resource]:
    return [{"coding": [{"system": ROLE_CODE, "code": code}], "text": _TIE_NAMES.get(code, "亲属")}]


def guardian_tie(ward: Person, guardian: Person) -> str:
    """The code of RoleCode by which the guardian is called: FTH, GRMTH, DAUC …"""
    if guardian.number == 5 and ward.number == 6:
        return "WIFE"  # of the first household
    return _TIES.get(ward.tie, ("GUARD", "GUARD"))[guardian.female]


def related_id(ward: Person, guardian: Person) -> str:
    """Logical id of the RelatedPerson that makes ``guardian`` the guardian of ``ward``."""
    return f"guardian-{ward.number:06d}-{ward.guardians.index(guardian.number) + 1}"


def guardians(draft: Draft, found: list[Person]) -> None:
    """RelatedPersons of those who act for the person, filed by the institution that saw the proof."""
    for guardian in found:
        code = guardian_tie(draft.person, guardian)
        codes = [*_kinship(code), {"coding": [{"system": ROLE_CODE, "code": "GUARD"}], "text": "监护人"}]
        resource: Resource = {
            "resourceType": "RelatedPerson",
            "id": related_id(draft.person, guardian),
            "extension": [{"url": GUARDIAN_PERSON, "valueReference": {"reference": f"Patient/{guardian.id}"}}],
            "active": True,
            "patient": draft.subject,
            "relationship": codes,
            "name": [{"text": guardian.name.text}],
            "telecom": [{"system": "phone", "value": identity.phone(guardian.phone), "use": "mobile"}],
            "gender": "female" if guardian.female else "male",
        }
        adult = draft.person.age >= 18
        if adult:  # appointed for one without capacity (民法典 28)
            resource["extension"].append({"url": LEGAL_BASIS, "valueCode": "STATUTORY"})
        start = draft.person.born if not adult else draft.person.last - timedelta(days=600)
        resource["period"] = {"start": start.isoformat()}
        draft.written.append((f"Organization/{draft.township.id}", resource))


def coverage(draft: Draft) -> None:
    """The health insurance of residents, kept by the township hospital."""
    if draft.person.papers in ("passport", "none", "birth-certificate"):
        return
    draft.add(
        f"Organization/{draft.township.id}",
        "cov",
        {
            "resourceType": "Coverage",
            "status": "active",
            "type": {"text": "城乡居民基本医疗保险"},
            "beneficiary": draft.subject,
            "payor": [{"display": f"{COUNTY}医疗保障局"}],
            "period": {"start": "2026-01-01", "end": "2026-12-31"},
        },
    )


_CODES = "http://terminology.hl7.org/CodeSystem/allergyintolerance-"


def allergy(draft: Draft) -> None:
    """One allergy in some; decided before anything is prescribed."""
    if draft.random.random() >= 0.13 and not draft.has("hero"):
        return
    substance, category, reaction = draft.random.choice(catalogue.ALLERGIES)
    if draft.has("hero"):
        substance, category, reaction = catalogue.ALLERGIES[0]
    draft.allergy = substance
    keeper = draft.random.choice((draft.hospital, draft.township, draft.clinic))
    draft.add(
        f"Organization/{keeper.id}",
        "all",
        {
            "resourceType": "AllergyIntolerance",
            "clinicalStatus": {"coding": [{"system": f"{_CODES}clinical", "code": "active"}]},
            "verificationStatus": {"coding": [{"system": f"{_CODES}verification", "code": "confirmed"}]},
            "type": "allergy",
            "category": [category],
            "criticality": draft.random.choice(("low", "high", "unable-to-assess")),
            "code": {"text": substance},
            "patient": draft.subject,
            "recordedDate": draft.day(200, 900).isoformat(),
            "reaction": [{"manifestation": [{"text": reaction}]}],
        },
    )
