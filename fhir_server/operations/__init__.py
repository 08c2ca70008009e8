"""One FHIR operation per file."""
