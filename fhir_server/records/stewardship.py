"""Stewardship Tasks: what about persons a machine must not decide, put before a steward of the person index.

They are in nobody's file and name no institution as their keeper, so that only stewards (who see identities) see
them: an institution must not learn of similar strangers by the Task that it caused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consent.vocabulary import ROLE, STEWARDSHIP, TASK_KIND
from fhir_server.records.index import Candidate

DUPLICATE, DEMOGRAPHICS = "duplicate-review", "demographic-review"
_ZH = {DUPLICATE: "疑似重复人员复核", DEMOGRAPHICS: "人员基本信息差异复核"}
ACCEPTED = "accepted"
OPEN = frozenset({"requested", "received", "accepted", "in-progress", "on-hold"})


def _task(kind: str, focus: str, institution: str, written: str) -> dict[str, Any]:
    task: dict[str, Any] = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": TASK_KIND, "code": kind, "display": _ZH[kind]}], "text": _ZH[kind]},
        "focus": {"reference": focus},
        "authoredOn": written,
        "performerType": [{"coding": [{"system": ROLE, "code": "steward", "display": "主索引管理员"}]}],
        "input": [],
    }
    if institution:
        task["input"].append(_input("institution", "来源机构", valueReference={"reference": institution}))
    return task


def _input(code: str, text: str, **value: Any) -> dict[str, Any]:
    return {"type": {"coding": [{"system": "urn:yidang:task-input", "code": code}], "text": text}, **value}


def duplicate_review(focus: str, found: Sequence[Candidate], institution: str, written: str) -> dict[str, Any]:
    """The Task that asks whether the Patient ``focus`` is one of the ``found`` ones; ``written`` is an instant."""
    task = _task(DUPLICATE, focus, institution, written)
    for candidate in found:
        task["input"].append(_input("candidate", "疑似同一人", valueReference={"reference": candidate.reference}))
        why = f"{candidate.reference} {candidate.verdict.score:.4f} {' '.join(candidate.verdict.why)}"
        task["input"].append(_input("evidence", "依据", valueString=why))
    return task


def demographic_review(
    focus: str, differences: Sequence[str], institution: str, written: str, proposal: str = ""
) -> dict[str, Any]:
    """The Task that tells what an institution sent otherwise than the Patient ``focus`` has it (element names).

    ``proposal``: the digest of an identity that waits for the steward to accept it.
    """
    task = _task(DEMOGRAPHICS, focus, institution, written)
    task["input"] += [_input("element", "不一致项", valueString=name) for name in differences]
    if proposal:
        task["input"].append(_input("proposal", "待确认的更正", valueString=proposal))
    return task


def waits(task: dict[str, Any]) -> bool:
    """Whether a change of identity waits for the answer to this question."""
    return any(code == "proposal" for code, _, _ in _asked(task))


def is_accepted(task: dict[str, Any]) -> bool:
    """Whether a steward accepted the change of identity that the Task is about."""
    return any(output.get("valueCode") == ACCEPTED for output in task.get("output", ()))


def is_stewardship(task: dict[str, Any], kind: str = DUPLICATE) -> bool:
    """Whether the Task is one of this kind."""
    codings = task.get("code", {}).get("coding", ())
    return any(coding.get("system") == TASK_KIND and coding.get("code") == kind for coding in codings)


def persons_of(task: dict[str, Any]) -> set[str]:
    """The references of the Patients that a duplicate review is about."""
    found = {task.get("focus", {}).get("reference", "")}
    found |= {item.get("valueReference", {}).get("reference", "") for item in task.get("input", ())}
    return {reference for reference in found if reference.startswith("Patient/")}


def question(task: dict[str, Any]) -> object:
    """What a Task asks, so that it is asked once: its kind, the persons, the elements, and who caused it.

    Of a Task that is no question to the stewards, so not written by the server, the kind is none.
    """
    kinds = {kind for kind in STEWARDSHIP if is_stewardship(task, kind)}
    return kinds, task.get("focus", {}).get("reference"), _asked(task)


def _asked(task: dict[str, Any]) -> set[tuple[Any, Any, Any]]:
    asked = set()
    for item in task.get("input", ()):
        code = item.get("type", {}).get("coding", [{}])[0].get("code")
        if code != "evidence":
            asked.add((code, item.get("valueReference", {}).get("reference"), item.get("valueString")))
    return asked
