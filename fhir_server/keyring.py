"""Where master keys come from: an environment variable, a file, or a key service by a command; see docs/security.md.

``YIDANG_MASTER_KEY``: keys in base64, blanks between. ``YIDANG_MASTER_KEY_FILE``: a file of mode
0600 with one key a line. ``YIDANG_MASTER_KEY_COMMAND``: a command that is given ``wrap`` or
``unwrap`` as its last argument and a key in base64 on its standard input, and answers in base64.
The last key of a ring is the present one.
"""

from __future__ import annotations

import base64
import binascii
import os
import shlex
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

KEY = 32  # bytes of a master key
MADE, WRAPPED = "master.key", "master.wrapped"
RECORDS = "records.db"
_SECONDS = 30.0
_MADE_WARNING = (
    "WARNING: a master key was made in {}. In production it belongs elsewhere:\n"
    "         who copies the folder copies the key. See docs/security.md."
)


class KeyUnavailable(ValueError):
    """There is no master key, or not the one that the data need."""


class Ring(Protocol):
    """A place of master keys; ``place`` names it in errors."""

    place: str

    def read(self) -> list[bytes]:
        """All keys, the present one last. Raises KeyUnavailable."""
        ...

    def add(self) -> None:
        """Append a new key. Raises KeyUnavailable where that cannot be done here."""
        ...

    def keep_last(self) -> None:
        """Remove all keys but the last. Raises KeyUnavailable where that cannot be done here."""
        ...


class KeyService(Protocol):
    """What guards keys outside: a KMS, or a PKCS#11 module."""

    def wrap(self, key: bytes) -> bytes:
        """The key encrypted by the service."""
        ...

    def unwrap(self, blob: bytes) -> bytes:
        """The key of a blob that the service encrypted."""
        ...


def ring(folder: Path, environment: Mapping[str, str] = os.environ) -> Ring:
    """The ring that the environment names; ``folder/master.key`` when it names none.

    That file is made, with a warning, in a folder without records. Raises KeyUnavailable.
    """
    if given := environment.get("YIDANG_MASTER_KEY"):
        return FromEnvironment(given)
    if command := environment.get("YIDANG_MASTER_KEY_COMMAND"):
        return Guarded(folder, CommandService(command))
    if file := environment.get("YIDANG_MASTER_KEY_FILE"):
        return KeyFile(Path(file))
    made = folder / MADE
    if not made.exists():
        refuse_orphans(folder, f"the master key ({made}, or a YIDANG_MASTER_KEY… setting)", but=made)
        if write_private(made, _line(os.urandom(KEY)), replace=False):
            print(_MADE_WARNING.format(made), file=sys.stderr, flush=True)
    return KeyFile(made)


def refuse_orphans(folder: Path, missing: str, but: Path | None = None) -> None:
    """Raise KeyUnavailable when the folder has data: a new key could not open them."""
    records = folder / RECORDS
    made = records.exists() and records.stat().st_size > 0
    if made and not (but is not None and but.exists()):
        raise KeyUnavailable(f"the data in {folder} are encrypted, but {missing} is not there")


