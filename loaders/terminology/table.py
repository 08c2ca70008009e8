"""Tables (CSV, TSV) by a mapping to code systems and concept maps.

https://www.rfc-editor.org/rfc/rfc4180. Codes are taken as they stand: ``I10.x00x002`` keeps its ``x``; a hierarchy is
only what a column (or the mapping, by lengths of codes) says.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from loaders.terminology.content import BadFile, MapContent, Mapped, Raw, SystemContent
from loaders.terminology.mapping import Mapping, names_of

_ENCODINGS = ("utf-8-sig", "gb18030")
_EQUIVALENCES = frozenset(
    {
        "relatedto", "equivalent", "equal", "wider", "subsumes", "narrower", "specializes", "inexact", "unmatched",
        "disjoint",
    }
)  # fmt: skip
_HEAD = ("url", "version", "name", "title", "status", "description", "copyright", "publisher")
_VALUE = {"string": "valueString", "code": "valueCode", "integer": "valueInteger", "boolean": "valueBoolean"}
_VALUE |= {"decimal": "valueDecimal", "dateTime": "valueDateTime"}
_TRUE = frozenset({"1", "true", "yes", "y", "是", "√"})
csv.field_size_limit(10_000_000)

Row = Sequence[str]
Read = Callable[[Row], str]


def text_of(content: bytes, encoding: str | None) -> str:
    """The text of a file: in the encoding given, or UTF-8, or GB 18030. Raises BadFile."""
    for name in (encoding,) if encoding else _ENCODINGS:
        try:
            return content.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    raise BadFile(f"the file is not in {encoding or ' or '.join(_ENCODINGS)}")


class _Table:
    """The rows of a table, and its columns by name."""

    def __init__(self, text: str, delimiter: str | None) -> None:
        first = text.partition("\n")[0]
        chosen = delimiter or max((",", "\t", ";", "|"), key=first.count)
        if len(chosen) != 1:
            raise BadFile(f"a delimiter is one character, not {chosen!r}")
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=chosen, strict=True)
        try:
            header = next(self._reader, None)
        except csv.Error as error:
            raise BadFile(f"line 1, the header: {error}") from None
        if not header:
            raise BadFile("the file is empty")
        if len(header) == 1 and header[0].lstrip().startswith(("{", "[")):
            raise BadFile("the file is JSON; a mapping is for tables (CSV, TSV)")
        self.names = [" ".join(name.split()) for name in header]
        self._places = {name.casefold(): n for n, name in reversed(list(enumerate(self.names)))}
        self.lines = text.count("\n")

    def column(self, names: Sequence[str], what: str) -> Read:
        """Reads the column that has one of these names. Raises BadFile where there is none."""
        for name in names:
            place = self._places.get(" ".join(name.split()).casefold())
            if place is not None:
                return lambda row, n=place: row[n].strip() if n < len(row) else ""  # type: ignore[misc]
        raise BadFile(f"there is no column for {what} ({' or '.join(names)}); the file has {', '.join(self.names)}")

    def optional(self, names: Sequence[str], what: str) -> Read:
        """The same, where a mapping may have none: then empty texts."""
        return self.column(names, what) if names else lambda row: ""

    def lenient(self, names: Sequence[str]) -> Read | None:
        """The same, where a file may have none of the names: then None."""
        try:
            return self.column(names, "") if names else None
        except BadFile:
            return None

    def rows(self) -> Iterator[tuple[int, Row]]:
        """(line, cells) of every row that is not empty. Raises BadFile, also where there is none."""
        none = True
        try:
            for row in self._reader:
                if any(cell.strip() for cell in row):
                    none = False
                    yield self._reader.line_num, row
        except csv.Error as error:
            raise BadFile(f"line {self._reader.line_num}: {error}") from None
        if none:
            raise BadFile("the file has a header, but no rows")


def system_from(text: str, mapping: Mapping) -> SystemContent:
    """The code system that a table holds. Raises BadFile, also while the concepts are read."""
    table = _Table(text, mapping.values.get("delimiter"))
    values = mapping.values
    properties = [_property(one) for one in values.get("property", ())]
    head: dict[str, Any] = {
        "resourceType": "CodeSystem",
        **{key: values[key] for key in _HEAD if key in values},
        "status": values.get("status", "active"),
        "caseSensitive": values.get("caseSensitive", True),
        "content": values.get("content", "complete"),
    }
    for key in ("language", "hierarchyMeaning", "valueSet"):
        if key in values:
            head[key] = values[key]
    head["property"] = [
        {"code": code, **({"uri": uri} if uri else {}), "type": type} for code, type, uri, _ in properties
    ]
    if "inactive" in values:
        uri = "http://hl7.org/fhir/concept-properties#inactive"
        head["property"].append({"code": "inactive", "uri": uri, "type": "boolean"})
    return SystemContent(head, _concepts(table, mapping, properties), table.lines)


_Property = tuple[str, str, str, tuple[str, ...]]  # code, type, uri, columns


def _property(one: Any) -> _Property:
    if not isinstance(one, dict) or not isinstance(one.get("code"), str):
        raise BadFile("each property of a mapping has a code and a column")
    type = one.get("type", "string")
    if type not in _VALUE:
        raise BadFile(f"the property '{one['code']}' has the type {type!r}; there are {', '.join(_VALUE)}")
    return one["code"], type, one.get("uri", ""), names_of(one.get("column"))


def _concepts(table: _Table, mapping: Mapping, properties: Sequence[_Property]) -> Iterator[Raw]:
    values = mapping.values
    code, display = table.column(mapping.columns("code"), "code"), table.optional(mapping.columns("display"), "display")
    definition = table.lenient(mapping.columns("definition")) or (lambda row: "")
    parent = table.lenient(mapping.columns("parent")) or (lambda row: "")
    shown = [(one, table.lenient(names_of(one.get("column")))) for one in values.get("designation", ())]
    told = [(name, type, read) for name, type, _, columns in properties if (read := table.lenient(columns)) is not None]
    inactive = _inactive(table, values.get("inactive"))
    lengths = sorted(values.get("parentLengths", ()), reverse=True)
    seen: dict[str, int] = {}
    for line, row in table.rows():
        concept: dict[str, Any] = {"code": code(row)}
        if not concept["code"]:
            raise BadFile(f"line {line}: the code is missing")
        if concept["code"] in seen:
            raise BadFile(f"line {line}: the code '{concept['code']}' was in line {seen[concept['code']]} already")
        seen[concept["code"]] = line
        for key, text in (("display", display(row)), ("definition", definition(row))):
            if text:
                concept[key] = text
        names = [_designation(one, text) for one, read in shown if read is not None and (text := read(row))]
        if names:
            concept["designation"] = names
        of = [_told(name, type, text, line) for name, type, read in told if (text := read(row))]
        if inactive(row):
            of.append({"code": "inactive", "valueBoolean": True})
        if of:
            concept["property"] = of
        above = parent(row) or next((concept["code"][:n] for n in lengths if n < len(concept["code"])), "")
        if above and above != concept["code"]:
            concept["parents"] = [above]
        yield concept


def _designation(one: Raw, text: str) -> Raw:
    found: dict[str, Any] = {key: one[key] for key in ("language", "use") if key in one}
    return {**found, "value": text}


def _told(code: str, type: str, text: str, line: int) -> Raw:
    try:
        match type:
            case "integer":
                return {"code": code, "valueInteger": int(text)}
            case "decimal":
                return {"code": code, "valueDecimal": float(text)}
            case "boolean":
                return {"code": code, "valueBoolean": text.casefold() in _TRUE}
    except ValueError:
        raise BadFile(f"line {line}: the property '{code}' is no {type}: '{text}'") from None
    return {"code": code, _VALUE[type]: text}


def _inactive(table: _Table, told: Any) -> Callable[[Row], bool]:
    if told is None:
        return lambda row: False
    if not isinstance(told, dict) or not isinstance(told.get("values"), list):
        raise BadFile("'inactive' of a mapping has a column and the values that mean inactive")
    read = table.lenient(names_of(told.get("column")))
    wanted = {str(value) for value in told["values"]}
    return lambda row: read is not None and read(row) in wanted


def map_from(text: str, mapping: Mapping) -> MapContent:
    """The concept map that a table holds. Raises BadFile, also while the mappings are read."""
    table = _Table(text, mapping.values.get("delimiter"))
    values = mapping.values
    head: dict[str, Any] = {
        "resourceType": "ConceptMap",
        **{key: values[key] for key in _HEAD if key in values},
        "status": values.get("status", "active"),
    }
    for key, element in (("sourceScope", "sourceUri"), ("targetScope", "targetUri")):
        if key in values:
            head[element] = values[key]
    ends = ("source", "sourceVersion", "target", "targetVersion")
    group = {key: values[key] for key in ends if key in values}
    return MapContent(head, [(group, _mappings(table, mapping))])


def _mappings(table: _Table, mapping: Mapping) -> Iterator[Mapped]:
    source = table.column(mapping.columns("sourceCode"), "the source's code")
    target = table.column(mapping.columns("targetCode"), "the target's code")
    shown, display = table.lenient(mapping.columns("sourceDisplay")), table.lenient(mapping.columns("targetDisplay"))
    comment = table.lenient(mapping.columns("comment"))
    told = mapping.columns("equivalence")
    fixed = told[0] if len(told) == 1 and told[0] in _EQUIVALENCES else None
    equivalence = table.lenient(told) if fixed is None else None
    for line, row in table.rows():
        code, to = source(row), target(row)
        if not code:
            raise BadFile(f"line {line}: the source's code is missing")
        how = (equivalence(row) if equivalence is not None else fixed) or ("equivalent" if to else "unmatched")
        if how not in _EQUIVALENCES:
            raise BadFile(f"line {line}: '{how}' is no equivalence; there are {', '.join(sorted(_EQUIVALENCES))}")
        found: dict[str, Any] = {"equivalence": how, **({"code": to} if to else {})}
        for key, read in (("display", display), ("comment", comment)):
            if read is not None and (text := read(row)):
                found[key] = text
        yield code, (shown(row) or None) if shown is not None else None, found
