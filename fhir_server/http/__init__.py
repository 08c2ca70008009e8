"""HTTP: negotiation, conditional headers, errors to OperationOutcome, routing, OpenAPI."""
