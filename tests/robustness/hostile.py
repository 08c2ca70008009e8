"""What the tests of bad input share: a target with a small body limit, and what a proper refusal looks like."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.robustness.api import Answer, Api
from tests.robustness.nursery import Fork

LIMIT = 2_000_000
#: Texts that only a failing server would send.
_INNARDS = re.compile(rb'Traceback|File \\?"|\.py\b|Error:|object at 0x|sqlite3|site-packages|root:x?:0')
_SEVERITIES = {"fatal", "error", "warning", "information"}


class Target:
    """The attacked server."""

    def __init__(self, fork: Fork, log: Path) -> None:
        self.fork, self.log = fork, log
        self.api = fork.ready()

    def versions(self) -> int:
        """How many versions the whole store holds."""
        found: int = self.api.get("_history?_summary=count").json["total"]
        return found

    @contextmanager
    def unharmed(self, unchanged: bool = True) -> Iterator[None]:
        """What happens inside changes nothing (if ``unchanged``), and the server answers at once afterwards."""
        before = self.versions()
        yield
        assert self.answer_time() < 1, "the server is slow after the attack"
        if unchanged:
            assert self.versions() == before, "something was written"

    def answer_time(self) -> float:
        """Seconds of a read on a connection of its own; the better of two, as others use the machine too."""
        times = []
        for _ in range(2):
            api, start = Api(self.fork.url), time.monotonic()
            assert api.get("Patient/witness").status == 200
            times.append(time.monotonic() - start)
            api.close()
        return min(times)

    def faults(self) -> str:
        """What the server logged about failures of its own."""
        return "\n".join(line for line in self.log.read_text().splitlines() if "fault" in line or "Traceback" in line)


def outcome(answer: Answer) -> list[dict[str, Any]]:
    """The issues of an OperationOutcome that tells what is wrong and shows nothing of our insides."""
    assert answer.headers.get("content-type", "").startswith("application/fhir+json"), answer
    found = json.loads(answer.body)
    assert found["resourceType"] == "OperationOutcome", found
    issues: list[dict[str, Any]] = found["issue"]
    assert issues
    for issue in issues:
        assert issue["severity"] in _SEVERITIES
        assert issue["code"]
        assert issue["diagnostics"].strip(), issue
        assert len(issue["diagnostics"]) < 5000, "the refusal repeats the whole attack"
    assert not _INNARDS.search(answer.body), answer.body
    return issues


def refused(answer: Answer, *statuses: int) -> list[dict[str, Any]]:
    """The issues of a 4xx (one of ``statuses``, if given); 501 says that something is understood and not offered."""
    assert 400 <= answer.status < 500 or answer.status == 501, f"{answer.status}: {answer.body[:500]!r}"
    if statuses:
        assert answer.status in statuses, f"{answer.status}: {answer.body[:500]!r}"
    issues = outcome(answer)
    assert any(issue["severity"] in ("error", "fatal") for issue in issues)
    return issues


def refused_or_good(answer: Answer) -> bool:
    """Whether it was accepted; if not, it was refused properly."""
    if answer.good:
        return True
    refused(answer)
    return False


def patient(inner: str) -> bytes:
    """A Patient with these members, as text."""
    return ('{"resourceType":"Patient",' + inner + "}").encode()


def observation(value: str) -> bytes:
    """An Observation with these members beside what it must have, as text."""
    head = '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
    return (head + value + "}").encode()
