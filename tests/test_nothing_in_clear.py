"""The whole alliance, served with tokens: no file of its folder, no log and no link shows an identity number.

docs/security.md
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.demonstration import tokens
from tests.conftest import Running

RESIDENT = "urn:oid:2.16.156.10011.1.3"
PHRASE, WORD = "夜间阵发性心前区压榨样疼痛伴冷汗", "precordialpressure"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a small alliance, and what its file outside the folder tells."""
    from fhir_server.cli import main

    folder = tmp_path_factory.mktemp("alliance")
    arguments = ["demo", "--data", str(folder / "data"), "--out", str(folder / "demo.json"), "--residents", "8"]
    assert main([*arguments, "--quiet"]) == 0
    return folder / "data", json.loads((folder / "demo.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def served(start_server: Callable[..., Running], demo: tuple[Path, dict[str, Any]]) -> Running:
    return start_server(data=demo[0], environment={"YIDANG_ACCESS_LOG": "true"})


def hospital(served: Running, demo: dict[str, Any]) -> dict[str, str]:
    """The headers of the system of an institution that has records of residents."""
    keeper = next(i for resident in demo["residents"] for i, count in resident["records"].items() if count)
    client = next(c for c in demo["clients"] if c["institution"] == keeper)
    return {"Authorization": f"Bearer {tokens.of_system(served.url, client)}"}


def test_no_file_and_no_answer_holds_an_identity_number(served: Running, demo: tuple[Path, dict[str, Any]]) -> None:
    data, told = demo
    numbers = [resident["identity_number"] for resident in told["residents"] if resident["identity_number"]]
    assert len(numbers) >= 4
    spoken: list[str] = []
    with served.client(headers=hospital(served, told)) as client:
        for resident in told["residents"]:
            number = resident["identity_number"]
            if not number:
                continue
            for search in (f"identifier={RESIDENT}|{number}", f"identifier={number}&_count=1", f"birthdate={number}"):
                answer = client.get(f"Patient?{search}").json()
                spoken.append(json.dumps(answer.get("link", answer.get("issue")), ensure_ascii=False))
            spoken.append(client.get(f"Patient/{number}").text)
            client.post("Patient/_search", content=f"identifier={RESIDENT}|{number}",
                        headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
            note = {"resourceType": "Observation", "status": "final", "code": {"text": "主诉"},
                    "subject": {"reference": f"Patient/{resident['patient']}"},
                    "note": [{"text": f"{PHRASE} {WORD} {number}"}]}  # fmt: skip
            client.post("Observation", json=note)
        client.get(f"Observation?_content={WORD}")
        files = [file for file in data.rglob("*") if file.is_file()]
        inspected = [(file.name, file.read_bytes()) for file in files]
    assert {"records.db", "records.db-wal", "auth.db", "root.key"} <= {name for name, _ in inspected}
    assert any("audit" in str(file) for file in files)
    inspected.append(("log", served.log.read_bytes()))
    inspected += [("answer", text.encode()) for text in spoken]
    for name, content in inspected:
        for clear in (*numbers, PHRASE, WORD):
            assert clear.encode() not in content, f"{name} holds {clear}"
        assert PHRASE[4:10].encode() not in content, name


def test_a_resident_reads_what_nobody_reads_in_the_file(served: Running, demo: tuple[Path, dict[str, Any]]) -> None:
    _, told = demo
    person = next(resident for resident in told["residents"] if resident["login"] and resident["identity_number"])
    token = tokens.of_person(served.url, tokens.app_of(told, "residents"), person, {})
    with served.client(headers={"Authorization": f"Bearer {token}"}) as client:
        mine = client.get(f"Patient/{person['patient']}").json()
        assert person["identity_number"] in [i.get("value") for i in mine["identifier"]]
        found = client.get(f"Patient?identifier={RESIDENT}|{person['identity_number']}").json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == [person["patient"]]
        (link,) = [one["url"] for one in found["link"] if one["relation"] == "self"]
        again = client.get(link).json()
        assert [entry["resource"]["id"] for entry in again["entry"]] == [person["patient"]]
