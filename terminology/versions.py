"""Versions of canonical resources: which fit a request, and which is the latest.

https://hl7.org/fhir/R4/references.html#canonical. A wildcard segment (``1.0.x``, ``1.*``) fits any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PARTS = re.compile(r"(-?)(\d+|[^\d.\-_+]+)")
_BEFORE, _END, _TEXT, _NUMBER = range(4)  # how the parts of versions sort: 1.2-beta, 1.2, 1.2a, 1.2.1
_WILD = frozenset({"x", "X", "*"})


def split_canonical(canonical: str) -> tuple[str, str | None]:
    """``url|version`` as its two parts; None without version."""
    url, bar, version = canonical.partition("|")
    return url, version if bar and version else None


def joined(url: str, version: str | None) -> str:
    """``url|version``, or ``url`` alone."""
    return f"{url}|{version}" if version else url


def is_pattern(version: str) -> bool:
    """Whether a segment of the version is a wildcard."""
    return any(part in _WILD for part in version.split("."))


def fits(pattern: str, version: str | None) -> bool:
    """Whether ``version`` is ``pattern``, or fits its wildcards."""
    if pattern == version:
        return True
    if version is None or not is_pattern(pattern):
        return False
    wanted, given = pattern.split("."), version.split(".")
    if wanted[-1] == "*" and len(given) > len(wanted):
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in _WILD or w == g for w, g in zip(wanted, given, strict=True))


def age(version: str | None) -> tuple[tuple[int, int, str], ...]:
    """A key by which later versions sort higher: numbers as numbers, ``-beta`` before its release; none before all."""
    if version is None:
        return ()
    parts = [
        (_NUMBER, int(part), "") if part.isdecimal() else (_BEFORE if hyphen else _TEXT, 0, part)
        for hyphen, part in _PARTS.findall(version)
    ]
    return (*parts, (_END, 0, ""))


def chosen(versions: Iterable[str | None], wanted: str | None) -> tuple[bool, str | None]:
    """Whether there is a fitting version, and the latest of those; ``wanted`` None: any."""
    fitting = [v for v in versions if wanted is None or fits(wanted, v)]
    return (True, max(fitting, key=age)) if fitting else (False, None)


@dataclass(frozen=True, slots=True)
class Pins:
    """Versions that a request asks for, by URL: of code systems by default, to be checked, in any case; of value sets.

    ``system-version``, ``check-system-version``, ``force-system-version`` and ``default-valueset-version``.
    """

    default: Mapping[str, str] = field(default_factory=dict)
    check: Mapping[str, str] = field(default_factory=dict)
    force: Mapping[str, str] = field(default_factory=dict)
    valuesets: Mapping[str, str] = field(default_factory=dict)

    def of_system(self, url: str, version: str | None) -> str | None:
        """The version that an include of ``url`` with ``version`` means under these pins."""
        if url in self.force:
            return self.force[url]
        return version or self.default.get(url) or self.check.get(url)


NO_PINS = Pins()
