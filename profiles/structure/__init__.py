"""Structural validation of R4 resources: ``Validator(definitions).check(resource)``."""

from profiles.structure.validator import Validator

__all__ = ["Validator"]
