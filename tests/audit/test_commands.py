"""`yidang audit` in its own process, and on damaged chains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_server.audit.chain import segment_path
from fhir_server.audit.event import encode
from fhir_server.audit.local import tell
from fhir_server.audit.trail import Trail
from fhir_server.audit.verify import verify
from fhir_server.cli import main
from tests.audit.samples import make_event


@pytest.fixture
def data(tmp_path: Path) -> Path:
    trail = Trail(tmp_path / "audit")
    trail.append_now([encode(make_event(number)) for number in range(5)])
    trail.append_now([encode(make_event(9, patients=("li",)))])
    trail.close()
    return tmp_path


def test_verify_says_that_the_chain_is_whole(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--data", str(data)]) == 0
    assert "entries 1 to 6" in capsys.readouterr().out


def test_verify_says_what_is_wrong(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = segment_path(data / "audit", 1)
    path.write_bytes(path.read_bytes().replace(b"zhang", b"huang", 1))
    assert main(["audit", "verify", "--data", str(data)]) == 1
    assert "entry 1 is not the one that was written there" in capsys.readouterr().err


def test_the_head_is_an_anchor_for_later(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "head", "--data", str(data)]) == 0
    head = capsys.readouterr().out.strip()
    assert main(["audit", "verify", "--data", str(data), "--anchor", head]) == 0
    longer = f"7:{head.partition(':')[2]}"
    assert main(["audit", "verify", "--data", str(data), "--anchor", longer]) == 1
    assert "cut off" in capsys.readouterr().err


def test_a_head_as_json_is_an_anchor_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "head", "--data", str(data), "--json"]) == 0
    file = tmp_path / "elsewhere.ndjson"
    file.write_text(capsys.readouterr().out)
    assert main(["audit", "verify", "--data", str(data), "--anchors", str(file)]) == 0
    file.write_text(file.read_text().replace('"mac": "', '"mac": "0'))
    assert main(["audit", "verify", "--data", str(data), "--anchors", str(file)]) == 1
    assert "not signed" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--anchor", "nonsense"], ["--anchors", "/nowhere/at/all"]])
def test_a_wrong_anchor_is_refused(data: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--data", str(data), *wrong]) == 1
    assert "yidang audit:" in capsys.readouterr().err


def test_export_writes_auditevents(data: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["audit", "export", "--data", str(data)]) == 0
    events = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [event["id"] for event in events] == [f"{seq}-0" for seq in range(1, 7)]
    assert {event["resourceType"] for event in events} == {"AuditEvent"}


def test_export_chooses_by_person_and_date(data: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["audit", "export", "--data", str(data), "--patient", "li"]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == 1
    assert main(["audit", "export", "--data", str(data), "--since", "2100"]) == 0
    assert capfdbinary.readouterr().out == b""
    assert main(["audit", "export", "--data", str(data), "--since", "yesterday"]) == 2


def test_prune_keeps_what_is_young_and_refuses_less_than_three_years(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "prune", "--data", str(data)]) == 0
    assert "nothing is older" in capsys.readouterr().out
    assert main(["audit", "prune", "--data", str(data), "--years", "1"]) == 1


def test_a_copy_grows_with_the_chain_and_verifies(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "elsewhere" / "audit"
    assert main(["audit", "copy", "--data", str(data), str(target)]) == 0
    trail = Trail(data / "audit", segment_bytes=1500)
    for number in range(20):
        trail.append_now([encode(make_event(number))])
        if number % 5 == 0:
            assert main(["audit", "copy", "--data", str(data), str(target)]) == 0
    assert main(["audit", "copy", "--data", str(data), str(target)]) == 0
    trail.close()
    capsys.readouterr()
    assert main(["audit", "head", "--data", str(data)]) == main(["audit", "head", "--data", str(target.parent)]) == 0
    chain, copied = (int(line.partition(":")[0]) for line in capsys.readouterr().out.split())
    assert chain == copied + 1  # the copying is on record itself
    assert main(["audit", "verify", "--data", str(target.parent)]) == 0


def test_a_copy_of_another_chain_is_not_overwritten(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "elsewhere"
    other = Trail(target)
    other.append_now([encode(make_event(3, patients=("li",)))])
    other.close()
    before = segment_path(target, 1).read_bytes()
    assert main(["audit", "copy", "--data", str(data), str(target)]) == 1
    assert "not a copy of this chain" in capsys.readouterr().err
    assert segment_path(target, 1).read_bytes() == before


@pytest.mark.parametrize("action", ["verify", "head", "export", "prune"])
def test_a_folder_without_chain_is_said_so(tmp_path: Path, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", action, "--data", str(tmp_path)]) == 1
    assert "no audit chain" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["reindex", "--data"], "local", "yidang reindex ("),
        (["audit", "export", "--data"], "export", "yidang audit export ("),
        (["client", "list", "--data"], None, ""),
        (["audit", "head", "--data"], None, ""),
    ],
)
def test_a_local_command_is_on_record_where_there_is_a_trail(
    tmp_path: Path, words: list[str], code: str | None, told: str
) -> None:
    from consent import Access
    from fhir_server import app
    from fhir_server.audit.export import lines
    from fhir_server.settings import Settings

    app.open_context(Settings(data=tmp_path), Access.everything("test")).store.close()
    trail = Trail(tmp_path / "audit")
    trail.append_now([encode(make_event())])
    trail.close()
    assert main([*words, str(tmp_path)]) == 0
    events = [json.loads(line) for line in lines(tmp_path / "audit")]
    if code is None:
        assert len(events) == 1
    else:
        assert told in json.dumps(events[1])
        assert verify(tmp_path / "audit").problems == []


def test_a_local_command_makes_no_trail_where_there_is_none(tmp_path: Path) -> None:
    tell(tmp_path, "load", ["load", "--data", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
