"""The functions of FHIRPath by name; ``is``, ``as`` and ``ofType`` take a type and are compiled apart."""

from profiles.fhirpath.functions import collections, conversion, fhir, numeric, strings, utility
from profiles.fhirpath.functions.signature import Table

TYPE_FUNCTIONS = frozenset({"is", "as", "ofType"})
FUNCTIONS: Table = {
    **collections.TABLE,
    **conversion.TABLE,
    **fhir.TABLE,
    **numeric.TABLE,
    **strings.TABLE,
    **utility.TABLE,
}
