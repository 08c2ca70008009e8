"""On a population with a real register's troubles no two persons are put together, and few duplicates escape."""

from __future__ import annotations

import pytest

from fhir_server.records.matching.calibrate import calibrate, told
from fhir_server.records.matching.population import records


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_is_put_together_with_somebody_else(seed: int) -> None:
    report = calibrate(records(3000, seed))
    assert [(verdict.why, one.patient, other.patient) for one, other, verdict in report.errors] == []
    assert (report.automatic.wrong, report.misfiled) == (0, 0)
    assert report.automatic.recall > 0.55
    assert report.numbered.recall > 0.8
    assert report.review.recall > 0.93
    assert report.review.precision > 0.9
    assert "| 100.0000% |" in told(report)


def test_a_population_is_the_same_for_the_same_seed() -> None:
    assert records(200, 5) == records(200, 5)
    assert records(200, 5) != records(200, 6)
