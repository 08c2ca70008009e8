"""The chain on disk: segment files of entries, each sealed with a hash over the one before it.

A segment is a head (magic, algorithm, first number, hash of the entry before, time; and a hash over these) and
entries: length (4 bytes), number (8), body, hash. ``hash = H(hash before, length, number, body)``. Zeros
follow the last entry, as files grow ahead of it (a file that does not grow is synced with half the writes);
a length of all ones says that the chain goes on in the next segment, named by its first number.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MAGIC = b"yidang-1"
HASH = 32
GENESIS = bytes(HASH)
_HEAD = struct.Struct(">8s8sQ32sQ")
HEAD = _HEAD.size + HASH
_FRAME = struct.Struct(">IQ")
FRAME = _FRAME.size
CONTINUED = 0xFFFFFFFF
BODY_MAX = 64 * 1024 * 1024
SUFFIX = ".chain"
_READ = 1 << 20

Digest = Callable[[bytes], bytes]


def _sm3(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# GB/T 32905-2016 (SM3) where commercial cryptography is demanded.
DIGESTS: dict[str, Digest] = {"sha256": _sha256, "sm3": _sm3}


class Broken(ValueError):
    """The chain is not what was written."""


class Entry(NamedTuple):
    """One entry: its number, body, hash, and where it stands (segment's first number, offset)."""

    seq: int
    body: bytes
    hash: bytes
    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a segment. ``before`` is the hash of entry ``first - 1``; ``made`` in microseconds."""

    algorithm: str
    first: int
    before: bytes
    made: int

    def encode(self) -> bytes:
        """Its bytes."""
        head = _HEAD.pack(MAGIC, self.algorithm.encode().ljust(8, b"\0"), self.first, self.before, self.made)
        return head + DIGESTS[self.algorithm](head)

    @staticmethod
    def decode(data: bytes) -> Head:
        """The head. Raises Broken."""
        if len(data) < HEAD:
            raise Broken("the head of the file is cut short")
        magic, name, first, before, made = _HEAD.unpack_from(data)
        algorithm = name.rstrip(b"\0").decode("ascii", "replace")
        if magic != MAGIC or algorithm not in DIGESTS:
            raise Broken("this is no file of the audit chain, or its head was altered")
        if DIGESTS[algorithm](data[: _HEAD.size]) != data[_HEAD.size : HEAD]:
            raise Broken("the head of the file was altered")
        return Head(algorithm, first, before, made)


def sealed(digest: Digest, before: bytes, seq: int, body: bytes) -> tuple[bytes, bytes]:
    """An entry's bytes and its hash."""
    framed = _FRAME.pack(len(body), seq) + body
    hash = digest(before + framed)
    return framed + hash, hash


def segment_path(folder: Path, first: int) -> Path:
    """The file of the segment that begins with this number."""
    return folder / f"{first:016d}{SUFFIX}"


def arriving_path(folder: Path, first: int) -> Path:
    """The segment that begins with this number while it is being made: it is there before its predecessor's mark is."""
    return segment_path(folder, first).with_suffix(".new")


def segments(folder: Path) -> list[int]:
    """The first numbers of the segments in ``folder``, ascending."""
    return sorted(int(path.stem) for path in folder.glob("*" + SUFFIX) if path.stem.isdigit())


class Walk:
    """Reads the entries of one segment in order and verifies each.

    After the last one, ``offset``, ``seq`` and ``hash`` are those of the tail, and ``ended`` says how it
    ended: 'open' (zeros follow), 'continued', or 'damaged' (``why`` tells).
    """

    def __init__(
        self,
        descriptor: int,
        head: Head,
        offset: int = HEAD,
        seq: int = -1,
        hash: bytes = b"",
        piece: int = _READ,
        thorough: bool = True,
    ) -> None:
        self._descriptor = descriptor
        self._piece = piece  # bytes read at a time
        self._thorough = thorough  # look whether there are only zeros behind the last entry
        self._digest = DIGESTS[head.algorithm]
        self._segment = head.first
        self.offset = offset
        self.seq = head.first - 1 if seq < 0 else seq  # the last entry that was read
        self.hash = hash or head.before
        self.ended = ""
        self.why = ""

    def __iter__(self) -> Iterator[Entry]:
        buffer, base = b"", self.offset
        while True:
            at = self.offset - base
            if len(buffer) - at < FRAME:
                buffer, base, at = os.pread(self._descriptor, self._piece, self.offset), self.offset, 0
            frame = buffer[at : at + FRAME].ljust(FRAME, b"\0")  # a segment ends with the four bytes of the mark
            length, seq = _FRAME.unpack(frame)
            if length == 0 or length == CONTINUED:
                self._end(length)
                return
            end = at + FRAME + length + HASH
            if length <= BODY_MAX and len(buffer) < end:
                size = max(FRAME + length + HASH, self._piece)
                buffer, base = os.pread(self._descriptor, size, self.offset), self.offset
                at, end = 0, FRAME + length + HASH
            if length > BODY_MAX or len(buffer) < end:
                self._damaged(f"entry {self.seq + 1} is cut short")
                return
            hash = buffer[end - HASH : end]
            if seq != self.seq + 1 or self._digest(self.hash + buffer[at : end - HASH]) != hash:
                self._damaged(f"entry {self.seq + 1} is not the one that was written there")
                return
            entry = Entry(seq, buffer[at + FRAME : end - HASH], hash, self._segment, self.offset)
            self.offset += end - at
            self.seq, self.hash = seq, hash
            yield entry

    def _end(self, length: int) -> None:
        if length == CONTINUED:
            self.ended = "continued"
        elif self._thorough and self._more_behind():
            self._damaged(f"after entry {self.seq} there is something that was not written as an entry")
        else:
            self.ended = "open"

    def _more_behind(self) -> bool:
        offset = self.offset
        while piece := os.pread(self._descriptor, _READ, offset):
            if piece.count(0) != len(piece):
                return True
            offset += len(piece)
        return False

    def _damaged(self, why: str) -> None:
        self.ended, self.why = "damaged", why


def read_entry(folder: Path, segment: int, offset: int) -> bytes:
    """The body of the entry at a place that a Walk told. Raises Broken when it is not there any more."""
    try:
        descriptor = os.open(segment_path(folder, segment), os.O_RDONLY)
    except FileNotFoundError:
        raise Broken(f"segment {segment} of the audit chain is not there") from None
    try:
        data = os.pread(descriptor, 4096, offset)
        if len(data) < FRAME:
            raise Broken(f"segment {segment} of the audit chain is cut short")
        length = _FRAME.unpack_from(data)[0]
        if FRAME + length > len(data):
            data = os.pread(descriptor, FRAME + min(length, BODY_MAX), offset)
        return data[FRAME : FRAME + length]
    finally:
        os.close(descriptor)
