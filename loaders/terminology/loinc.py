"""The LOINC release (a zip of its owner) with a linguistic variant to a code system.

https://loinc.org/downloads/, https://terminology.hl7.org/LOINC.html (how LOINC is used in FHIR)
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loaders.terminology.content import BadFile, Raw, SystemContent

URL = "http://loinc.org"
_TABLE = re.compile(r"(?:^|/)LoincTable/Loinc\.csv$|^Loinc\.csv$")
_VERSION = re.compile(r"[Ll]oinc[_-]?(\d+\.\d+)")
_PROPERTIES = (
    "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS", "STATUS", "ORDER_OBS",
    "EXAMPLE_UCUM_UNITS",
)  # fmt: skip
_NAMES = ("SHORTNAME", "DisplayName", "CONSUMER_NAME")
_PARTS = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP")
_INACTIVE = frozenset({"DEPRECATED"})


def is_loinc(path: Path) -> bool:
    """Whether the file is a LOINC release."""
    return zipfile.is_zipfile(path) and any(_TABLE.search(name) for name in zipfile.ZipFile(path).namelist())


def loinc(path: Path, version: str | None = None, variant: str = "zhCN") -> SystemContent:
    """The code system in a LOINC release.

    ``version``: by default as the file's name says (``Loinc_2.77.zip``). ``variant``: language and country of the
    linguistic variant whose names become designations; '' none. Raises BadFile, also while the concepts are read.
    """
    archive = zipfile.ZipFile(path)
    table = next((name for name in archive.namelist() if _TABLE.search(name)), None)
    if table is None:
        raise BadFile("the zip holds no LoincTable/Loinc.csv: it is no LOINC release")
    named = _VERSION.search(path.name)
    version = version or (named[1] if named else None)
    if version is None:
        raise BadFile("the file's name does not say the version of LOINC: give --version")
    names = _variant(archive, variant) if variant else {}
    head = {
        "resourceType": "CodeSystem",
        "url": URL,
        "version": version,
        "name": "LOINC",
        "title": "LOINC",
        "status": "active",
        "language": "en",
        "caseSensitive": False,
        "content": "complete",
        "property": [{"code": code, "uri": f"{URL}/property/{code}", "type": "string"} for code in _PROPERTIES]
        + [{"code": "inactive", "uri": "http://hl7.org/fhir/concept-properties#inactive", "type": "boolean"}],
    }
    language = f"{variant[:2].lower()}-{variant[2:4].upper()}" if len(variant) >= 4 else variant.lower()
    size = archive.getinfo(table).file_size
    return SystemContent(head, _concepts(archive, table, names, language), size // 700)


def _rows(archive: zipfile.ZipFile, name: str) -> Iterator[dict[str, str]]:
    try:
        with archive.open(name) as file:
            yield from csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline=""))
    except (csv.Error, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise BadFile(f"{name} in the zip cannot be read: {error}") from None


def _variant(archive: zipfile.ZipFile, variant: str) -> dict[str, tuple[str, ...]]:
    """By code the names of the linguistic variant; {} where the release has none such."""
    pattern = re.compile(rf"(?:^|/)LinguisticVariants?/{re.escape(variant)}\d*LinguisticVariant\.csv$")
    name = next((one for one in archive.namelist() if pattern.search(one)), None)
    if name is None:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for row in _rows(archive, name):
        parts = ":".join(text for part in _PARTS if (text := (row.get(part) or "").strip()))
        told = (row.get("LinguisticVariantDisplayName"), row.get("LONG_COMMON_NAME"), row.get("SHORTNAME"), parts)
        names = tuple(dict.fromkeys(text.strip() for text in told if text and text.strip()))
        if names and row.get("LOINC_NUM"):
            found[row["LOINC_NUM"]] = names
    return found


def _concepts(archive: zipfile.ZipFile, table: str, names: dict[str, tuple[str, ...]], language: str) -> Iterator[Raw]:
    for number, row in enumerate(_rows(archive, table), 2):
        code = (row.get("LOINC_NUM") or "").strip()
        if not code:
            raise BadFile(f"line {number} of {table}: LOINC_NUM is missing")
        display = (row.get("LONG_COMMON_NAME") or row.get("SHORTNAME") or code).strip()
        designations: list[dict[str, Any]] = [{"language": language, "value": text} for text in names.get(code, ())]
        for column in _NAMES:
            text = (row.get(column) or "").strip()
            if text and text != display:
                designations.append({"language": "en", "use": {"system": URL, "code": column}, "value": text})
        properties: list[dict[str, Any]] = [
            {"code": column, "valueString": text} for column in _PROPERTIES if (text := (row.get(column) or "").strip())
        ]
        if (row.get("STATUS") or "") in _INACTIVE:
            properties.append({"code": "inactive", "valueBoolean": True})
        concept: dict[str, Any] = {"code": code, "display": display, "property": properties}
        if designations:
            concept["designation"] = designations
        yield concept
