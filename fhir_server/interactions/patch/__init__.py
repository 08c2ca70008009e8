"""The two patch formats of FHIR as pure functions on resources: JSON Patch and FHIRPath Patch."""
