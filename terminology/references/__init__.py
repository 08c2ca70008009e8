"""Reference intervals, critical and plausibility limits of measurements: the shipped table, and how values are judged.

They are kept as ObservationDefinitions (https://hl7.org/fhir/R4/observationdefinition.html), which institutions change.
"""

from terminology.references.definitions import definitions
from terminology.references.interpret import Finding, References, Verdict, age_at, interpret, references_of
from terminology.references.observations import interpret_observation, misread_unit

__all__ = [
    "Finding",
    "References",
    "Verdict",
    "age_at",
    "definitions",
    "interpret",
    "interpret_observation",
    "misread_unit",
    "references_of",
]
