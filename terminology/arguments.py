"""The arguments of terminology operations, by name, as a Parameters resource or a query has them.

https://hl7.org/fhir/R4/parameters.html. Every reader says what is wrong with a value, and where.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from terminology.answer import NO_CODE, Coding, Subject
from terminology.errors import Invalid
from terminology.languages import NO_LANGUAGE, Languages, languages
from terminology.versions import Pins, split_canonical

IGNORED = frozenset({"uuid", "cache-id", "diagnostics", "no-cache", "date", "_format", "_pretty"})
PINNING = frozenset(
    {"system-version", "check-system-version", "force-system-version", "default-valueset-version", "useSupplement"}
)
REPEATED = (PINNING | IGNORED | {"tx-resource", "property", "designation", "exclude-system", "dependency"}) - {"date"}
_DATE = re.compile(
    r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])"
    r"(T([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)(\.[0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?)?)?)?"
)
COMMON = frozenset({"tx-resource", "displayLanguage"}) | PINNING | IGNORED


class Arguments:
    """Named values in their order; a value is text (from a query) or what the JSON holds."""

    def __init__(self, pairs: Iterable[tuple[str, Any]], accept_language: str | None = None) -> None:
        self.pairs = list(pairs)
        self._accept = accept_language

    def check(self, known: frozenset[str], operation: str) -> None:
        """Raise Invalid where there is an argument that the operation does not have, or has only once."""
        seen: set[str] = set()
        for name, value in self.pairs:
            if name not in known and name not in IGNORED:
                raise Invalid(
                    f"${operation} has no parameter '{name}'; it has {', '.join(sorted(known - IGNORED))}",
                    where=_where(name),
                    code="not-supported",
                )
            if name in seen and name not in REPEATED:
                raise Invalid(f"${operation} takes one '{name}', not several", where=_where(name), code="invalid")
            seen.add(name)
            if name == "date" and not (isinstance(value, str) and _DATE.fullmatch(value)):
                raise _wrong(name, "a date, perhaps with a time")

    def all(self, name: str) -> list[Any]:
        """Every value of this name."""
        return [value for key, value in self.pairs if key == name]

    def first(self, *names: str) -> Any:
        """The first value that one of the names has, None without."""
        return next((value for name in names for key, value in self.pairs if key == name), None)

    def text(self, *names: str) -> str | None:
        """A text; '' counts as none."""
        value = self.first(*names)
        if value is None or isinstance(value, str):
            return value or None
        raise _wrong(names[0], "a text")

    def texts(self, name: str) -> list[str]:
        """Every text of this name."""
        values = self.all(name)
        if not all(isinstance(value, str) for value in values):
            raise _wrong(name, "a text")
        return [value for value in values if value]

    def flag(self, name: str) -> bool | None:
        """true or false; None without."""
        value = self.first(name)
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        if value is None:
            return None
        raise _wrong(name, "true or false")

    def whole(self, name: str) -> int | None:
        """A whole number from 0 on; None without."""
        value = self.first(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            return int(value)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise _wrong(name, "a whole number from 0 on")
        return value

    def resource(self, name: str, type: str) -> dict[str, Any] | None:
        """A resource of this type; None without."""
        value = self.first(name)
        if value is None:
            return None
        if not isinstance(value, dict) or value.get("resourceType") != type:
            raise _wrong(name, f"a {type}")
        return value

    def resources(self) -> list[dict[str, Any]]:
        """The definitions that the request brings along (``tx-resource``)."""
        found = self.all("tx-resource")
        for one in found:
            if not isinstance(one, dict) or one.get("resourceType") not in ("CodeSystem", "ValueSet", "ConceptMap"):
                raise _wrong("tx-resource", "a CodeSystem, ValueSet or ConceptMap")
        return found

    def languages(self) -> Languages:
        """What ``displayLanguage`` says, or the header Accept-Language."""
        told = self.text("displayLanguage")
        try:
            return languages(told or self._accept)
        except ValueError as error:
            if told is None:  # whatever a browser sends
                return NO_LANGUAGE
            raise Invalid(f"displayLanguage: {error}", where=_where("displayLanguage"), code="value") from None

    @property
    def language_header(self) -> str | None:
        """The header, where no parameter says otherwise."""
        return self._accept

    def pins(self) -> Pins:
        """The versions that the request asks for."""
        return Pins(
            default=self._pinned("system-version"),
            check=self._pinned("check-system-version"),
            force=self._pinned("force-system-version"),
            valuesets=self._pinned("default-valueset-version"),
        )

    def _pinned(self, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for value in self.texts(name):
            url, version = split_canonical(value)
            if not version:
                raise _wrong(name, "[system]|[version]")
            found[url] = version
        return found

    def supplements(self) -> Sequence[str]:
        """The supplements that the request asks for."""
        return self.texts("useSupplement")

    def coding(self, name: str) -> Coding | None:
        """A Coding; from a query ``system|code``."""
        value = self.first(name)
        if value is None:
            return None
        if isinstance(value, str) and value:
            system, bar, code = value.rpartition("|")
            value = {"system": system, "code": code} if bar and system else {"code": code}
        return _coding(name, value)

    def subject(self, known_system: str | None = None) -> Subject:
        """The code, coding or codeableConcept to validate; ``known_system``: the one that it is of anyway."""
        concept = self.first("codeableConcept")
        if concept is not None:
            if not isinstance(concept, dict) or not isinstance(concept.get("coding", []), list):
                raise _wrong("codeableConcept", "a CodeableConcept")
            codings = tuple(_coding("codeableConcept", one) for one in concept.get("coding", ()))
            if not codings:
                raise Invalid(NO_CODE, tx="", code="invalid")
            return Subject(codings, "codeableConcept", concept, self.flag("inferSystem") is True)
        coding = self.coding("coding")
        if coding is not None:
            return Subject((coding,), "coding", None, False)
        code, system = self.text("code"), self.text("system") or known_system
        infer = self.flag("inferSystem") is True
        if code is None or not (system or infer):
            raise Invalid(NO_CODE, code="invalid")
        version = self.text("systemVersion") or (self.text("version") if known_system is None else None)
        return Subject((Coding(code, system, version, self.text("display")),), "code", None, infer)


def _coding(name: str, value: Any) -> Coding:
    if not isinstance(value, dict) or not isinstance(value.get("code"), str) or not value["code"]:
        raise _wrong(name, "a Coding with a code")
    for element in ("system", "version", "display"):
        if not isinstance(value.get(element), str | None):
            raise _wrong(name, f"a Coding whose {element} is a text")
    return Coding(
        value["code"], value.get("system") or None, value.get("version") or None, value.get("display") or None
    )


def _where(name: str) -> str:
    return f"Parameters.parameter.where(name='{name}')"


def _wrong(name: str, wanted: str) -> Invalid:
    return Invalid(f"The parameter '{name}' must hold {wanted}", where=_where(name), code="value")


def arguments_of(parameters: Any, accept_language: str | None = None) -> Arguments:
    """The arguments in a Parameters resource. Raises Invalid where it is none."""
    parts = parameters.get("parameter", []) if isinstance(parameters, dict) else None
    if not isinstance(parts, list):
        raise Invalid("The parameters are no Parameters resource", code="structure")
    pairs: list[tuple[str, Any]] = []
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise Invalid("Every parameter needs a name", where="Parameters.parameter", code="structure")
        value = part.get("resource")
        if value is None:
            value = next((v for k, v in part.items() if k.startswith("value")), None)
        if value is None and "part" in part:
            value = arguments_of({"parameter": part["part"]})
        pairs.append((part["name"], value))
    return Arguments(pairs, accept_language)
