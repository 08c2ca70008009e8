"""Files of code systems, value sets and maps to what terminology keeps: CSV with a mapping, LOINC, FHIR JSON (pure)."""

from loaders.terminology.content import BadFile, MapContent, ResourceContent, SystemContent
from loaders.terminology.files import contents
from loaders.terminology.mapping import Mapping, mapping_of, shipped_names

__all__ = [
    "BadFile",
    "MapContent",
    "Mapping",
    "ResourceContent",
    "SystemContent",
    "contents",
    "mapping_of",
    "shipped_names",
]
