"""The FHIR R4 server: wires the pure packages to HTTP and the store."""
