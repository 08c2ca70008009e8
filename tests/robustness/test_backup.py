"""A backup taken while others write restores to one moment: every write before it, none half, none after a gap.

https://www.sqlite.org/backup.html
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.robustness.api import Api, Broken, Resource, matches
from tests.robustness.nursery import Fork, Nursery, free_port

WRITERS = 3


class Pen:
    """A client that writes pairs in transactions, numbered without gap, and knows which were answered."""

    def __init__(self, url: str, number: int) -> None:
        self.number = number
        self.answered = 0
        self._api = Api(url)

    def write(self) -> None:
        """Both resources of a pair carry its number: a counter that is overwritten, and a new note."""
        turn = self.answered + 1
        label = [{"system": f"urn:pen:{self.number}", "value": str(turn)}]
        counter: Resource = {"resourceType": "Basic", "id": f"counter-{self.number}", "identifier": label}
        note: Resource = {"resourceType": "Basic", "id": f"note-{self.number}-{turn}", "identifier": label}
        for resource in (counter, note):
            resource["code"] = {"text": "页"}
        entries = [{"resource": r, "request": {"method": "PUT", "url": f"Basic/{r['id']}"}} for r in (counter, note)]
        answer = self._api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert answer.status == 200, answer.body
        self.answered = turn

    def write_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.write()


def bring_key(data: Path, restored: Path) -> None:
    """The master key is no part of a backup: whoever restores one brings it."""
    restored.mkdir()
    shutil.copy2(data / "master.key", restored)


@pytest.fixture
def server(nursery: Nursery, tmp_path: Path) -> Fork:
    found = nursery.serve(tmp_path / "data", free_port())
    found.ready().close()
    return found


def test_a_backup_while_others_write_restores_to_one_moment(nursery: Nursery, server: Fork, tmp_path: Path) -> None:
    pens = [Pen(server.url, number) for number in range(WRITERS)]
    for pen in pens:
        pen.write()
    stop = threading.Event()
    threads = [threading.Thread(target=pen.write_until, args=(stop,)) for pen in pens]
    for thread in threads:
        thread.start()
    before = [pen.answered for pen in pens]
    done = nursery.run("backup", "--data", tmp_path / "data", tmp_path / "copy.db")
    assert done.returncode == 0, done.stderr
    after = [pen.answered for pen in pens]
    stop.set()
    for thread in threads:
        thread.join(timeout=20)
    assert all(b > a for a, b in zip(before, after, strict=True)), "nobody wrote while the backup was taken"

    restored = tmp_path / "restored"
    bring_key(tmp_path / "data", restored)
    assert nursery.run("restore", "--data", restored, tmp_path / "copy.db").returncode == 0
    checked = nursery.run("check", "--data", restored)
    assert checked.returncode == 0, checked.stderr
    second = nursery.serve(restored, free_port())
    api = second.ready()
    counters = []
    for pen, low, high in zip(pens, before, after, strict=True):
        counter = api.get(f"Basic/counter-{pen.number}").json
        turn = int(counter["identifier"][0]["value"])
        counters.append(turn)
        assert low <= turn <= high + 1, "what was answered before the backup is missing"
        assert counter["meta"]["versionId"] == str(turn)
        notes = api.count(f"Basic?identifier=urn:pen:{pen.number}|")
        assert notes == turn + 1, "the notes and the counter are of different moments"
        assert api.get(f"Basic/note-{pen.number}-{turn}").status == 200
        assert api.get(f"Basic/note-{pen.number}-{turn + 1}").status == 404
    # The sequence has no gap: each transaction made two versions, and the history ends with a whole one.
    history = api.get("_history?_count=2").json
    assert history["total"] == 2 * sum(counters)
    newest = [entry["resource"]["identifier"][0] for entry in history["entry"]]
    assert newest[0] == newest[1]
    # The restored store goes on where the backup ended.
    pen = Pen(second.url, 0)
    pen.answered = counters[0]
    pen.write()
    assert api.get("Basic/counter-0").version == counters[0] + 1
    api.close()
    second.kill()
    server.kill()


def test_a_restore_in_place_of_newer_records_goes_back_to_the_backup(
    nursery: Nursery, server: Fork, tmp_path: Path
) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    pen = Pen(server.url, 0)
    pen.write()
    assert nursery.run("backup", "--data", data, copy).returncode == 0
    pen.write()
    refused = nursery.run("restore", "--data", data, "--force", copy)
    assert refused.returncode == 1
    assert "stop" in refused.stderr
    assert Api(server.url).get("Basic/counter-0").version == 2
    server.stop()
    assert nursery.run("restore", "--data", data, copy).returncode == 1
    assert nursery.run("restore", "--data", data, "--force", copy).returncode == 0
    again = nursery.serve(data, free_port())
    api = again.ready()
    assert api.get("Basic/counter-0").version == 1
    assert [entry["resource"]["id"] for entry in matches(api.get("Basic?_sort=_id").json)] == ["counter-0", "note-0-1"]
    api.close()
    again.kill()
    assert nursery.run("check", "--data", data).returncode == 0


@pytest.mark.parametrize("damage", ["cut short", "overwritten", "emptied"])
def test_a_damaged_backup_is_refused_and_replaces_nothing(
    nursery: Nursery, server: Fork, tmp_path: Path, damage: str
) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    pen = Pen(server.url, 0)
    for _ in range(20):
        pen.write()
    assert nursery.run("backup", "--data", data, copy).returncode == 0
    server.stop()
    whole = copy.read_bytes()
    middle = len(whole) // 2
    damaged = {"cut short": whole[:middle], "overwritten": b"\xff" * 8192, "emptied": b""}[damage]
    copy.write_bytes(whole[:middle] + damaged + whole[middle + 8192 :] if damage == "overwritten" else damaged)
    done = nursery.run("restore", "--data", data, "--force", copy)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    again = nursery.serve(data, free_port())
    api = again.ready()
    assert api.get("Basic/counter-0").version == 20
    api.close()
    again.kill()


def test_a_backup_survives_the_death_of_the_server(nursery: Nursery, server: Fork, tmp_path: Path) -> None:
    pen = Pen(server.url, 0)
    stop = threading.Event()

    def write() -> None:
        try:
            pen.write_until(stop)
        except Broken:
            return

    thread = threading.Thread(target=write)
    thread.start()
    while pen.answered < 5:
        stop.wait(0.01)
    server.kill()
    thread.join(timeout=10)
    assert nursery.run("backup", "--data", tmp_path / "data", tmp_path / "copy.db").returncode == 0
    bring_key(tmp_path / "data", tmp_path / "restored")
    assert nursery.run("restore", "--data", tmp_path / "restored", tmp_path / "copy.db").returncode == 0
    assert nursery.run("check", "--data", tmp_path / "restored").returncode == 0
    again = nursery.serve(tmp_path / "restored", free_port())
    api = again.ready()
    assert api.get("Basic/counter-0").version in (pen.answered, pen.answered + 1)
    api.close()
    again.kill()
