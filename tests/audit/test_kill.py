"""kill -9 at any moment: what was answered is on record, and once; what was written is on record, and once."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_server.audit.chain import HEAD, Head, Walk, segment_path, segments
from fhir_server.audit.event import Event, decode
from fhir_server.audit.verify import verify
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue
from tests.audit.county import system
from tests.conftest import Running

ROUNDS = 6

# Acknowledges by a line what is on the disk; two of them share one chain.
APPENDER = """
import asyncio, sys
from pathlib import Path
from fhir_server.audit.event import Event, encode
from fhir_server.audit.trail import Trail
trail = Trail(Path(sys.argv[1]), segment_bytes=30_000)
async def one(task):
    for number in range(100_000):
        name = f"{sys.argv[2]}-{task}-{number}"
        await trail.append(encode(Event(1, "read", "R", correlation=name)))
        sys.stdout.write(name + "\\n")
        sys.stdout.flush()
async def run():
    await asyncio.gather(*(one(task) for task in range(8)))
asyncio.run(run())
"""

# Writes like the store: entry and write in one commit; the drain moves entries on as fast as it can.
WRITER = """
import os, sqlite3, sys, threading
from pathlib import Path
from fhir_server.audit.event import Event, encode
from fhir_server.audit.index import Index
from fhir_server.audit.outbox import Drain
from fhir_server.audit.trail import Trail
folder = Path(sys.argv[1])
class Store:
    def __init__(self):
        self.db = sqlite3.connect(folder.parent / "records.db", isolation_level=None, check_same_thread=False)
        self.mutex = threading.Lock()
    def write(self, name):
        with self.mutex:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute("INSERT INTO done VALUES(?)", (name,))
            entry = encode(Event(1, "create", "C", correlation=name, ident=name.encode()))
            self.db.execute("INSERT INTO outbox(entry) VALUES(?)", (entry,))
            self.db.execute("COMMIT")
    def take_outbox(self, limit):
        with self.mutex:
            return self.db.execute("SELECT seq, entry FROM outbox ORDER BY seq LIMIT ?", (limit,)).fetchall()
    def forget_outbox(self, upto):
        with self.mutex:
            self.db.execute("DELETE FROM outbox WHERE seq<=?", (upto,))
store = Store()
drain = Drain(Trail(folder, segment_bytes=30_000), Index(folder), store, folder)
drain.step()
print("ready", flush=True)
if len(sys.argv) > 3:
    sys.exit()
def write():
    for number in range(100_000):
        store.write(f"{sys.argv[2]}-{number}")
        print(number, flush=True)
threading.Thread(target=write, daemon=True).start()
while True:
    drain.step()
"""


def told(folder: Path) -> list[Event]:
    found: list[Event] = []
    for first in segments(folder):
        descriptor = os.open(segment_path(folder, first), os.O_RDONLY)
        found += [decode(entry.body) for entry in Walk(descriptor, Head.decode(os.pread(descriptor, HEAD, 0)))]
        os.close(descriptor)
    return found


def killed_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """What the process had said when it was killed, somewhere after so many lines."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait(timeout=30)
    return [line.rstrip("\n") for line in said if line.endswith("\n")]


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_nothing_acknowledged_is_missing_or_doubled_when_appenders_are_killed(tmp_path: Path) -> None:
    folder, chance = tmp_path / "audit", random.Random(5)
    acknowledged: set[str] = set()
    for turn in range(ROUNDS):
        running = [start(APPENDER, folder, f"{turn}{name}") for name in "ab"]
        for process in running:
            acknowledged.update(killed_after(process, chance.randint(1, 400)))
    names = [event.correlation for event in told(folder) if event.code == "read"]
    assert len(acknowledged) > 500
    assert acknowledged <= set(names)
    assert len(names) == len(set(names))
    assert verify(folder).problems == []


def test_every_committed_write_is_told_once_when_the_drain_is_killed(tmp_path: Path) -> None:
    folder, chance = tmp_path / "audit", random.Random(9)
    folder.mkdir()
    records = sqlite3.connect(tmp_path / "records.db")
    records.executescript(
        "PRAGMA journal_mode=WAL; CREATE TABLE done(name TEXT);"
        "CREATE TABLE outbox(seq INTEGER PRIMARY KEY, entry BLOB NOT NULL)"
    )
    for turn in range(ROUNDS):
        killed_after(start(WRITER, folder, turn), chance.randint(1, 200))
    assert start(WRITER, folder, "last", "only drain").wait(timeout=30) == 0
    written = [name for (name,) in records.execute("SELECT name FROM done")]
    assert len(written) > 100
    assert sorted(event.correlation for event in told(folder)) == sorted(written)
    assert records.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    assert verify(folder).problems == []


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"


def test_a_killed_server_has_on_record_all_that_it_answered(start_server: object, data: Path) -> None:
    read: list[str] = []
    written: list[str] = []
    for turn in range(3):
        server: Running = start_server("--workers", "2", data=data)  # type: ignore[operator]
        auth = AuthFile.open(data)
        token = issue(auth, system("county"), 3600)
        auth.close()
        headers = {"Authorization": f"Bearer {token}"}
        with server.client(headers=headers) as client:
            try:
                for number in range(60):
                    name = f"kill-{turn}-{number}"
                    answer = client.post(
                        "Patient", json={"resourceType": "Patient"}, headers={"X-Request-Id": name + "-w"}
                    )
                    assert answer.status_code == 201, answer.text
                    written.append(name + "-w")
                    client.get(f"Patient?_id={name}", headers={"X-Request-Id": name + "-r"}).raise_for_status()
                    read.append(name + "-r")
                    if number == 40 + turn:
                        for process in (*_children(server.process.pid), server.process.pid):
                            os.kill(process, signal.SIGKILL)
            except httpx.TransportError:
                pass
        server.process.wait(timeout=30)
    assert len(read) > 100
    server = start_server(data=data)  # type: ignore[operator]
    server.stop()
    names = [event.correlation for event in told(data / "audit") if event.correlation]
    assert set(read) | set(written) <= set(names)
    assert len(names) == len(set(names))
    assert verify(data / "audit").problems == []


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(entry.parent.name))
    return found
