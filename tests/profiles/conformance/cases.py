"""The 513 validator cases of HL7 (FHIR/fhir-test-cases, validator/, for R4) run against our validation.

``python -m tests.profiles.conformance.cases`` prints what agrees and what differs, by module (``-q`` only counts,
``--markdown`` the part of docs/validation.md that is made by it).
A case has an outcome of the reference validator for the resource as it is, and often one against a profile;
it agrees when our verdict (an error, or none) is the same for each outcome that is stored.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from profiles.conformance import Options, ProfileSet
from profiles.issues import Issue
from profiles.lossless import ParseError, parse
from profiles.packages import Package, read_package
from profiles.xml_format import from_xml
from tests.profiles.conformance.differences import DIFFERENCES, REASONS

SHARED = Path(__file__).parents[3] / ".." / "shared" / "fhir"
CASES = SHARED / "validator" / "r4-cases.ndjson.gz"
_BAD = ("error", "fatal")


@dataclass
class Verdict:
    """What became of one case: ``wanted`` and ``found`` (an error or not) by outcome, and our issues."""

    case: dict[str, Any]
    group: str
    wanted: dict[str, bool] = field(default_factory=dict)
    found: dict[str, bool] = field(default_factory=dict)
    issues: dict[str, list[Issue]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        return all(self.found.get(key) == value for key, value in self.wanted.items())


@cache
def packages() -> dict[str, Package]:
    """The packages at hand, by name#version."""
    found = [read_package(path.read_bytes()) for path in sorted((SHARED / "packages").glob("*.tgz"))]
    return {package.id: package for package in found}


