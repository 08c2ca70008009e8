"""A chain that a server wrote is not made anew or cut off unseen, also where its anchors were made away with."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_server.audit.anchors import FILE
from fhir_server.audit.chain import DIGESTS, HEAD, Head, Walk, sealed, segment_path
from fhir_server.audit.event import Event, Who, encode
from fhir_server.audit.trail import Trail
from fhir_server.cli import main
from fhir_server.store.sqlite.store import FILE as RECORDS
from tests.audit.county import County, staff
from tests.audit.samples import START


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server that ran, and was stopped."""
    made = County(tmp_path_factory.mktemp("county") / "data")
    for _ in range(5):
        made.ask(staff("wang", "county", "physician"), "GET", f"Patient/{made.zhang}")
    made.close()
    return made.folder


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "data"))


@pytest.fixture
def problems(data: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What ``yidang audit verify`` says is wrong; '' for nothing."""

    def ask() -> str:
        status, said = main(["audit", "verify", "--data", str(data)]), capsys.readouterr().err
        assert (status == 0) == (said == "")
        return said

    return ask


def rewritten(data: Path, keep: Callable[[int], bool]) -> None:
    """Make the chain anew of the entries to keep, with right numbers and hashes."""
    path = segment_path(data / "audit", 1)
    with path.open("rb") as file:
        head = Head.decode(file.read(HEAD))
        bodies = [entry.body for entry in Walk(file.fileno(), head) if keep(entry.seq)]
    pieces, hash = [head.encode()], head.before
    for number, body in enumerate(bodies, 1):
        piece, hash = sealed(DIGESTS[head.algorithm], hash, number, body)
        pieces.append(piece)
    path.write_bytes(b"".join(pieces))


def in_records(data: Path, sql: str) -> None:
    connection = sqlite3.connect(data / RECORDS)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_what_a_server_wrote_is_whole(problems: Callable[[], str]) -> None:
    assert problems() == ""


@pytest.mark.parametrize("text", [None, ""])
def test_anchors_that_were_made_away_with_are_missed(data: Path, problems: Callable[[], str], text: str | None) -> None:
    (data / "audit" / FILE).unlink() if text is None else (data / "audit" / FILE).write_text(text)
    assert "there are no anchors" in problems()


def test_a_chain_made_anew_is_found_without_anchors(data: Path, problems: Callable[[], str]) -> None:
    rewritten(data, lambda seq: seq != 5)
    (data / "audit" / FILE).unlink()
    assert "cut off" in problems()
    in_records(data, "DELETE FROM state WHERE name='audit-head'")
    assert "keeps no head" in problems()


def test_a_chain_cut_back_to_an_anchor_is_found_by_the_record_file(data: Path, problems: Callable[[], str]) -> None:
    file = data / "audit" / FILE
    first = file.read_text().splitlines()[0]
    anchored = int(first.partition('"seq": ')[2].partition(",")[0])
    rewritten(data, lambda seq: seq <= anchored)
    file.write_text(first + "\n")
    assert "cut off" in problems()
    in_records(data, f"UPDATE state SET value='{first}' WHERE name='audit-head'")
    assert "head that the record file keeps was not signed" in problems(), "an anchor is no head"


def test_a_server_without_anchors_for_long_is_doubted_and_commands_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind, status in (("served", "staff", 1), ("commands", "local", 0)):
        trail = Trail(tmp_path / name / "audit")
        for minutes in (0, 20):
            trail.append_now([encode(Event(START + minutes * 60_000_000, "read", "R", who=Who(kind)))])
        trail.close()
        assert main(["audit", "verify", "--data", str(tmp_path / name)]) == status
    assert "have no anchors" in capsys.readouterr().err
