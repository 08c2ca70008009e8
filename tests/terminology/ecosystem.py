"""Runs the terminology cases of HL7 (fhir-tx-ecosystem-ig) against anything that answers requests in R4 form.

The cases are written in R5 form: requests are brought to R4, answers to R5, and compared by the rules of the cases:
the order of arrays does not matter, ``$…$`` stands for values that may vary, ``$optional$`` for what may be missing.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ARCHIVE = Path(__file__).parents[3] / "shared" / "fhir" / "tx-ecosystem" / "tests.tar.gz"
_EXTENSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion."
_EQUIVALENCE = {
    "related-to": "relatedto",
    "equivalent": "equivalent",
    "source-is-narrower-than-target": "wider",
    "source-is-broader-than-target": "narrower",
    "not-related-to": "disjoint",
}
_VARIABLE = {
    "uuid": r"(urn:uuid:)?[0-9a-fA-F\-]{36}",
    "instant": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "date": r"\d{4}(-\d\d(-\d\d.*)?)?",
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "token": r"\S+",
    "string": r".+",
    "url": r"\S+",
    "version": r"[^|]+",
    "semver": r"\S+",
}

Answer = tuple[int, dict[str, Any]]
Call = Callable[[str, dict[str, Any], dict[str, str]], Answer]  # operation, Parameters, headers


@dataclass(frozen=True)
class Case:
    """One test of a suite; ``profile`` are further parameters, ``setup`` the definitions that it needs."""

    suite: str
    name: str
    operation: str
    request: dict[str, Any]
    expected: dict[str, Any]
    status: str
    headers: dict[str, str]


@cache
def files() -> dict[str, Any]:
    """The files of the archive by name, read as JSON."""
    found: dict[str, Any] = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith(".json") else None
            if content is not None:
                found[member.name.removeprefix("./").removeprefix("tests/")] = json.loads(
                    content.read().decode("utf-8-sig")
                )
    return found


def cases(*suites: str) -> Iterator[Case]:
    """The cases of the suites (all without names), without those for one certain server only."""
    known = files()
    for suite in known["test-cases.json"]["suites"]:
        if suites and suite["name"] not in suites:
            continue
        setup = [_definition(known[name]) for name in suite.get("setup", ())]
        for test in suite["tests"]:
            if "request" not in test or test.get("mode") == "tx.fhir.org":
                continue
            request = json.loads(json.dumps(known[test["request"]]))
            parameters = request.setdefault("parameter", [])
            for parameter in parameters:
                if "resource" in parameter:
                    parameter["resource"] = _definition(parameter["resource"])
            if "profile" in test:
                parameters += known[test["profile"]]["parameter"]
            parameters += [{"name": "tx-resource", "resource": one} for one in setup]
            headers = {"Accept-Language": test["Accept-Language"]} if "Accept-Language" in test else {}
            for header in [test["header"]] if "header" in test else []:
                headers[header["name"]] = header["value"]
            yield Case(
                suite["name"],
                test["name"],
                test["operation"],
                request,
                known[test["response"]],
                test.get("http-code", "2xx"),
                headers,
            )


def differences(case: Case, answer: Answer) -> list[str]:
    """What in the answer is not as the case expects."""
    status, resource = answer
    if not str(status).startswith(case.status[0]):
        return [f"status {status}, expected {case.status}: {json.dumps(resource, ensure_ascii=False)[:300]}"]
    return list(_compared(case.expected, in_r5(resource), case.expected.get("resourceType", "")))


def passed(case: Case, call: Call) -> bool:
    """Whether the answer is as the case expects."""
    return not differences(case, call(case.operation, case.request, case.headers))


# -- R4 and R5 ----------------------------------------------------------------------------------


def _definition(resource: dict[str, Any]) -> dict[str, Any]:
    """A definition of R5 in R4 form."""
    resource = json.loads(json.dumps(resource))
    if resource.get("resourceType") == "ConceptMap":
        for end in ("source", "target"):
            scope = resource.pop(f"{end}ScopeUri", None) or resource.pop(f"{end}ScopeCanonical", None)
            if scope:
                resource[f"{end}Uri"] = scope
        for group in resource.get("group", ()):
            for element in group.get("element", ()):
                for target in element.get("target", ()):
                    target["equivalence"] = _EQUIVALENCE[target.pop("relationship")]
            group.get("unmapped", {}).pop("relationship", None)
    return resource


def in_r5(value: Any) -> Any:
    """An answer of R4 in R5 form: properties of expansions, and the origin of translations."""
    if isinstance(value, list):
        return [in_r5(one) for one in value]
    if not isinstance(value, dict):
        return value
    out = {key: in_r5(one) for key, one in value.items()}
    extensions = out.pop("extension", [])
    kept = []
    for one in extensions:
        if one.get("url") in (f"{_EXTENSION}property", f"{_EXTENSION}contains.property"):
            parts = {part["url"]: part for part in one["extension"]}
            made: dict[str, Any] = {"code": parts["code"]["valueCode"]}
            if "uri" in parts:
                made["uri"] = parts["uri"]["valueUri"]
            if "value" in parts:
                made |= {key: one for key, one in parts["value"].items() if key != "url"}
            out.setdefault("property", []).append(made)
        else:
            kept.append(one)
    if kept:
        out["extension"] = kept
    if out.get("name") == "match" and "part" in out:
        for part in out["part"]:
            if part["name"] == "source" and "valueUri" in part:
                part |= {"name": "originMap", "valueCanonical": part.pop("valueUri")}
    return out


# -- comparison ---------------------------------------------------------------------------------


def _compared(expected: Any, actual: Any, path: str) -> Iterator[str]:
    match expected:
        case dict():
            if not isinstance(actual, dict):
                yield f"{path}: expected an object, is {actual!r}"
                return
            optional = set(expected.get("$optional-properties$", ()))
            for key, value in expected.items():
                if key.startswith("$"):
                    continue
                if key in actual:
                    yield from _compared(value, actual[key], f"{path}.{key}")
                elif key not in optional and not _all_optional(value):
                    yield f"{path}.{key}: missing, expected {json.dumps(value, ensure_ascii=False)[:200]}"
            for key in actual.keys() - expected.keys() - optional:
                yield f"{path}.{key}: not expected: {json.dumps(actual[key], ensure_ascii=False)[:200]}"
        case list():
            if not isinstance(actual, list):
                yield f"{path}: expected a list, is {actual!r}"
                return
            yield from _lists(expected, actual, path)
        case str():
            if not isinstance(actual, str) or not _fits(expected, actual):
                yield f"{path}: expected {expected!r}, is {actual!r}"
        case _:
            if expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
                yield f"{path}: expected {expected!r}, is {actual!r}"


def _lists(expected: list[Any], actual: list[Any], path: str) -> Iterator[str]:
    """Each expected item has its own actual one, in any order."""
    left = list(actual)
    for item in sorted(expected, key=_is_optional):
        found = next((n for n, one in enumerate(left) if not any(_compared(item, one, path))), None)
        if found is not None:
            left.pop(found)
        elif not _is_optional(item):
            near = next((one for one in left if _alike(item, one)), None)
            if near is not None:
                left.remove(near)
                yield from _compared(item, near, f"{path}[]")
            else:
                yield f"{path}: missing {json.dumps(item, ensure_ascii=False)[:300]}"
    for one in left:
        yield f"{path}: not expected {json.dumps(one, ensure_ascii=False)[:300]}"


def _alike(item: Any, other: Any) -> bool:
    keys = ("name", "code", "url")
    return isinstance(item, dict) and isinstance(other, dict) and all(item.get(k) == other.get(k) for k in keys)


def _is_optional(item: Any) -> bool:
    return isinstance(item, dict) and "$optional$" in item


def _all_optional(value: Any) -> bool:
    return (isinstance(value, list) and all(map(_is_optional, value))) or _is_optional(value)


def _fits(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    if found := re.fullmatch(r"\$external:\d+(?::(.*))?\$", expected, re.DOTALL):
        return not found[1] or found[1] in actual
    if found := re.fullmatch(r"\$choice:(.*)\$", expected):
        return actual in found[1].split("|")
    if found := re.fullmatch(r"\$fragments:(.*)\$", expected):
        return all(part in actual for part in found[1].split("|"))
    pattern = "".join(
        _VARIABLE[part[1:-1]] if part[:1] == "$" and part[1:-1] in _VARIABLE else re.escape(part)
        for part in re.split(r"(\$[a-z]+\$)", expected)
    )
    return re.fullmatch(pattern, actual, re.DOTALL) is not None
