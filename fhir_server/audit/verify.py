"""Verification of the chain: that nothing was removed, altered, inserted, reordered or cut off.

Every entry is hashed again from the first segment on. What the chain cannot know by itself, that its end or the
whole was replaced, is told by anchors, which were written elsewhere.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fhir_server.audit.anchors import Anchor
from fhir_server.audit.chain import GENESIS, HEAD, Broken, Entry, Head, Walk, arriving_path, segment_path, segments
from fhir_server.audit.event import decode
from fhir_server.audit.retention import cut_of


@dataclass(slots=True)
class Verdict:
    """What was found. ``problems``: one sentence each, none when the chain is whole."""

    problems: list[str]
    first: int = 0
    last: int = 0
    entries: int = 0
    hash: str = ""


def verify(folder: Path, anchors: Iterable[Anchor] = (), anchor_key: bytes = b"") -> Verdict:
    """Verify the chain in ``folder`` (the data folder's ``audit``) up to its end when this is called."""
    verdict = Verdict([])
    expected = _expected(anchors, anchor_key, verdict)
    cuts: list[tuple[int, str]] = []
    for entry in _walk(folder, verdict):
        verdict.entries += 1
        verdict.last, verdict.hash = entry.seq, entry.hash.hex()
        for hash in expected.pop(entry.seq, ()):
            if hash != entry.hash.hex():
                verdict.problems.append(f"entry {entry.seq} is not the one that was anchored: history was rewritten")
        try:
            event = decode(entry.body)
        except ValueError:
            verdict.problems.append(f"entry {entry.seq} holds no event")
            continue
        if event.code == "set-aside":
            verdict.problems.append(
                f"entry {entry.seq}: what followed entry {entry.seq - 1} could not be read and was set aside in "
                f"{event.detail}; after a power failure nobody was answered on it, otherwise somebody altered the file"
            )
        if event.code == "prune" and (cut := cut_of(event)) is not None:
            cuts.append(cut)
    _check_beginning(folder, verdict, cuts)
    for seq in sorted(expected):
        if seq > verdict.last:
            verdict.problems.append(f"entry {seq} was anchored and is not there: the end of the chain was cut off")
    return verdict


def _expected(anchors: Iterable[Anchor], key: bytes, verdict: Verdict) -> dict[int, set[str]]:
    expected: dict[int, set[str]] = {}
    for anchor in anchors:
        if anchor.time and not anchor.genuine(key):
            verdict.problems.append(f"the anchor of entry {anchor.seq} was not signed by this server")
        else:
            expected.setdefault(anchor.seq, set()).add(anchor.hash)
    return expected


def _walk(folder: Path, verdict: Verdict) -> Iterator[Entry]:
    """The entries of all segments; what is wrong goes to the verdict."""
    found = segments(folder)
    if not found:
        verdict.problems.append(f"there is no audit chain in {folder}")
        return
    seq, hash, ended = found[0] - 1, b"", "continued"
    while found:
        first = found.pop(0)
        descriptor = os.open(segment_path(folder, first), os.O_RDONLY)
        try:
            head = Head.decode(os.pread(descriptor, HEAD, 0))
            if not verdict.first:
                verdict.first, hash = head.first, head.before
            if head.first != first or head.first != seq + 1 or head.before != hash:
                verdict.problems.append(
                    f"segment {first} does not follow on entry {seq}: entries between them were removed or replaced"
                )
            elif ended != "continued":
                verdict.problems.append(f"the segment before {first} does not say that the chain goes on")
            walk = Walk(descriptor, head, thorough=False)
            yield from walk
            with nobody_writing(folder):
                walk = Walk(descriptor, head, walk.offset, walk.seq, walk.hash)
                yield from walk
            seq, hash, ended = walk.seq, walk.hash, walk.ended
            if ended == "damaged":
                verdict.problems.append(f"segment {first}: {walk.why}")
        except Broken as broken:
            ended = "damaged"
            verdict.problems.append(f"segment {first}: {broken}")
        finally:
            os.close(descriptor)
        if not found and ended == "continued" and segment_path(folder, seq + 1).exists():
            found = [seq + 1]  # begun meanwhile
    if ended == "continued" and not _arriving(folder, seq + 1, hash):
        verdict.problems.append(f"the segment that begins with entry {seq + 1} is not there")


def _arriving(folder: Path, first: int, before: bytes) -> bool:
    """Whether the segment ``first`` was about to come when its writer was killed."""
    try:
        head = Head.decode(arriving_path(folder, first).read_bytes()[:HEAD])
    except (OSError, Broken):
        return False
    return head.first == first and head.before == before


@contextmanager
def nobody_writing(folder: Path) -> Iterator[None]:
    """While a server appends, its last entry may be half there; not while this holds the lock."""
    try:
        lock = os.open(folder / "chain.lock", os.O_RDONLY)
    except OSError:  # a copy of the chain, which nobody writes
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


def _check_beginning(folder: Path, verdict: Verdict, cuts: list[tuple[int, str]]) -> None:
    """That the chain begins with entry 1, or where a recorded pruning cut it."""
    found = segments(folder)
    if not found:
        return
    first = found[0]
    with segment_path(folder, first).open("rb") as file:
        try:
            before = Head.decode(file.read(HEAD)).before
        except Broken:
            return  # told already
    if first == 1:
        if before != GENESIS:
            verdict.problems.append("the first segment does not begin the chain")
    elif (first - 1, before.hex()) not in cuts:
        verdict.problems.append(f"the entries before {first} are not there, and no pruning is on record that cut them")


def tail(folder: Path) -> tuple[int, bytes]:
    """Number and hash of the last entry of the chain in ``folder``. Raises Broken."""
    first = segments(folder)[-1]
    descriptor = os.open(segment_path(folder, first), os.O_RDONLY)
    try:
        walk = Walk(descriptor, Head.decode(os.pread(descriptor, HEAD, 0)))
        for _ in walk:
            pass
        return walk.seq, walk.hash
    finally:
        os.close(descriptor)
