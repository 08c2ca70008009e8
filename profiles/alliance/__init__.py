"""The alliance's own implementation guide: profiles, extensions, terminology, search parameters and examples.

https://hl7.org/fhir/R4/profiling.html. What it says is in ``data/*.json``, one table for each field; ``build`` makes
FHIR resources of them. The pages that show them are made from ``tables``.

>>> guide()                                    # Guide: everything, made once
>>> resources()                                # its conformance resources, as a server loads them
"""

from __future__ import annotations

from profiles.alliance.build import VERSION, Guide, guide, resources
from profiles.alliance.examples import Example, Failing, examples

__all__ = ["VERSION", "Example", "Failing", "Guide", "examples", "guide", "resources"]
