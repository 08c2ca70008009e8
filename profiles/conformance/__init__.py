"""Validation against profiles: ``ProfileSet`` is all that callers need.

https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/validation.html

>>> profiles = ProfileSet.load(resources)          # StructureDefinitions, ValueSets, CodeSystems as parsed JSON
>>> profiles.snapshot(url)                         # StructureDefinition with a snapshot, generated where missing
>>> profiles.check(resource, [url, …])             # list[Issue]: structure, rules of R4, claimed and named profiles
>>> profiles.check(resource, [url], Options(resolve=find, unknown_extensions="error"))

R4's own profiles and extensions are always there. Where a differential cannot be applied, ``snapshot`` raises
SnapshotError, and ``check`` says so in an issue. ``Bindings`` is what profiles ask of terminology; ``Codes`` answers
from the code systems among the resources and those of a terminology (default: R4's own).
"""

from profiles.conformance.bindings import VALID, Bindings, Verdict
from profiles.conformance.codes import Codes
from profiles.conformance.profile_set import ProfileSet
from profiles.conformance.run import Options
from profiles.conformance.snapshot import SnapshotError

__all__ = ["VALID", "Bindings", "Codes", "Options", "ProfileSet", "SnapshotError", "Verdict"]
