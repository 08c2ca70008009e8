"""Operations on the quality of files (ours): Patient/[id]/$quality and Organization/[id]/$quality-report.

Rules and scores: profiles/quality. A file is judged by what of it is open to whoever asks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fhir_server.errors import BadRequest, Forbidden
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.listing import instant
from fhir_server.operations.parameters import simple_pairs
from fhir_server.operations.ruling import Part, seen, text_parts
from fhir_server.records.quality import file_of, files_of, judged, judging
from profiles.quality import BANDS, DIMENSIONS, Assessment, Finding, Rule, Tally, band_of, measure_report

if TYPE_CHECKING:
    from fhir_server.context import Context

_FILES, _MOST_FILES = 200, 2000  # judged by one request
_WORST, _MOST_WORST = 20, 200
# Who sees the report on an institution, within it: those who are to mend the files.
_REPORTED = frozenset({"quality", "records-officer"})


async def quality(request: Request, context: Context) -> Response:
    """``Patient/[id]/$quality``: the score and its reasons. Raises NotFound and Gone for the Patient."""
    simple_pairs(request, frozenset(), "quality")
    seen(context.store.read("Patient", request.id, context.access), f"Patient/{request.id}")
    by = await judging(context)
    stored = await file_of(request.id, context)
    found = judged(stored, by)
    return Response(200, resource={"resourceType": "Parameters", "parameter": _parts(found, len(stored))})


async def quality_report(request: Request, context: Context) -> Response:
    """``Organization/[id]/$quality-report``: a MeasureReport on the files that the institution keeps.

    Judged are at most ``limit`` files; where there are more, the report says so. Raises BadRequest, Forbidden for
    those who are not of the quality office of that institution, NotFound and Gone.
    """
    given = dict(simple_pairs(request, frozenset({"limit", "worst"}), "quality-report"))
    limit = _whole(given, "limit", _FILES, _MOST_FILES, 1)
    worst = _whole(given, "worst", _WORST, _MOST_WORST, 0)
    institution = f"Organization/{request.id}"
    access = context.access
    if not access.unrestricted and (access.party != institution or access.role not in _REPORTED):
        raise Forbidden(
            "机构档案质量报告只供本机构质控、病案人员查看 / "
            "the report on an institution's files is for its own quality and records officers"
        )
    seen(context.store.read("Organization", request.id, access), institution)
    by = await judging(context)
    tally = Tally(worst)
    partial = False
    async for patient, stored in files_of(institution, context):
        if tally.files >= limit:
            partial = True
            break
        tally.add(f"Patient/{patient}", judged(stored, by))
        await asyncio.sleep(0)  # others are answered between
    now = instant(context.clock(), context.settings.zone)
    return Response(200, resource=measure_report(tally, institution, by.today.isoformat(), now, partial))


def _whole(given: dict[str, str], name: str, usual: int, most: int, least: int) -> int:
    text = given.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
        raise BadRequest(f"{name} is a whole number from {least} to {most}, not '{text}'", f"http.{name}", code="value")
    return int(text)


def _parts(found: Assessment, items: int) -> list[Part]:
    band = band_of(found.score)
    zh, en = next((zh, en) for code, _, zh, en in BANDS if code == band)
    failed = len(found.failed)
    return [
        {"name": "score", "valueDecimal": found.score},
        {"name": "band", "valueCode": band},
        {"name": "items", "valueInteger": items},
        {"name": "rules", "valueInteger": len(found.about)},
        *(_dimension(name, score) for name, score in found.dimensions.items()),
        *(_reason(rule, findings) for rule, findings in found.failed),
        *text_parts(
            f"档案质量{found.score}分（{zh}），{failed}项规则未通过。",
            f"The file has {found.score} points ({en}); {failed} rules are failed.",
        ),
    ]


def _dimension(name: str, score: float) -> Part:
    zh, en = DIMENSIONS[name]
    parts: list[Part] = [{"name": "code", "valueCode": name}, {"name": "score", "valueDecimal": score}]
    return {"name": "dimension", "part": [*parts, *text_parts(zh, en)]}


def _reason(rule: Rule, findings: Any) -> Part:
    parts: list[Part] = [
        {"name": "rule", "valueCode": rule.id},
        {"name": "dimension", "valueCode": rule.dimension},
        {"name": "severity", "valueCode": rule.severity},
        {"name": "weight", "valueInteger": rule.weight},
        *text_parts(rule.zh, rule.en),
        *(_finding(finding) for finding in findings),
    ]
    return {"name": "reason", "part": parts}


def _finding(finding: Finding) -> Part:
    element: Part = {"name": "element", "valueString": finding.element}
    return {"name": "finding", "part": [element, *text_parts(finding.zh, finding.en)]}
