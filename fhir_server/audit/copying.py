"""A copy of the chain elsewhere, also while a server appends: each time what is new is added to it.

What the copy has already is compared by its end, so a copy of another chain, or of one that was made anew, is refused.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fhir_server.audit import anchors
from fhir_server.audit.chain import HEAD, Broken, Head, Walk, arriving_path, segment_path, segments
from fhir_server.audit.verify import nobody_writing, tail

_PIECE = 1 << 20


def copy(folder: Path, target: Path) -> tuple[int, bytes]:
    """Bring the copy in ``target`` up to the chain in ``folder``; number and hash of its last entry.

    Raises Broken where the copy is of another chain, or either is damaged.
    """
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = segments(target)
    last = known[-1] if known else 0
    for first in segments(folder):
        if first >= last:
            _bring_up(folder, target, first, was_there=first == last)
    file = folder / anchors.FILE
    if file.exists():
        shutil.copyfile(file, target / anchors.FILE)
    return tail(target)


def _bring_up(folder: Path, target: Path, first: int, was_there: bool) -> None:
    path, arriving = segment_path(target, first), arriving_path(target, first)
    source = os.open(segment_path(folder, first), os.O_RDONLY)
    try:
        with nobody_writing(folder):  # no half entry at its end
            end = _end(source)
            with arriving.open("wb") as out:
                for offset in range(0, end, _PIECE):
                    out.write(os.pread(source, min(_PIECE, end - offset), offset))
                out.flush()
                os.fsync(out.fileno())
        if was_there and not _begins_with(arriving, path):
            raise Broken(f"{path} is not a copy of this chain")
        arriving.replace(path)
    finally:
        os.close(source)
        arriving.unlink(missing_ok=True)


def _end(descriptor: int) -> int:
    """Where the entries of a segment end (with the mark that it goes on)."""
    walk = Walk(descriptor, Head.decode(os.pread(descriptor, HEAD, 0)), thorough=False)
    for _ in walk:
        pass
    if walk.ended == "damaged":
        raise Broken(walk.why)
    return os.fstat(descriptor).st_size if walk.ended == "continued" else walk.offset


def _begins_with(longer: Path, shorter: Path) -> bool:
    with longer.open("rb") as one, shorter.open("rb") as other:
        while piece := other.read(_PIECE):
            if one.read(len(piece)) != piece:
                return False
    return True
