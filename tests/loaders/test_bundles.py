"""Files and folders become units in a good order; what cannot be read is said and does not stop the rest."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from loaders.bundles import Refusal, Unit, content_hash, files, units

PATIENT = b'{"resourceType":"Patient","id":"a"}'
BATCH = b'{"resourceType":"Bundle","type":"batch","entry":[]}'


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read(path: Path, group: int = 500) -> tuple[list[Unit], list[Refusal]]:
    found = list(units(path, group))
    refusals = [r for u in found if isinstance(u, Unit) for r in u.refusals]
    return [u for u in found if isinstance(u, Unit)], refusals + [r for r in found if isinstance(r, Refusal)]


def test_a_folder_is_read_with_what_others_refer_to_first(tmp_path: Path):
    for name in ("b.json", "a.ndjson", "practitioner9.json", "hospital1.json.gz", "0-z.json", "sub/c.json", "x.txt"):
        put(tmp_path / name, BATCH)
    found, missing = files([tmp_path])
    order = ["0-z.json", "hospital1.json.gz", "practitioner9.json", "a.ndjson", "b.json", "c.json"]
    assert [p.name for p in found] == order
    assert missing == []


def test_paths_that_lead_nowhere_are_refused_and_the_same_file_counts_once(tmp_path: Path):
    file = put(tmp_path / "a.json", BATCH)
    (tmp_path / "empty").mkdir()
    found, missing = files([file, tmp_path / "no", tmp_path / "empty", file])
    assert found == [file]
    assert [r.path.name for r in missing] == ["no", "empty"]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_transaction_or_batch_is_one_unit_gzipped_or_not(tmp_path: Path, kind: str, packed: bool):
    content = b'{"resourceType":"Bundle","type":"%s","entry":[]}' % kind.encode()
    path = put(tmp_path / "b.json", gzip.compress(content) if packed else content)
    (unit,), refusals = read(path)
    assert unit.bundle is not None and unit.bundle["type"] == kind
    assert unit.progress == path.stat().st_size and refusals == []


def test_a_collection_gives_its_resources(tmp_path: Path):
    content = b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":%s},{"fullUrl":"x"}]}' % PATIENT
    (unit,), refusals = read(put(tmp_path / "c.json", content))
    assert [r["id"] for r in unit.resources] == ["a"]
    assert [(r.position, r.reason) for r in refusals] == [(2, "entry holds no resource")]


def test_a_single_resource_is_a_group_of_one(tmp_path: Path):
    (unit,), _ = read(put(tmp_path / "p.json", PATIENT))
    assert unit.resources[0]["id"] == "a" and unit.bundle is None


def test_ndjson_is_cut_into_groups_and_bad_lines_are_named(tmp_path: Path):
    lines = [b'{"resourceType":"Patient","id":"p%d"}' % n for n in range(5)]
    lines[2:2] = [b"", b"{broken", b'{"id":"no type"}', b"17"]
    found, refusals = read(put(tmp_path / "p.ndjson", b"\n".join(lines)), group=3)
    assert [r["id"] for u in found for r in u.resources] == ["p0", "p1", "p2", "p3", "p4"]
    assert [u.position for u in found] == list(range(len(found)))
    assert [r.position for r in refusals] == [4, 5, 6]
    assert [n for u in found for n in u.lines] == [1, 2, 7, 8, 9]


def test_numbers_keep_their_digits(tmp_path: Path):
    text = b'{"resourceType":"Observation","valueQuantity":{"value":1.00}}'
    (unit,), _ = read(put(tmp_path / "o.ndjson", text))
    assert str(unit.resources[0]["valueQuantity"]["value"]) == "1.00"
    assert isinstance(unit.resources[0]["valueQuantity"]["value"], Decimal)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b'{"a":1}',
        b'{"resourceType":5}',
        gzip.compress(PATIENT, mtime=0)[:-9],
        b"\xff\xfe{}",
        b"[" * 9999,
    ],
)
@pytest.mark.parametrize("name", ["bad.json", "bad.ndjson"])
def test_damaged_files_are_refused_with_a_reason_and_never_raise(tmp_path: Path, content: bytes, name: str):
    found, refusals = read(put(tmp_path / name, content))
    assert not any(u.resources or u.bundle for u in found)
    assert all(r.reason for r in refusals)
    assert refusals or (content == b"" and name == "bad.ndjson")


def test_a_truncated_gzip_keeps_the_lines_before_the_damage(tmp_path: Path):
    whole = gzip.compress(b"".join(b'{"resourceType":"Patient","id":"p%d"}\n' % n for n in range(50_000)))
    found, refusals = read(put(tmp_path / "t.ndjson.gz", whole[: len(whole) // 2]))
    assert found and found[0].resources[0]["id"] == "p0"
    assert len(refusals) == 1


def test_the_hash_is_of_the_content_not_the_name(tmp_path: Path):
    a, b = put(tmp_path / "a.json", PATIENT), put(tmp_path / "b.json", PATIENT)
    assert content_hash(a) == content_hash(b) != content_hash(put(tmp_path / "c.json", BATCH))