def root_of(folder: Path) -> bytes | None:
    """The wrapped root secret that the records in the folder hold; None where there are none."""
    records = folder / RECORDS
    if not records.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{records.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT value FROM state WHERE name='root'").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else bytes(row[0])


class FromEnvironment:
    """Keys of an environment variable; to change the key, append the new one and restart."""

    def __init__(self, text: str) -> None:
        self.place = "YIDANG_MASTER_KEY"
        self._keys = [_key(word, self.place) for word in text.split()]

    def read(self) -> list[bytes]:
        """The keys, the present one last."""
        return self._keys

    def add(self) -> None:
        """Not possible: the variable is the operator's."""
        raise KeyUnavailable("append a new key to YIDANG_MASTER_KEY (blank between) and restart the server first")

    def keep_last(self) -> None:
        """Not possible: the variable is the operator's."""
        raise KeyUnavailable("remove the old keys from YIDANG_MASTER_KEY and restart the server")


class KeyFile:
    """Keys in a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)

    def read(self) -> list[bytes]:
        """The keys, the present one last."""
        return [_key(line, self.place) for line in _lines(self.path)]

    def add(self) -> None:
        """Append a new key."""
        write_private(self.path, b"".join(map(_line, [*self.read(), os.urandom(KEY)])), replace=True)

    def keep_last(self) -> None:
        """Remove all keys but the last."""
        write_private(self.path, _line(self.read()[-1]), replace=True)


class Guarded:
    """Keys kept in the data folder, each encrypted by a key service; the service is asked once a start."""

    def __init__(self, folder: Path, service: KeyService) -> None:
        self.path = folder / WRAPPED
        self.place = f"{self.path} (guarded by a key service)"
        self._service = service
        self._opened: dict[bytes, bytes] = {}
        if not self.path.exists():
            refuse_orphans(folder, f"the wrapped master key {self.path}", but=self.path)
            write_private(self.path, _line(service.wrap(os.urandom(KEY))), replace=False)

    def read(self) -> list[bytes]:
        """The keys, the present one last."""
        return [self._open(_decoded(line, self.place)) for line in _lines(self.path)]

    def _open(self, blob: bytes) -> bytes:
        if blob not in self._opened:
            key = self._service.unwrap(blob)
            if len(key) != KEY:
                raise KeyUnavailable(f"the key service answered with a key of {len(key)} bytes, not {KEY}")
            self._opened[blob] = key
        return self._opened[blob]

    def add(self) -> None:
        """Append a new key, wrapped by the service."""
        new = self._service.wrap(os.urandom(KEY))
        write_private(self.path, self.path.read_bytes() + _line(new), replace=True)

    def keep_last(self) -> None:
        """Remove all keys but the last."""
        write_private(self.path, _line(_decoded(_lines(self.path)[-1], self.place)), replace=True)


class InMemory:
    """Keys that end with the process."""

    place = "memory"

    def __init__(self) -> None:
        self._keys = [os.urandom(KEY)]

    def read(self) -> list[bytes]:
        """The keys, the present one last."""
        return list(self._keys)

    def add(self) -> None:
        """Append a new key."""
        self._keys.append(os.urandom(KEY))

    def keep_last(self) -> None:
        """Remove all keys but the last."""
        del self._keys[:-1]


class CommandService:
    """A key service behind a command of the operator's (a KMS client, pkcs11-tool in a script …)."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    def wrap(self, key: bytes) -> bytes:
        """The key encrypted by the service."""
        return self._run("wrap", key)

    def unwrap(self, blob: bytes) -> bytes:
        """The key of a blob that the service encrypted."""
        return self._run("unwrap", blob)

    def _run(self, action: str, data: bytes) -> bytes:
        try:
            done = subprocess.run(
                [*self._command, action],
                input=base64.b64encode(data),
                capture_output=True,
                timeout=_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            # Neither its output nor the key: only what kind of failure it was.
            raise KeyUnavailable(f"YIDANG_MASTER_KEY_COMMAND failed at {action}: {type(error).__name__}") from None
        return _decoded(done.stdout.decode("ascii", "replace").strip(), "the answer of YIDANG_MASTER_KEY_COMMAND")


def write_private(path: Path, data: bytes, *, replace: bool) -> bool:
    """Write a file that only its owner reads, whole or not at all; False when it stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arriving = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(arriving, path)
        else:
            os.link(arriving, path)  # fails where another process was quicker
    except FileExistsError:
        return False
    finally:
        arriving.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(path: Path) -> list[str]:
    """The lines of a private file, without blank ones and comments (#). Raises KeyUnavailable."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise KeyUnavailable(f"{path} may be read by others: its mode must be 0600")
            text = file.read().decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnavailable(f"the master key cannot be read: {error}") from None
    return [line for raw in text.splitlines() if (line := raw.strip()) and not line.startswith("#")]


def _line(data: bytes) -> bytes:
    return base64.b64encode(data) + b"\n"


def _decoded(text: str, place: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyUnavailable(f"{place} is not base64") from None


def _key(text: str, place: str) -> bytes:
    key = _decoded(text, f"a key in {place}")
    if len(key) != KEY:
        raise KeyUnavailable(f"a master key has {KEY} bytes; one in {place} has {len(key)}")
    return key
