"""FHIRPath (N1, with FHIR R4's additions) compiled to closures over plain resources, aware of where each value stands.

https://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html
"""

from profiles.fhirpath.errors import FhirPathError, TooCostlyError
from profiles.fhirpath.expression import Expression, Location, compile
from profiles.fhirpath.scope import Budget, Environment

__all__ = ["Budget", "Environment", "Expression", "FhirPathError", "Location", "TooCostlyError", "compile"]
