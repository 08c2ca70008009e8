"""Anchors: the chain's end written down elsewhere now and then, so that a chain cut short or made anew shows.

A line of ``anchors.ndjson`` (or of a file elsewhere, better on other media) and of the log ``yidang.audit``:
number, hash, time, and a keyed hash over them, which nobody can make who has only the files.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE = "anchors.ndjson"
_log = logging.getLogger("yidang.audit")


@dataclass(frozen=True, slots=True)
class Anchor:
    """Entry ``seq`` had the hash ``hash`` (hex) at ``time`` (µs). ``mac``: keyed hash, '' where there was no key."""

    seq: int
    hash: str
    time: int
    mac: str = ""

    def signed(self, key: bytes) -> Anchor:
        """The anchor with its keyed hash."""
        return Anchor(self.seq, self.hash, self.time, self._mac(key)) if key else self

    def genuine(self, key: bytes) -> bool:
        """Whether its keyed hash is right (True where there is no key to tell by)."""
        return not key or hmac.compare_digest(self.mac, self._mac(key))

    def _mac(self, key: bytes) -> str:
        return hmac.new(key, f"anchor {self.seq} {self.hash} {self.time}".encode(), "sha256").hexdigest()

    def line(self) -> str:
        """Its line."""
        return json.dumps({"seq": self.seq, "hash": self.hash, "time": self.time, "mac": self.mac})


def write(file: Path, anchor: Anchor) -> None:
    """Append an anchor to a file, durably, and to the log."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, anchor.line().encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _log.info("audit anchor %s", anchor.line())


def read(file: Path) -> Iterator[Anchor]:
    """The anchors of a file (none when it is not there). Raises ValueError for a line that is none."""
    if not file.exists():
        return
    for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        try:
            told = json.loads(line)
            yield Anchor(int(told["seq"]), str(told["hash"]), int(told["time"]), str(told["mac"]))
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"line {number} of {file.name} is no anchor") from None


def parsed(text: str) -> Anchor:
    """The anchor ``SEQ:HASH`` of a command line. Raises ValueError."""
    seq, _, hash = text.partition(":")
    if not seq.isascii() or not seq.isdigit() or len(hash) != 64:
        raise ValueError(f"'{text}' is no anchor: give SEQ:HASH, as `yidang audit head` prints it")
    return Anchor(int(seq), hash.lower(), 0)
