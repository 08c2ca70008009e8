"""Identity numbers are found by any way they are written, and stand in clear nowhere beside the stored text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.interactions.match import matches
from fhir_server.records.matching.identity_numbers import BY_SYSTEM
from fhir_server.search.extract import Extractor
from fhir_server.search.national import is_national, masked, normal
from fhir_server.search.parse import parse
from fhir_server.search.shield import is_hash
from profiles.definitions import load
from tests.store.conftest import Bench, observation, patient

RESIDENT = "urn:oid:2.16.156.10011.1.3"
PASSPORT = "http://hl7.org/fhir/sid/passport-DEU"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
NUMBER = "11010519491231002X"  # the example of GB 11643
OLD = "110105491231002"


def numbered(id: str, value: str, system: str | None = RESIDENT, **more: Any) -> dict[str, Any]:
    identifier = {"value": value, **({"system": system} if system else {}), **more}
    return patient(id, identifier=[identifier])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "data")
    yield made
    made.store.close()


@pytest.mark.parametrize("stored", [NUMBER, NUMBER.lower(), OLD, "110105 19491231 002X"])
@pytest.mark.parametrize("asked", [NUMBER, NUMBER.lower(), OLD])
@pytest.mark.parametrize("form", [f"{RESIDENT}|{{}}", "{}"], ids=["system", "bare"])
def test_a_number_is_found_in_each_of_its_forms(bench: Bench, stored: str, asked: str, form: str) -> None:
    bench.put(numbered("p", stored), numbered("q", "110105199003074514"))
    assert bench.ids("Patient", f"identifier={form.format(asked)}") == ["p"]


def test_other_kinds_are_found_with_and_without_their_system_and_by_type(bench: Bench) -> None:
    kind = {"coding": [{"system": TYPES, "code": "PPN"}]}
    bench.put(numbered("p", "C01X00T47", PASSPORT, type=kind), numbered("q", "C01X00T47", "urn:clinic:card"))
    assert bench.ids("Patient", f"identifier={PASSPORT}|C01X00T47") == ["p"]
    assert bench.ids("Patient", f"identifier={PASSPORT}|") == ["p"]
    assert sorted(bench.ids("Patient", "identifier=C01X00T47")) == ["p", "q"]
    assert bench.ids("Patient", "identifier=urn:clinic:card|C01X00T47") == ["q"]
    assert bench.ids("Patient", f"identifier:of-type={TYPES}|PPN|C01X00T47") == ["p"]
    assert bench.ids("Patient", f"identifier:not={PASSPORT}|C01X00T47") == ["q"]


def test_a_number_that_only_its_type_tells_is_hashed_and_found(bench: Bench) -> None:
    bench.put(numbered("p", "AB1234567", None, type={"coding": [{"system": TYPES, "code": "PPN"}]}))
    assert bench.ids("Patient", "identifier=AB1234567") == ["p"]
    assert bench.ids("Patient", "identifier=|AB1234567") == ["p"]
    assert all("AB1234567" not in row for row in index_texts(bench))


@pytest.mark.parametrize(
    "search",
    [
        f"subject:Patient.identifier={RESIDENT}|{NUMBER}",
        f"patient.identifier={NUMBER}",
        f"subject:identifier={RESIDENT}|{OLD}",
        f'_filter=patient.identifier eq "{RESIDENT}|{NUMBER}"',
    ],
)
def test_chains_logical_references_and_filters_find_it(bench: Bench, search: str) -> None:
    bench.put(
        numbered("p", NUMBER),
        observation("o", subject={"reference": "Patient/p", "identifier": {"system": RESIDENT, "value": NUMBER}}),
        observation("other", subject={"reference": "Patient/q"}),
    )
    assert bench.ids("Observation", search) == ["o"]


def test_a_reverse_chain_finds_it(bench: Bench) -> None:
    bench.put(
        numbered("p", NUMBER),
        {"resourceType": "Group", "id": "g", "type": "person", "actual": True,
         "identifier": [{"system": RESIDENT, "value": NUMBER}], "member": [{"entity": {"reference": "Patient/p"}}]},
    )  # fmt: skip
    assert bench.ids("Patient", f"_has:Group:member:identifier={RESIDENT}|{OLD}") == ["p"]


def index_texts(bench: Bench) -> Iterator[str]:
    """Every text in every table of the record file."""
    connection = sqlite3.connect(bench.store.path)
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
        for row in connection.execute(f'SELECT * FROM "{table}"'):
            yield from (value if isinstance(value, str) else repr(value) for value in row)
    connection.close()


def test_no_table_holds_a_number_in_clear(bench: Bench) -> None:
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">身份证{NUMBER}，旧号{OLD}</div>'}
    strange = [{"system": "phone", "value": NUMBER}, {"system": "phone", "value": "13800000000"}]
    inner = [{**numbered("r", NUMBER), "resourceType": "RelatedPerson", "patient": {"reference": "Patient/p"}}]
    bench.put(
        {**numbered("p", NUMBER), "text": text, "telecom": strange, "contained": inner},
        patient("q", family=NUMBER, identifier=[{"system": "urn:clinic", "value": f"卡{NUMBER}"}]),
        observation("o", note=[{"text": f"患者{NUMBER}自述"}], subject={"identifier": {"value": NUMBER}}),
    )
    assert bench.ids("Observation", "_content=自述") == ["o"]
    assert bench.ids("Patient", f"phone={NUMBER}") == ["p"]
    assert bench.ids("Patient", f"identifier=urn:clinic|卡{NUMBER}") == ["q"]
    assert bench.ids("Patient", f"_content={NUMBER}") == []
    for value in index_texts(bench):
        for clear in (NUMBER, NUMBER.lower(), OLD, NUMBER[6:]):
            assert clear not in value


def test_a_custom_parameter_does_not_file_it_either(bench: Bench) -> None:
    for kind in ("string", "token"):
        bench.put(
            {"resourceType": "SearchParameter", "id": kind, "status": "active", "name": kind, "code": f"id-{kind}",
             "url": f"urn:test:{kind}", "base": ["Patient"], "type": kind, "description": "d",
             "expression": "Patient.identifier.value"},
        )  # fmt: skip
    bench.put(numbered("p", NUMBER))
    bench.store.tidy()
    assert bench.ids("Patient", f"id-token={NUMBER}") == ["p"]
    assert all(NUMBER not in value for value in index_texts(bench))


PARTS_OF_NUMBERS = {
    "cut-number": f"Patient.identifier.where(system='{RESIDENT}').value.substring(0,17)",
    "cut-any": "Patient.descendants().ofType(string).select(substring(1, 11))",
    "number": "Patient.identifier.value",
    "phone-end": "Patient.telecom.value.substring(3)",
    "of-group": "Patient.contact.extension.value.ofType(Identifier).value.substring(0, 7)",
}


@pytest.mark.parametrize("kind", ["string", "token", "uri"])
def test_no_expression_files_a_part_of_a_number(bench: Bench, kind: str) -> None:
    for code, expression in PARTS_OF_NUMBERS.items():
        bench.put(
            {"resourceType": "SearchParameter", "id": code, "status": "active", "name": "n", "code": code,
             "url": f"urn:test:{code}", "base": ["Patient"], "type": kind, "description": "d",
             "expression": expression},
        )  # fmt: skip
    passport = {"system": PASSPORT, "value": "C01X00T47"}
    bench.put(
        patient(
            "p",
            identifier=[{"system": RESIDENT, "value": NUMBER}, passport],
            telecom=[{"system": "phone", "value": NUMBER}],
            contact=[{"extension": [{"url": "x", "valueIdentifier": passport}]}],
        )
    )
    bench.store.tidy()
    rows = bench.extractor.rows(numbered("q", NUMBER))
    assert rows.present >= {"cut-number", "cut-any", "number"}
    for value in index_texts(bench):
        for clear in (NUMBER[:17], NUMBER[1:12], NUMBER[3:], "C01X00T", "01x00t4"):
            assert clear.lower() not in value.lower()


def test_the_links_of_an_answer_ask_by_hash_and_find_the_same(bench: Bench) -> None:
    bench.put(numbered("p", NUMBER))
    for name, value in (
        ("identifier", f"{RESIDENT}|{NUMBER}"),
        ("identifier", f"urn:x|1,{RESIDENT}|{OLD}"),
        ("identifier", NUMBER),
        ("identifier:of-type", f"{TYPES}|NI|{NUMBER}"),
        ("_filter", f'identifier eq "{RESIDENT}|{NUMBER}"'),
    ):
        ((_, concealed),) = parse(("Patient",), [(name, value)], bench.extractor).applied
        assert NUMBER not in concealed and OLD not in concealed and "~" in concealed
        again = parse(("Patient",), [(name, concealed)], bench.extractor)
        assert again.applied == ((name, concealed),)
        if "of-type" not in name:
            assert bench.ids("Patient", f"{name}={concealed}") == ["p"]


def test_what_a_transaction_writes_itself_is_matched_by_any_form(bench: Bench) -> None:
    rows = bench.extractor.rows(numbered("p", OLD))
    query = parse(("Patient",), [("identifier", f"{RESIDENT}|{NUMBER}")], bench.extractor).query
    assert matches(query.where[0][1], "p", rows)


def test_hashes_are_those_of_the_folder_and_of_no_other(tmp_path: Path) -> None:
    one, other = Bench(tmp_path / "one"), Bench(tmp_path / "other")
    try:
        first, second = (b.extractor.shield.hashed(NUMBER) for b in (one, other))
        assert is_hash(first) and is_hash(second) and first != second
        one.restart()
        assert one.extractor.shield.hashed(NUMBER) == first
        with pytest.raises(ValueError, match="one folder"):
            one.extractor.shield.use(b"x" * 32, "sha256")
    finally:
        one.store.close()
        other.store.close()


def test_ordinary_numbers_stay_as_they_are() -> None:
    extractor = Extractor(load())
    for value in ("110105194912310021", "20240101123456", "C0000012", "13800000000", "999999999999999999"):
        rows = extractor.rows(numbered("p", value, "urn:clinic"))
        assert ("identifier", "urn:clinic", value) in rows.tok
    assert masked("样本110105194912310021") == "样本110105194912310021"  # a wrong check character


def test_every_system_of_the_person_index_is_hashed() -> None:
    assert all(is_national(system) for system in BY_SYSTEM)
    assert not is_national("urn:oid:2.16.156.10011.1.11")
    assert normal("１１０１０５ 19491231002x") == NUMBER
