"""Whatever is done to the files, `verify` finds it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.audit import anchors
from fhir_server.audit.anchors import Anchor
from fhir_server.audit.chain import DIGESTS, HEAD, Head, Walk, sealed, segment_path, segments
from fhir_server.audit.event import encode
from fhir_server.audit.index import Index
from fhir_server.audit.retention import prune
from fhir_server.audit.trail import Trail
from fhir_server.audit.verify import verify
from tests.audit.samples import START, make_event

Open = Callable[..., Trail]
ENTRIES = 60


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "audit"
    trail = Trail(folder, segment_bytes=3000)
    for number in range(ENTRIES):
        trail.append_now([encode(make_event(number))])
    trail.close()
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "audit"))


def places(folder: Path, first: int) -> list[tuple[int, int]]:
    """Where the entries of a segment stand: begin and end."""
    with segment_path(folder, first).open("rb") as file:
        walk = Walk(file.fileno(), Head.decode(file.read(HEAD)))
        begins = [entry.offset for entry in walk]
    return list(zip(begins, [*begins[1:], walk.offset], strict=True))


def rewrite(folder: Path, first: int, change: Callable[[bytes, list[tuple[int, int]]], bytes]) -> None:
    path = segment_path(folder, first)
    path.write_bytes(change(path.read_bytes(), places(folder, first)))


def test_a_whole_chain_has_no_problems(folder: Path) -> None:
    verdict = verify(folder)
    assert verdict.problems == []
    assert (verdict.first, verdict.last, verdict.entries) == (1, ENTRIES, ENTRIES)
    assert len(segments(folder)) > 3


def test_a_removed_entry_is_found(folder: Path) -> None:
    rewrite(folder, 1, lambda data, at: data[: at[2][0]] + data[at[2][1] :])
    assert verify(folder).problems


def test_the_last_entry_of_a_segment_removed_is_found(folder: Path) -> None:
    rewrite(folder, 1, lambda data, at: data[: at[-1][0]] + data[at[-1][1] :])
    assert verify(folder).problems


def test_an_inserted_entry_is_found(folder: Path) -> None:
    rewrite(folder, 1, lambda data, at: data[: at[2][0]] + data[slice(*at[1])] + data[at[2][0] :])
    assert verify(folder).problems


def test_entries_in_another_order_are_found(folder: Path) -> None:
    def swap(data: bytes, at: list[tuple[int, int]]) -> bytes:
        return data[: at[2][0]] + data[slice(*at[3])] + data[slice(*at[2])] + data[at[3][1] :]

    rewrite(folder, 1, swap)
    assert verify(folder).problems


def test_an_entry_made_anew_with_a_right_hash_of_its_own_is_found(folder: Path) -> None:
    def forge(data: bytes, at: list[tuple[int, int]]) -> bytes:
        before = data[at[2][0] - 32 : at[2][0]]
        forged, _ = sealed(DIGESTS["sha256"], before, 3, encode(make_event(2, patients=("nobody",))))
        return data[: at[2][0]] + forged + data[at[2][1] :]

    rewrite(folder, 1, forge)
    assert verify(folder).problems


def test_a_removed_segment_is_found(folder: Path) -> None:
    for first in segments(folder):
        copy = folder.parent / f"without-{first}"
        shutil.copytree(folder, copy)
        segment_path(copy, first).unlink()
        problems = verify(copy).problems
        assert problems, f"segment {first}"


def test_a_lost_folder_is_found(tmp_path: Path) -> None:
    assert "no audit chain" in verify(tmp_path).problems[0]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_altered_byte_is_found(
    pristine: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("altered") / "audit"))
    first = data.draw(st.sampled_from(segments(folder)))
    path = segment_path(folder, first)
    text = bytearray(path.read_bytes())
    end = places(folder, first)[-1][1]
    at = data.draw(st.integers(0, end - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(text)
    assert verify(folder).problems


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, ENTRIES - 1))
def test_a_chain_cut_short_is_found_by_its_anchor(
    pristine: Path, tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("cut") / "audit"))
    head = verify(folder)
    anchor = Anchor(head.last, head.hash, START)
    begun = [first for first in segments(folder) if first <= cut + 1]
    for first in segments(folder):
        if first > begun[-1]:
            segment_path(folder, first).unlink()
    path, at = segment_path(folder, begun[-1]), places(folder, begun[-1])
    path.write_bytes(path.read_bytes()[: at[cut + 1 - begun[-1]][0]])
    assert verify(folder).problems == []  # nothing in the files themselves tells
    assert "cut off" in verify(folder, [anchor]).problems[-1]


def test_a_chain_made_anew_is_found_by_its_anchor(folder: Path, tmp_path: Path) -> None:
    head = verify(folder)
    other = Trail(tmp_path / "other")
    for number in range(ENTRIES):
        other.append_now([encode(make_event(number, patients=("somebody",)))])
    other.close()
    assert "rewritten" in verify(other.folder, [Anchor(head.last, head.hash, 0)]).problems[0]


def test_a_forged_anchor_is_told_from_a_signed_one(folder: Path) -> None:
    head = verify(folder)
    signed = Anchor(head.last, head.hash, START).signed(b"k" * 32)
    assert verify(folder, [signed], b"k" * 32).problems == []
    forged = Anchor(head.last, "0" * 64, START, signed.mac)
    assert "not signed" in verify(folder, [forged], b"k" * 32).problems[0]


def test_anchors_survive_their_file(tmp_path: Path) -> None:
    file = tmp_path / "anchors.ndjson"
    made = [Anchor(n, "ab" * 32, START + n).signed(b"key") for n in (1, 5)]
    for anchor in made:
        anchors.write(file, anchor)
    assert list(anchors.read(file)) == made
    file.write_text("nonsense\n")
    with pytest.raises(ValueError, match="line 1"):
        list(anchors.read(file))


def test_an_anchor_of_a_command_line_is_read() -> None:
    assert anchors.parsed("12:" + "AB" * 32) == Anchor(12, "ab" * 32, 0)
    for wrong in ("", "12", "x:" + "ab" * 32, "12:abc"):
        with pytest.raises(ValueError, match="SEQ:HASH"):
            anchors.parsed(wrong)


# -- pruning ------------------------------------------------------------------------------------------


def old_and_new(folder: Path) -> Trail:
    """A chain whose first segments were begun 11 years ago."""
    times = iter([START - 11 * 366 * 86_400_000_000] * 3 + [START] * 1000)
    trail = Trail(folder, clock=lambda: next(times), segment_bytes=2000)
    for number in range(40):
        trail.append_now([encode(make_event(number))])
    return trail


def test_a_pruned_chain_verifies_and_tells_of_the_cut(tmp_path: Path) -> None:
    trail = old_and_new(tmp_path)
    index = Index(tmp_path)
    before = len(segments(tmp_path))
    upto = prune(trail, index, 10, START)
    assert upto > 0
    assert len(segments(tmp_path)) == before - 2
    verdict = verify(tmp_path)
    assert verdict.problems == []
    assert (verdict.first, verdict.last) == (upto + 1, 41)
    assert index.select("SELECT min(seq) FROM part", ()) == [(upto + 1,)]
    assert prune(trail, index, 10, START) == 0


def test_removing_more_than_was_pruned_is_found(tmp_path: Path) -> None:
    trail = old_and_new(tmp_path)
    prune(trail, Index(tmp_path), 10, START)
    segment_path(tmp_path, segments(tmp_path)[0]).unlink()
    assert "no pruning is on record" in verify(tmp_path).problems[-1]


def test_less_than_three_years_are_never_pruned(tmp_path: Path) -> None:
    trail = old_and_new(tmp_path)
    with pytest.raises(ValueError, match="3 years"):
        prune(trail, Index(tmp_path), 2, START)
