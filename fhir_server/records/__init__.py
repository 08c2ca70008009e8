"""The person index: one person, one Patient, one health code."""
