"""NDJSON: one FHIR resource a line, as Bulk Data exports it, plain or gzipped.

https://hl7.org/fhir/R4/nd-json.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, text) of each line that is not empty; works on files of any size."""
    for number, line in enumerate(file, 1):
        text = line.strip()
        if text:
            yield number, text
