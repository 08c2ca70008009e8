"""Code systems whose codes follow a grammar: UCUM, language tags, media types, currencies, MIME, URIs.

Their codes are recognised, not listed: the lists belong to their owners.
https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from terminology import ucum
from terminology.concepts import CodeSystem, Concept, SystemInfo

# RFC 5646 section 2.1, without the grandfathered tags.
_TAG = re.compile(
    r"(?:[A-Za-z]{2,3}(?:-[A-Za-z]{3}){0,3}|[A-Za-z]{4}|[A-Za-z]{5,8})(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|\d{3}))?"
    r"(?:-(?:[A-Za-z0-9]{5,8}|\d[A-Za-z0-9]{3}))*(?:-[A-WY-Za-wy-z0-9](?:-[A-Za-z0-9]{2,8})+)*"
    r"(?:-[Xx](?:-[A-Za-z0-9]{1,8})+)?|[Xx](?:-[A-Za-z0-9]{1,8})+"
)
# RFC 6838 section 4.2; FHIR allows parameters behind it (its examples have a blank in one), and three words for its
# formats: https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.format
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]{0,126}"
_MEDIA = re.compile(rf"{_NAME}/{_NAME}(?:\s*;\s*{_NAME}=(?:[^;\"]+|\"[^\"]*\"))*|xml|json|ttl")
_CURRENCY = re.compile(r"[A-Z]{3}")
_COUNTRY = re.compile(r"[A-Z]{2}|[A-Z]{3}|\d{3}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_ANNOTATION = re.compile(r"(?:\{[!-z|~]*\})")


def _is_unit(code: str) -> bool:
    """Whether UCUM can read the code: units that are converted, bare annotations, and those without a linear scale."""
    if not code or not code.isascii() or " " in code:
        return False
    if ucum.canonical(code) is not None or code in ("[pH]", "1"):
        return True
    bare = _ANNOTATION.sub("", code)
    if bare != code and (not bare or ucum.canonical(bare) is not None):
        return True
    return ucum.readable(code)


class GrammarSystem(CodeSystem):
    """A code system whose codes a test recognises. A fresh concept is made for each; it has no display."""

    def __init__(self, info: SystemInfo, known: Callable[[str], bool]) -> None:
        self.info = info
        self._known = known

    @property
    def listed(self) -> bool:
        """Whether its concepts can be enumerated."""
        return False

    @property
    def size(self) -> int:
        """How many concepts are known."""
        return 0

    def find(self, code: str) -> Concept | None:
        """The concept of this code."""
        return Concept(code) if len(code) <= 255 and self._known(code) else None

    def at(self, ordinals: Sequence[int]) -> list[Concept]:
        """The concepts at these places."""
        return []

    def parents(self, ordinal: int) -> Sequence[int]:
        """The places of the parents."""
        return ()

    def children(self, ordinal: int) -> Sequence[int]:
        """The places of the children."""
        return ()

    def search(self, text: str) -> list[int]:
        """The places of what the text finds."""
        return []

    def holders(self, property: str, value: str | None) -> set[int]:
        """The places of concepts with this value of the property."""
        return set()


def _matching(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda code: pattern.fullmatch(code) is not None


def _system(url: str, name: str, known: Callable[[str], bool]) -> GrammarSystem:
    return GrammarSystem(SystemInfo(url, name=name, title=name, content="not-present"), known)


GRAMMARS: tuple[GrammarSystem, ...] = (
    _system(ucum.SYSTEM, "UCUM", _is_unit),
    _system("urn:ietf:bcp:47", "BCP47", _matching(_TAG)),
    _system("urn:ietf:bcp:13", "BCP13", _matching(_MEDIA)),
    _system("urn:iso:std:iso:4217", "ISO4217", _matching(_CURRENCY)),
    _system("urn:iso:std:iso:3166", "ISO3166", _matching(_COUNTRY)),
    _system("urn:ietf:rfc:3986", "URIs", _matching(_URI)),
)
