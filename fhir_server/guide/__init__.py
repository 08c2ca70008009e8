"""The alliance's guide as the server offers it: pages at ``/guide`` for people, definitions in the records for FHIR."""
