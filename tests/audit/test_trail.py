"""Appending: durable, in one order, by many at once; and what a crash leaves."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.audit import trail as trail_module
from fhir_server.audit.chain import HEAD, Head, Walk, arriving_path, segment_path, segments
from fhir_server.audit.event import decode, encode
from fhir_server.audit.trail import Trail
from fhir_server.audit.verify import verify
from fhir_server.errors import TooCostly
from tests.audit.samples import make_event

Open = Callable[..., Trail]


def bodies(folder: Path) -> list[bytes]:
    found: list[bytes] = []
    for first in segments(folder):
        descriptor = os.open(segment_path(folder, first), os.O_RDONLY)
        found += [entry.body for entry in Walk(descriptor, Head.decode(os.pread(descriptor, HEAD, 0)))]
        os.close(descriptor)
    return found


def test_what_was_appended_is_there_in_its_order(open_trail: Open) -> None:
    trail = open_trail()
    assert trail.append_now([b"one", b"two"]) == 2
    assert trail.append_now([b"three"]) == 3
    assert bodies(trail.folder) == [b"one", b"two", b"three"]


@settings(max_examples=40, deadline=None)
@given(groups=st.lists(st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=5), max_size=12))
def test_any_bytes_come_back_over_reopening_and_new_segments(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    for some in groups:
        trail = Trail(folder, segment_bytes=4000)
        trail.append_now(some)
        trail.close()
    assert bodies(folder) == [body for some in groups for body in some]


def test_many_that_wait_at_once_share_commits(open_trail: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = open_trail()
    synced = []
    real = os.fdatasync
    monkeypatch.setattr(trail_module.os, "fdatasync", lambda descriptor: (synced.append(1), real(descriptor)))

    async def run() -> None:
        await asyncio.gather(*(trail.append(b"%d" % number) for number in range(100)))

    asyncio.run(run())
    assert sorted(bodies(trail.folder), key=int) == [b"%d" % number for number in range(100)]
    assert len(synced) < 5


def test_a_slow_disk_is_waited_for_in_a_thread_while_the_event_loop_goes_on(
    open_trail: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = open_trail()
    monkeypatch.setattr(trail_module, "_SLOW", -1.0)
    monkeypatch.setattr(trail_module, "_SLOW_FOR_MANY", -1.0)
    names = set()
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        import threading

        names.add(threading.current_thread().name)
        real(descriptor)

    monkeypatch.setattr(trail_module.os, "fdatasync", sync)

    async def one(number: int) -> None:
        for turn in range(10):
            await trail.append(b"%d-%d" % (number, turn))

    async def run() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(run())
    assert len(bodies(trail.folder)) == 200
    assert all(name.startswith("yidang-audit") for name in names)


def test_two_trails_on_one_folder_make_one_chain(open_trail: Open) -> None:
    first, second = open_trail(segment_bytes=2000), open_trail(segment_bytes=2000)
    for number in range(200):
        (first, second)[number % 2].append_now([encode(make_event(number))])
    assert [decode(body).correlation for body in bodies(first.folder)] == [f"c{number}" for number in range(200)]
    assert verify(first.folder).problems == []
    assert len(segments(first.folder)) > 10


WORKER = """
import sys
from pathlib import Path
from fhir_server.audit.trail import Trail
trail = Trail(Path(sys.argv[1]), segment_bytes=20_000)
for number in range(int(sys.argv[3])):
    trail.append_now([b"%s-%d" % (sys.argv[2].encode(), number)])
"""


def test_three_processes_make_one_chain(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    command = [sys.executable, "-c", WORKER, str(folder)]
    running = [subprocess.Popen([*command, name, "300"]) for name in "abc"]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    found = bodies(folder)
    assert len(found) == len(set(found)) == 900
    for name in (b"a", b"b", b"c"):
        mine = [body for body in found if body.startswith(name)]
        assert mine == [b"%s-%d" % (name, number) for number in range(300)]


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_the_hash_can_be_chosen(open_trail: Open, algorithm: str) -> None:
    trail = open_trail(algorithm=algorithm)
    trail.append_now([encode(make_event())])
    assert Head.decode(segment_path(trail.folder, 1).read_bytes()).algorithm == algorithm
    assert verify(trail.folder).problems == []


def test_an_unknown_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="md5"):
        Trail(tmp_path, "md5")


def test_half_an_entry_of_a_crash_is_set_aside_and_told(open_trail: Open) -> None:
    trail = open_trail()
    trail.append_now([encode(make_event(1))])
    trail.append_now([encode(make_event(2))])
    offset = trail._offset
    trail.close()
    path = segment_path(trail.folder, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[: offset - 40] + bytes(len(whole) - offset + 40))  # its end never reached the disk
    again = open_trail()
    again.append_now([encode(make_event(3))])
    told = [decode(body) for body in bodies(again.folder)]
    assert [event.code for event in told] == ["read", "set-aside", "read"]
    assert (again.folder / told[1].detail).stat().st_size > 100
    assert "set aside" in verify(again.folder).problems[0]


def test_zeros_after_the_end_are_no_damage(open_trail: Open) -> None:
    trail = open_trail()
    trail.append_now([encode(make_event(1))])
    trail.close()
    with segment_path(trail.folder, 1).open("ab") as file:
        file.write(bytes(100_000))
    assert verify(open_trail().folder).problems == []


def test_a_full_disk_refuses_and_loses_nothing(open_trail: Open) -> None:
    trail = open_trail()
    trail.append_now([b"before"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = segment_path(trail.folder, 1).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(TooCostly, match="audit trail"):
            trail.append_now([bytes([7]) * 300_000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert trail.append_now([b"after"]) == 2
    assert bodies(trail.folder) == [b"before", b"after"]


def test_after_a_failed_sync_nothing_is_taken_any_more(open_trail: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = open_trail()

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(trail_module.os, "fdatasync", fails)
        with pytest.raises(TooCostly):
            trail.append_now([b"lost perhaps"])
    with pytest.raises(TooCostly, match="Input/output"):
        trail.append_now([b"next"])


def test_whoever_waits_is_told_of_the_failure(open_trail: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = open_trail()

    def fails(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    async def run() -> list[BaseException | None]:
        return await asyncio.gather(*(trail.append(b"x") for _ in range(3)), return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(trail_module.os, "pwrite", fails)
        assert all(isinstance(error, TooCostly) for error in asyncio.run(run()))
    assert trail.append_now([b"room again"]) == 1


def test_an_asker_that_went_away_leaves_its_entry(open_trail: Open) -> None:
    trail = open_trail()

    async def run() -> None:
        task = asyncio.create_task(trail.append(b"gone"))
        await asyncio.sleep(0)
        task.cancel()
        await trail.append(b"here")

    asyncio.run(run())
    assert bodies(trail.folder) == [b"gone", b"here"]


def test_killed_between_two_segments_the_chain_is_whole_and_goes_on(
    open_trail: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = open_trail(segment_bytes=1000)
    folder = trail.folder
    trail.append_now([b"x" * 1200])

    def killed(arriving: Path, first: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trail, "_place", killed)
        with pytest.raises(KeyboardInterrupt):
            trail.append_now([b"never answered"])
    trail.close()
    assert segments(folder) == [1]
    assert not [problem for problem in verify(folder).problems if "no event" not in problem]
    again = open_trail(segment_bytes=1000)
    assert again.append_now([b"after"]) == 2
    assert bodies(folder) == [b"x" * 1200, b"after"]
    again.close()

    arriving_path(folder, 2).unlink(missing_ok=True)
    segment_path(folder, 2).unlink()
    assert any("is not there" in problem for problem in verify(folder).problems)
