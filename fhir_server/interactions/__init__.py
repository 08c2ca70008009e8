"""One FHIR interaction per file."""
