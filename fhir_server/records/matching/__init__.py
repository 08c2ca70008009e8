"""Whether two Patient resources are one person: pure functions, calibrated on a generated population."""
