"""Precision and recall of the matching on a generated population: ``python -m fhir_server.records.matching.calibrate``.

Two views: all pairs of records, and the register's own (records come in one by one; each is filed with the person
it certainly is, becomes a new person, or a new person and a steward's task).
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from fhir_server.records.matching.blocking import keys
from fhir_server.records.matching.person import Person, person_of
from fhir_server.records.matching.population import Record, records
from fhir_server.records.matching.score import AUTOMATIC, REVIEW, Grade, Verdict, judge

_BLOCK_MOST = 400  # a key that more records share tells nobody apart


@dataclass(slots=True)
class Measure:
    """Pairs found at a threshold: right, wrong, and how many there were to find."""

    right: int = 0
    wrong: int = 0
    there: int = 0

    @property
    def precision(self) -> float:
        """Share of the pairs found that are one person's."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Share of the pairs of one person that were found."""
        return self.right / self.there if self.there else 1.0


@dataclass(slots=True)
class Report:
    """What a calibration found. ``automatic``: certain pairs; ``review``: certain and probable ones.

    ``numbered``: pairs in which both records carry a checked identity number, at the automatic threshold.
    ``filed``/``misfiled``: records added to the right and to a wrong person; ``tasks``: records that went to a
    steward (``useful`` of them rightly); ``new``: first records; ``missed``: later ones taken for new.
    """

    records: int
    persons: int
    compared: int
    seconds: float
    automatic: Measure
    review: Measure
    numbered: Measure
    errors: list[tuple[Record, Record, Verdict]]
    filed: int = 0
    misfiled: int = 0
    tasks: int = 0
    useful: int = 0
    new: int = 0
    missed: int = 0


def calibrate(made: Sequence[Record]) -> Report:
    """Compare the records pair by pair, then let them come in one by one."""
    started = time.perf_counter()
    persons = [person_of(record.patient) for record in made]
    found: set[tuple[int, int]] = set()
    blocks: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, person in enumerate(persons):
        for key in dict.fromkeys(keys(person)):
            blocks[key].append(place)
    for places in blocks.values():
        if len(places) <= _BLOCK_MOST:
            found.update(combinations(places, 2))
    report = Report(
        len(made), len({record.whose for record in made}), len(found), 0.0, Measure(), Measure(), Measure(), []
    )
    _there(made, persons, report)
    for one, other in found:
        verdict = judge(persons[one], persons[other])
        same = made[one].whose == made[other].whose
        if verdict.grade is Grade.CERTAIN:
            _count(report.automatic, same)
            if persons[one].numbers and persons[other].numbers:
                _count(report.numbered, same)
            if not same:
                report.errors.append((made[one], made[other], verdict))
        if verdict.grade in (Grade.CERTAIN, Grade.PROBABLE):
            _count(report.review, same)
    _arrivals(made, persons, report)
    report.seconds = time.perf_counter() - started
    return report


def _count(measure: Measure, same: bool) -> None:
    if same:
        measure.right += 1
    else:
        measure.wrong += 1


def _there(made: Sequence[Record], persons: Sequence[Person], report: Report) -> None:
    by_person: dict[int, list[int]] = defaultdict(list)
    for place, record in enumerate(made):
        by_person[record.whose].append(place)
    for places in by_person.values():
        count = len(places)
        report.automatic.there += count * (count - 1) // 2
        count = sum(bool(persons[place].numbers) for place in places)
        report.numbered.there += count * (count - 1) // 2
    report.review.there = report.automatic.there


def merged(kept: Person, new: Person) -> Person:
    """A person of the index after a further record was filed with it: it gains numbers and names, else stays."""
    return replace(
        kept,
        numbers=kept.numbers | new.numbers,
        unchecked=kept.unchecked | new.unchecked,
        personal=kept.personal | new.personal,
        phones=kept.phones | new.phones,
        born=kept.born or new.born,
        sex=kept.sex or new.sex,
        mother=kept.mother or new.mother,
        order=kept.order if kept.order is not None else new.order,
    )


def _arrivals(made: Sequence[Record], persons: Sequence[Person], report: Report) -> None:
    index: list[Person] = []
    whose: list[int] = []
    blocks: dict[tuple[str, ...], set[int]] = defaultdict(set)
    known: set[int] = set()
    for record, person in zip(made, persons, strict=True):
        places = {place for key in keys(person) for place in blocks[key] if len(blocks[key]) <= _BLOCK_MOST}
        verdicts = {place: judge(index[place], person) for place in places}
        certain = [place for place, verdict in verdicts.items() if verdict.grade is Grade.CERTAIN]
        probable = [place for place, verdict in verdicts.items() if verdict.grade is Grade.PROBABLE]
        if certain:
            place = max(certain, key=lambda place: (verdicts[place].bits, -place))
            right = whose[place] == record.whose
            report.filed += right
            report.misfiled += not right
            index[place] = merged(index[place], person)
        else:
            place = len(index)
            index.append(person)
            whose.append(record.whose)
            if probable:
                report.tasks += 1
                report.useful += any(whose[other] == record.whose for other in probable)
            elif record.whose in known:
                report.missed += 1
            else:
                report.new += 1
        known.add(record.whose)
        _enter(blocks, keys(index[place]), place)


def _enter(blocks: dict[tuple[str, ...], set[int]], found: Iterable[tuple[str, ...]], place: int) -> None:
    for key in found:
        blocks[key].add(place)


def told(report: Report) -> str:
    """The report in words."""
    lines = [
        f"{report.records:,} records of {report.persons:,} persons; {report.compared:,} pairs compared"
        f" ({report.seconds:.1f} s)",
        "",
        "| threshold | pairs right | wrong | precision | recall |",
        "| --- | --- | --- | --- | --- |",
    ]
    for title, measure in (
        (f"automatic (certain, from {AUTOMATIC:g} bits with a number of the person's own)", report.automatic),
        ("automatic, both with a checked identity number", report.numbered),
        (f"review (certain and probable, from {REVIEW:g} bits)", report.review),
    ):
        lines.append(
            f"| {title} | {measure.right:,} | {measure.wrong:,} | {measure.precision:.4%} | {measure.recall:.2%} |"
        )
    lines += [
        "",
        f"One by one: {report.new:,} new persons, {report.filed:,} records filed with the right person,"
        f" {report.misfiled:,} with a wrong one, {report.tasks:,} to a steward ({report.useful:,} of them duplicates),"
        f" {report.missed:,} duplicates not noticed.",
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the report; the exit status is 1 where records of two persons were put together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    report = calibrate(records(options.records, options.seed))
    print(told(report))
    for one, other, verdict in report.errors[:5]:
        print(verdict.why, one.patient, other.patient, sep="\n  ")
    return 1 if report.automatic.wrong or report.misfiled else 0


if __name__ == "__main__":
    raise SystemExit(main())
