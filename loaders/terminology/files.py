"""Which loader reads a terminology file: by what it is, and by the mapping that is given with it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from loaders.terminology.content import BadFile, Content
from loaders.terminology.loinc import is_loinc, loinc
from loaders.terminology.mapping import Mapping
from loaders.terminology.resources import contents_of
from loaders.terminology.table import map_from, system_from, text_of


def contents(
    path: Path, mapping: Mapping | None = None, version: str | None = None, variant: str = "zhCN"
) -> Iterator[Content]:
    """What the file at ``path`` holds: a table where a ``mapping`` is given, a LOINC zip, or FHIR JSON.

    ``version`` and ``variant`` are for LOINC. Raises BadFile and OSError.
    """
    if mapping is not None:
        text = text_of(_read(path), mapping.values.get("encoding"))
        yield system_from(text, mapping) if mapping.kind == "CodeSystem" else map_from(text, mapping)
    elif is_loinc(path):
        yield loinc(path, version, variant)
    elif path.name.lower().endswith((".json", ".json.gz")):
        yield from contents_of(_read(path))
    else:
        raise BadFile("only FHIR JSON and LOINC zips are read without a mapping (--mapping)")


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error) as error:
        raise BadFile(f"the file is no whole gzip: {error}") from None
