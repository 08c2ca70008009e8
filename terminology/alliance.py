"""The small lists of the alliance, shipped with the server: laboratory items, imaging types, ECG findings and more.

What county hospitals order and find every day, kept as FHIR resources in ``data/alliance``.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from terminology.registry import Resources


@cache
def alliance() -> Resources:
    """The layer, read once per process."""
    folder = files("terminology").joinpath("data", "alliance")
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".json"))
    return Resources([msgspec.json.decode(folder.joinpath(name).read_bytes()) for name in names])
