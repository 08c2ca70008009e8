"""What the composition root hands out: ids and time."""

from __future__ import annotations

import time
import uuid

from fhir_server.app import new_id, wall_clock


def test_new_ids_are_uuids_of_version_7_in_the_order_of_time() -> None:
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    for id in ids:
        parsed = uuid.UUID(id)
        assert str(parsed) == id
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    moments = [id[:13] for id in ids]
    assert moments == sorted(moments)
    assert abs(int(ids[-1].replace("-", "")[:12], 16) - time.time() * 1000) < 60_000


def test_the_clock_counts_microseconds() -> None:
    assert abs(wall_clock() - time.time() * 1_000_000) < 60_000_000
