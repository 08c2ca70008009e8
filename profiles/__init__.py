"""FHIR R4 definitions, lossless formats, validation and FHIRPath: pure functions over plain data."""
