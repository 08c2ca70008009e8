"""Retention: whole old segments are removed; an entry of the chain tells up to which entry, and its hash.

Records of sharing and consent are kept at least 3 years (PIPL art. 56, 网络数据安全管理条例 art. 12), logs at least 6
months (网络安全法): as one chain holds both, never less than 3 years. The default is 10.
"""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

from fhir_server.audit.chain import HEAD, Head, segment_path, segments
from fhir_server.audit.event import LOCAL, Event, encode
from fhir_server.audit.index import Index
from fhir_server.audit.trail import Trail

LEAST_YEARS, DEFAULT_YEARS = 3, 10
_YEAR = 366 * 24 * 3600 * 1_000_000  # µs


def cut_of(event: Event) -> tuple[int, str] | None:
    """Number and hash (hex) of the last entry that a pruning removed, told by its event."""
    try:
        told = json.loads(event.detail)
        return int(told["upto"]), str(told["hash"])
    except (ValueError, KeyError, TypeError):
        return None


def prune(trail: Trail, index: Index, years: int, now: int) -> int:
    """Remove the segments whose newest entry is older than ``years``; up to which entry (0: nothing).

    The cut is on record before anything is removed. Raises ValueError for less than 3 years.
    """
    if years < LEAST_YEARS:
        raise ValueError(f"records of sharing must be kept {LEAST_YEARS} years at least, not {years}")
    found = segments(trail.folder)
    keep = None
    for first, following in pairwise(found):
        head = _head(trail.folder, following)
        if head.made > now - years * _YEAR:  # its predecessor's last entry is as young as that
            break
        keep = (first, head)
    if keep is None:
        return 0
    _, head = keep
    upto = head.first - 1
    detail = json.dumps({"upto": upto, "hash": head.before.hex(), "years": years})
    trail.append_now([encode(Event(now, "prune", "E", who=LOCAL, detail=detail))])
    for first in found:
        if first < head.first:
            os.unlink(segment_path(trail.folder, first))
    index.catch_up()
    index.forget(head.first)
    return upto


def _head(folder: Path, first: int) -> Head:
    with segment_path(folder, first).open("rb") as file:
        return Head.decode(file.read(HEAD))
