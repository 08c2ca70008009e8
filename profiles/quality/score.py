"""The score of a file, and of many files: what part of the weight of the rules that are about it a file passes.

100 points where every rule is passed; each failed one takes its weight. Files are added up one by one.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from profiles.quality.file import File, Finding
from profiles.quality.rules import RULES, Rule

_MOST_FINDINGS = 50  # kept of each rule
# Bands of the score: code, lowest score, Chinese and English.
BANDS: tuple[tuple[str, int, str, str], ...] = (
    ("good", 95, "优", "good"),
    ("fair", 85, "良", "fair"),
    ("poor", 70, "中", "poor"),
    ("bad", 0, "差", "bad"),
)


def band_of(score: float) -> str:
    """The code of the band that a score is in."""
    return next(code for code, lowest, _, _ in BANDS if score >= lowest)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The judgement on a file.

    ``score`` from 0 to 100, to one decimal, and ``dimensions`` the same for each dimension that has rules about the
    file; ``failed``: each failed rule with its findings (at most 50); ``about``: the ids of all rules about it.
    """

    score: float
    dimensions: Mapping[str, float]
    failed: Sequence[tuple[Rule, Sequence[Finding]]]
    about: frozenset[str]


def assess(file: File, rules: Sequence[Rule] = RULES) -> Assessment:
    """Judge a file. A file that no rule is about has 100 points."""
    total: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    failed: list[tuple[Rule, Sequence[Finding]]] = []
    about: set[str] = set()
    for rule in rules:
        if not rule.about(file):
            continue
        about.add(rule.id)
        total[rule.dimension] += rule.weight
        found: list[Finding] = []
        for finding in rule.find(file):
            found.append(finding)
            if len(found) >= _MOST_FINDINGS:
                break
        if found:
            lost[rule.dimension] += rule.weight
            failed.append((rule, found))
    failed.sort(key=lambda pair: -pair[0].weight)
    dimensions = {name: _points(lost[name], weight) for name, weight in total.items()}
    return Assessment(_points(lost.total(), total.total()), dimensions, failed, frozenset(about))


def _points(lost: int, total: int) -> float:
    return round(100 * (1 - lost / total), 1) if total else 100.0


@dataclass(slots=True)
class Tally:
    """The files of an institution, added up; it keeps no file, only the ``most`` worst ones' names and scores.

    ``about`` and ``failed``: files by rule; ``bands``: files by band; ``worst``: score, file, ids of failed rules.
    """

    most: int = 20
    files: int = 0
    points: float = 0.0
    about: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    bands: Counter[str] = field(default_factory=Counter)
    _worst: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)

    def add(self, name: str, assessment: Assessment) -> None:
        """Count one file, called ``name``."""
        self.files += 1
        self.points += assessment.score
        self.bands[band_of(assessment.score)] += 1
        self.about.update(assessment.about)
        failed = tuple(rule.id for rule, _ in assessment.failed)
        self.failed.update(failed)
        if failed and self.most:
            entry = (-assessment.score, name, failed)
            if len(self._worst) < self.most:
                heapq.heappush(self._worst, entry)
            else:
                heapq.heappushpop(self._worst, entry)

    @property
    def score(self) -> float:
        """The mean score, 100 without files."""
        return round(self.points / self.files, 1) if self.files else 100.0

    @property
    def worst(self) -> list[tuple[float, str, tuple[str, ...]]]:
        """Score, name and failed rules of the worst files, the worst first."""
        return [(-score, name, failed) for score, name, failed in sorted(self._worst, reverse=True)]
