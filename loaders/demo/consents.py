"""What a resident consents to."""

from __future__ import annotations

from loaders.demo.draft import Draft
from loaders.demo.people import Person


def given(draft: Draft, guardians: list[Person]) -> None:
    """The consents of the file."""
