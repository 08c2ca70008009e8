"""The record class of a resource: by its type, and by category and code where one type holds many kinds.

What cannot be told is OTHER; SHARED is only what can be about nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consent.references import listed, reference_of
from consent.vocabulary import RECORD_CLASS, STEWARDSHIP, TASK_KIND, RecordClass

Resource = Mapping[str, Any]

_C = RecordClass
_TYPES: dict[RecordClass, str] = {
    _C.SHARED: "ActivityDefinition CapabilityStatement CatalogEntry ChargeItemDefinition CodeSystem"
    " CompartmentDefinition ConceptMap DeviceDefinition EffectEvidenceSynthesis Endpoint EventDefinition Evidence"
    " EvidenceVariable ExampleScenario GraphDefinition HealthcareService ImplementationGuide InsurancePlan Library"
    " Location Measure Medication MedicationKnowledge MedicinalProduct MedicinalProductAuthorization"
    " MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient"
    " MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged"
    " MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition NamingSystem"
    " ObservationDefinition OperationDefinition Organization OrganizationAffiliation PlanDefinition Practitioner"
    " PractitionerRole Questionnaire ResearchDefinition ResearchElementDefinition RiskEvidenceSynthesis Schedule"
    " SearchParameter Slot SpecimenDefinition StructureDefinition StructureMap Substance SubstanceNucleicAcid"
    " SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification"
    " TerminologyCapabilities TestScript ValueSet",
    _C.IDENTITY: "Linkage Patient Person RelatedPerson",
    _C.ALLERGY: "AllergyIntolerance",
    _C.PROBLEM: "AdverseEvent BodyStructure ClinicalImpression Condition DetectedIssue Flag RiskAssessment",
    _C.MEDICATION: "MedicationAdministration MedicationDispense MedicationRequest MedicationStatement",
    _C.IMMUNIZATION: "Immunization ImmunizationEvaluation ImmunizationRecommendation",
    _C.LABORATORY: "MolecularSequence Specimen",
    _C.IMAGING: "ImagingStudy",
    _C.ENCOUNTER: "Appointment AppointmentResponse Encounter EpisodeOfCare",
    _C.PROCEDURE: "DeviceUseStatement Procedure",
    _C.DOCUMENT: "Composition DocumentManifest DocumentReference Media",
    _C.CARE_PLAN: "CarePlan CareTeam Goal",
    _C.ORDER: "DeviceRequest NutritionOrder RequestGroup ServiceRequest SupplyDelivery SupplyRequest Task"
    " VisionPrescription",
    _C.SURVEY: "FamilyMemberHistory QuestionnaireResponse",
    _C.CONSENT: "Consent Contract",
    _C.FINANCIAL: "Account ChargeItem Claim ClaimResponse Coverage CoverageEligibilityRequest"
    " CoverageEligibilityResponse EnrollmentRequest EnrollmentResponse ExplanationOfBenefit Invoice PaymentNotice"
    " PaymentReconciliation",
}
# Types that are not here (Group, List, Basic, Binary, Bundle, Communication, Provenance …) can be about a person
# without naming one: OTHER.
CLASS_OF_TYPE: dict[str, RecordClass] = {name: bit for bit, names in _TYPES.items() for name in names.split()}

_CATEGORY_SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
_V2_0074 = "http://terminology.hl7.org/CodeSystem/v2-0074"
_LOINC = "http://loinc.org"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_SNOMED = "http://snomed.info/sct"
_CODES: dict[str, dict[RecordClass, str]] = {
    _CATEGORY_SYSTEM: {
        _C.VITAL_SIGNS: "vital-signs",
        _C.LABORATORY: "laboratory",
        _C.IMAGING: "imaging",
        _C.PROCEDURE: "procedure therapy",
        _C.SURVEY: "survey social-history activity",
        _C.ENCOUNTER: "exam",
    },
    _V2_0074: {
        _C.LABORATORY: "LAB BG BLB CG CH GE HM IMM MB MCB MYC OSL SR TX VR",
        _C.IMAGING: "RAD CT CTH CUS IMG NMR NMS OUS RUS RX VUS XRC",
        _C.ECG: "EC",
        _C.PATHOLOGY: "PAT SP CP",
        _C.PROCEDURE: "EN PF PT RC RT AU",
    },
    _DICOM: {
        _C.IMAGING: "CT MR DX CR US MG XA RF NM PT IO PX BMD OPT OP IVUS OCT XC GM ES",
        _C.ECG: "ECG HD EPS",
        _C.PATHOLOGY: "SM",
    },
    _LOINC: {
        _C.ECG: "11524-6 34534-8 28010-7 18754-2 18750-0 LP29708-2",
        _C.PATHOLOGY: "11526-1 60567-5 22637-3 22634-0 33717-0 47527-7 LP7839-6",
        _C.IMAGING: "18748-4 18726-0 18747-6 18757-5 18745-0 18760-9 68604-8 LP29684-5 24627-2 30746-2 36643-5 24558-9",
        _C.LABORATORY: "11502-2 26436-6 18725-2 18719-5 18723-7 18728-6 LP29693-6",
        _C.VITAL_SIGNS: "8867-4 9279-1 8310-5 85354-9 8480-6 8462-4 29463-7 8302-2 39156-5 59408-5 2708-6 9843-4"
        " 8287-5 85353-1 3141-9 8280-0",
        _C.SURVEY: "72166-2 11367-0 29762-2",
        _C.DOCUMENT: "34117-2 51847-2 11506-3 18842-5 34133-9 11488-4 28570-0 11504-8 57133-1 34109-9",
    },
    _SNOMED: {
        _C.ECG: "29303009 164847006 271921002",
        _C.IMAGING: "363679005 77477000 113091000 16310003 168537006 399208008",
        _C.LABORATORY: "108252007 15220000 26604007",
        _C.PATHOLOGY: "108257001 714797009",
    },
}
_BY_CODE: dict[str, dict[str, int]] = {  # plain ints: operations on enums are slow
    system: {code: int(bit) for bit, codes in table.items() for code in codes.split()}
    for system, table in _CODES.items()
}
# An institution may say the class itself, but not that something is nobody's or the identity.
_BY_CODE[RECORD_CLASS] = {
    bit.name.lower().replace("_", "-"): int(bit) for bit in _C if bit.name and bit not in (_C.SHARED, _C.IDENTITY)
}
# Where several categories speak, the more specific one counts.
_RANK = (
    _C.ECG,
    _C.PATHOLOGY,
    _C.IMAGING,
    _C.LABORATORY,
    _C.VITAL_SIGNS,
    _C.MEDICATION,
    _C.IMMUNIZATION,
    _C.ALLERGY,
    _C.PROCEDURE,
    _C.SURVEY,
    _C.PROBLEM,
    _C.CARE_PLAN,
    _C.ORDER,
    _C.ENCOUNTER,
    _C.DOCUMENT,
    _C.CONSENT,
    _C.FINANCIAL,
    _C.OTHER,
)
_RANKED = tuple((int(bit), bit) for bit in _RANK)
_ONE = {int(bit): bit for bit in _C}
# Elements that say what kind of thing it is, by type, and the class where they say nothing.
_BY_CATEGORY: dict[str, tuple[tuple[str, ...], RecordClass]] = {
    "Observation": (("category", "code"), _C.OTHER),
    "DiagnosticReport": (("category", "code"), _C.OTHER),
    "DocumentReference": (("category", "type"), _C.DOCUMENT),
    "Composition": (("category", "type"), _C.DOCUMENT),
    "Media": (("modality", "type"), _C.DOCUMENT),
    "Procedure": (("category", "code"), _C.PROCEDURE),
    "Flag": (("category",), _C.PROBLEM),
}
_OF_RESULTS = (_C.LABORATORY, _C.VITAL_SIGNS, _C.IMAGING, _C.ECG, _C.PATHOLOGY, _C.SURVEY, _C.OTHER)
_SHARED_UNLESS: dict[str, tuple[str, ...]] = {
    # types that are nobody's unless one of these elements points to a person
    "Schedule": ("actor",),
    "Device": ("patient",),
    "MeasureReport": ("subject", "evaluatedResource"),
}


def class_of(resource: Resource) -> RecordClass:
    """The one record class of ``resource``."""
    type: str = resource["resourceType"]
    rule = _BY_CATEGORY.get(type)
    if rule is not None:
        return _by_category(resource, *rule)
    found = CLASS_OF_TYPE.get(type, _C.OTHER)
    if type == "Task" and _stewardship(resource):
        return _C.IDENTITY
    if type in _SHARED_UNLESS:
        found = _shared_unless(type, resource)
    if found is _C.SHARED and "contained" in resource:
        inside = all(class_of(item) is _C.SHARED for item in resource["contained"])
        return found if inside else _C.OTHER
    return found


def usual_classes(type: str) -> tuple[RecordClass, ...]:
    """The record classes that resources of ``type`` mostly have; others are possible (an institution may say one)."""
    if type in _BY_CATEGORY:
        return _OF_RESULTS if type in ("Observation", "DiagnosticReport") else (_BY_CATEGORY[type][1], _C.IMAGING)
    found = CLASS_OF_TYPE.get(type, _C.OTHER)
    return () if found is _C.SHARED else (found,)


def _stewardship(resource: Resource) -> bool:
    """Whether a Task is about who somebody is: a question to the stewards of the person index."""
    codings = resource.get("code", {}).get("coding", ())
    return any(c.get("system") == TASK_KIND and c.get("code") in STEWARDSHIP for c in codings)


def _by_category(resource: Resource, elements: tuple[str, ...], default: RecordClass) -> RecordClass:
    found = 0
    for element in elements:
        concepts = resource.get(element)
        if concepts is None:
            continue
        for concept in concepts if isinstance(concepts, list) else (concepts,):
            for coding in concept.get("coding", ()):
                table = _BY_CODE.get(coding.get("system", ""))
                if table is not None:
                    found |= table.get(coding.get("code", ""), 0)
    if not found:
        if default is _C.OTHER and ("specimen" in resource):
            return _C.LABORATORY
        if "imagingStudy" in resource:
            return _C.IMAGING
        return default
    return _ONE.get(found) or next(bit for number, bit in _RANKED if found & number)


def _shared_unless(type: str, resource: Resource) -> RecordClass:
    if type == "MeasureReport":
        summary = resource.get("type") == "summary" and not any(e in resource for e in _SHARED_UNLESS[type])
        return _C.SHARED if summary else _C.OTHER
    for element in _SHARED_UNLESS[type]:
        for reference in listed(resource.get(element)):
            if not reference_of(reference).startswith(_STAFF_AND_PLACES):
                return _C.PROCEDURE if type == "Device" else _C.OTHER
    return _C.SHARED


_STAFF_AND_PLACES = (
    "Practitioner/",
    "PractitionerRole/",
    "Location/",
    "HealthcareService/",
    "Device/",
    "Organization/",
)