def cases() -> Iterator[dict[str, Any]]:
    with gzip.open(CASES, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read(text: str) -> dict[str, Any]:
    """A resource of a case. Raises ParseError."""
    if not isinstance(text, str):
        raise ParseError("no text")
    body = text.encode().removeprefix(b"\xef\xbb\xbf")
    value = from_xml(body) if body.lstrip()[:1] == b"<" else parse(body)
    if not isinstance(value, dict):
        raise ParseError("no JSON object")
    return value


def group_of(case: dict[str, Any]) -> str:
    """``own`` (self-contained), ``profile`` (profiles, supporting files or packages at hand), ``absent`` (packages or
    files that are not at hand: it cannot be judged).
    """
    needed = case["options"].get("packages", [])
    if any(name not in packages() for name in needed) or "supporting5" in case["options"]:
        return "absent"
    return "profile" if needed or case.get("profile") or case.get("supporting") else "own"


def run(case: dict[str, Any], everything: dict[str, str]) -> Verdict:
    """Validate the resource of a case as it is, and against the profile that the case names."""
    verdict = Verdict(case, group_of(case))
    profile = case.get("profile")
    # The reference validator had read what its profile needs before it looked at the resource as it is.
    beside = (profile.get("supporting") if isinstance(profile, dict) else None) or {}
    _judge(verdict, "as it is", case["expected"], {**(case.get("supporting") or {}), **beside}, [], everything)
    if isinstance(profile, dict) and profile:
        supporting = {**(case.get("supporting") or {}), **(profile.get("supporting") or {})}
        urls = []
        if profile.get("content"):
            supporting[profile["source"]] = profile["content"]
            with suppress(ParseError, KeyError):
                urls.append(read(profile["content"])["url"])
        elif profile.get("source"):
            urls.append(profile["source"])
        _judge(verdict, "profile", profile.get("expected"), supporting, urls, everything)
    return verdict


def _judge(
    verdict: Verdict,
    key: str,
    expected: list[dict[str, Any]] | None,
    supporting: dict[str, str],
    urls: list[str],
    everything: dict[str, str],
) -> None:
    case = verdict.case
    if expected is not None:
        verdict.wanted[key] = any(issue["severity"] in _BAD for issue in expected)
    resources: list[dict[str, Any]] = []
    missing: list[str] = []
    for text in supporting.values():
        try:
            resources.append(read(text))
        except ParseError:
            continue
    for name in case["options"].get("packages", []):
        if name in packages():
            resources += packages()[name].resources
    try:
        resource = read(case["content"])
    except ParseError as error:
        issues = [Issue("invalid", str(error))]
    else:
        if case["options"].get("validateContains") == "IGNORE":
            resource.pop("contained", None)
        issues = profile_set(resources).check(resource, urls, _options(case, resources, everything, missing))
        if missing:
            verdict.group = "absent"
    verdict.issues[key] = issues
    verdict.found[key] = any(issue.severity in _BAD for issue in issues)


@cache
def _base() -> ProfileSet:
    return ProfileSet.load()


def profile_set(resources: list[dict[str, Any]]) -> ProfileSet:
    return ProfileSet.load(resources) if resources else _base()


def _options(
    case: dict[str, Any], resources: list[dict[str, Any]], everything: dict[str, str], missing: list[str]
) -> Options:
    told = case["options"]
    by_reference = {f"{r.get('resourceType')}/{r.get('id')}": r for r in resources}
    by_url = {r["url"]: r for r in resources if "url" in r}

    def resolve(reference: str) -> dict[str, Any] | None:
        plain = reference.partition("|")[0]
        found = by_reference.get(reference) or by_url.get(plain)
        if found is None:
            text = everything.get(reference.rpartition("/")[2])
            if text is None and told.get("validateReference") == "CHECK_VALID":
                missing.append(reference)
            if text is not None:
                try:
                    found = read(text)
                except ParseError:
                    return None
                if f"{found.get('resourceType')}/{found.get('id')}" != reference:
                    return None
        return found

    return Options(
        unknown_extensions="error",
        resolve=resolve,
        in_words="error",
        examples=told.get("examples", True) is not False,
        displays="error" if told.get("wrong-displays") != "warning" else "warning",
        security=bool(told.get("security-checks") or told.get("noHtmlInMarkdown")),
        must_resolve=str(told.get("validateReference", "")).startswith("CHECK_EXISTS"),
    )


def run_all() -> list[Verdict]:
    found = list(cases())
    everything = {Path(case["file"]).name.rpartition(".")[0]: case["content"] for case in found}
    return [run(case, everything) for case in found]


def table(verdicts: list[Verdict], group: str) -> list[tuple[str, int, int, int]]:
    """(module, judged, agreeing, without a stored outcome) of a group."""
    modules = sorted({v.case["module"] for v in verdicts if v.group == group})
    rows = []
    for module in modules:
        mine = [v for v in verdicts if v.group == group and v.case["module"] == module]
        judged = [v for v in mine if v.wanted]
        rows.append((module, len(judged), sum(v.agrees for v in judged), len(mine) - len(judged)))
    return rows


def report(verdicts: list[Verdict]) -> str:
    """The counts and differences as docs/validation.md has them."""
    lines: list[str] = []
    for group, title in _TITLES.items():
        rows = table(verdicts, group)
        judged, agreeing = sum(r[1] for r in rows), sum(r[2] for r in rows)
        lines += [f"**{title}: {agreeing} of {judged} agree ({100 * agreeing / judged:.1f} %).**", ""]
        lines += ["| module | judged | agree | no outcome stored |", "| --- | --- | --- | --- |"]
        lines += [f"| {module} | {some} | {good} | {none} |" for module, some, good, none in rows]
        lines.append("")
    by_reason: dict[str, list[str]] = {}
    for verdict in verdicts:
        if not verdict.agrees and verdict.group != "absent":
            by_reason.setdefault(DIFFERENCES[verdict.case["name"]], []).append(_said(verdict))
    lines += ["| why we differ | cases (+ we find an error and the reference none, - the other way) |", "| --- | --- |"]
    lines += [f"| {REASONS[reason]} | {', '.join(by_reason[reason])} |" for reason in REASONS if reason in by_reason]
    return "\n".join(lines) + "\n"


_TITLES = {
    "own": "Cases that need nothing else",
    "profile": "Cases with profiles, supporting files, or packages that are at hand",
    "absent": "Cases whose packages or files are not at hand, which cannot be judged",
}


def _said(verdict: Verdict) -> str:
    wanted = any(verdict.wanted[key] and not verdict.found[key] for key in verdict.wanted)
    return f"{'-' if wanted else '+'}{verdict.case['name']}"


def main() -> None:
    start = time.process_time()
    verdicts = run_all()
    if "--markdown" in sys.argv:
        print(report(verdicts), end="")
        return
    for group in ("own", "profile", "absent"):
        rows = table(verdicts, group)
        judged, agreeing = sum(r[1] for r in rows), sum(r[2] for r in rows)
        print(f"\n{group}: {agreeing} of {judged} agree ({100 * agreeing / max(1, judged):.1f} %)")
        for module, some, good, none in rows:
            print(f"  {module:20} {good:3} of {some:3}" + (f"  ({none} without outcome)" if none else ""))
    for verdict in verdicts:
        if not verdict.agrees and verdict.group != "absent" and "-q" not in sys.argv:
            _explain(verdict)
    kinds = Counter((v.group, k) for v in verdicts for k in v.wanted if v.wanted[k] != v.found[k])
    print(kinds, f"{time.process_time() - start:.1f} s")


def _explain(verdict: Verdict) -> None:
    case = verdict.case
    print(f"\n## {verdict.group} {case['module']} {case['name']} {case['file']}")
    for key, wanted in verdict.wanted.items():
        if verdict.found[key] == wanted:
            continue
        expected = case["expected"] if key == "as it is" else case["profile"]["expected"]
        print(f"  {key}: expected {'an error' if wanted else 'none'}")
        if wanted:
            for issue in [i for i in expected if i["severity"] in _BAD][:4]:
                print("     -", issue["code"], issue.get("expression"), issue["text"][:230])
        else:
            for issue in [i for i in verdict.issues[key] if i.severity in _BAD][:4]:
                print("     +", issue.code, issue.expression, issue.diagnostics[:230])


if __name__ == "__main__":
    main()
