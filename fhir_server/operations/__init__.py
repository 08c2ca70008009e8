"""One FHIR operation per file; ``OPERATIONS`` is the list of those that are registered."""

from __future__ import annotations

from fhir_server.http.exchange import Handler
from fhir_server.http.routes import Operation
from fhir_server.operations.batch_validate_code import batch_validate_code
from fhir_server.operations.consent_status import consent_status
from fhir_server.operations.decide import decide
from fhir_server.operations.everything import encounter_everything, patient_everything
from fhir_server.operations.expand import expand
from fhir_server.operations.explain_access import explain_access
from fhir_server.operations.ihe_pix import ihe_pix
from fhir_server.operations.interpret import interpret_observations
from fhir_server.operations.lookup import lookup
from fhir_server.operations.match import match
from fhir_server.operations.merge import merge, unmerge_operation
from fhir_server.operations.meta import meta, meta_add, meta_delete
from fhir_server.operations.quality import quality, quality_report
from fhir_server.operations.reindex import reindex
from fhir_server.operations.subsumes import subsumes
from fhir_server.operations.translate import translate
from fhir_server.operations.validate import validate
from fhir_server.operations.validate_code_system import validate_code_system
from fhir_server.operations.validate_value_set import validate_value_set

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/"
_PATIENT = frozenset({"Patient"})


def _terminology(type: str, code: str, handler: Handler, *, definition: str = "", get: bool = True) -> Operation:
    """An operation on codes, at both levels; it is about nobody, so a token of any scope will do."""
    url = definition or f"{_DEFINITION}{type}-{code}"
    return Operation(code, handler, url, type=True, instance=True, types=frozenset({type}), get=get, letters="")


OPERATIONS: tuple[Operation, ...] = (
    Operation("meta", meta, f"{_DEFINITION}Resource-meta", system=True, type=True, instance=True, version=True),
    Operation("meta-add", meta_add, f"{_DEFINITION}Resource-meta-add", instance=True, get=False, letters="ru"),
    Operation("meta-delete", meta_delete, f"{_DEFINITION}Resource-meta-delete", instance=True, get=False, letters="ru"),
    Operation("validate", validate, f"{_DEFINITION}Resource-validate", type=True, instance=True, letters=""),
    Operation(
        "everything",
        patient_everything,
        f"{_DEFINITION}Patient-everything",
        type=True,
        instance=True,
        types=frozenset({"Patient"}),
        letters="rs",
    ),
    Operation(
        "everything",
        encounter_everything,
        f"{_DEFINITION}Encounter-everything",
        instance=True,
        types=frozenset({"Encounter"}),
        letters="rs",
    ),
    Operation(
        "reindex",
        reindex,
        "urn:yidang:operation:reindex",
        system=True,
        instance=True,
        types=frozenset({"SearchParameter"}),
        letters="",
        administers=True,
    ),
    Operation("match", match, f"{_DEFINITION}Patient-match", type=True, types=_PATIENT, get=False, letters="s"),
    Operation(
        "ihe-pix",
        ihe_pix,
        "https://profiles.ihe.net/ITI/PIXm/OperationDefinition/IHE.PIXm.pix",
        type=True,
        types=_PATIENT,
        letters="s",
    ),
    Operation("merge", merge, f"{_DEFINITION}Patient-merge", type=True, types=_PATIENT, get=False, letters="ru"),
    Operation(
        "unmerge", unmerge_operation, "urn:yidang:operation:unmerge", type=True, types=_PATIENT, get=False, letters="ru"
    ),
    Operation(
        "decide",
        decide,
        "urn:yidang:operation:decide",
        instance=True,
        types=frozenset({"Task"}),
        get=False,
        letters="ru",
    ),
    Operation(
        "explain-access",
        explain_access,
        "urn:yidang:operation:explain-access",
        instance=True,
        types=_PATIENT,
        letters="r",
    ),
    Operation(
        "consent-status",
        consent_status,
        "urn:yidang:operation:consent-status",
        instance=True,
        types=_PATIENT,
        letters="r",
    ),
    _terminology("CodeSystem", "lookup", lookup),
    _terminology("CodeSystem", "subsumes", subsumes),
    _terminology("CodeSystem", "validate-code", validate_code_system),
    _terminology("ValueSet", "validate-code", validate_value_set),
    _terminology("ValueSet", "expand", expand),
    _terminology("ConceptMap", "translate", translate),
    _terminology(
        "ValueSet",
        "batch-validate-code",
        batch_validate_code,
        definition="http://hl7.org/fhir/OperationDefinition/ValueSet-batch-validate-code",
        get=False,
    ),
    Operation(
        "interpret",
        interpret_observations,
        "urn:yidang:operation:interpret",
        type=True,
        instance=True,
        types=frozenset({"Observation"}),
        letters="r",
    ),
    Operation("quality", quality, "urn:yidang:operation:quality", instance=True, types=_PATIENT, letters="r"),
    Operation(
        "quality-report",
        quality_report,
        "urn:yidang:operation:quality-report",
        instance=True,
        types=frozenset({"Organization"}),
        letters="r",
    ),
)
