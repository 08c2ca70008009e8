"""Foreign formats to FHIR resources and Bundles (pure; knows no HTTP and no store)."""
