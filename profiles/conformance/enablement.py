"""Questionnaire.item.enableWhen: which items of a response may be answered.

https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.conformance import values

Item = dict[str, Any]


def answers_by_link(response: Item) -> dict[str, list[Any]]:
    """The values of all answers by link id."""
    found: dict[str, list[Any]] = {}
    _gather(response.get("item"), found)
    return found


def _gather(items: Any, found: dict[str, list[Any]]) -> None:
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        mine = found.setdefault(str(item.get("linkId")), [])
        for answer in item.get("answer", ()):
            if isinstance(answer, dict):
                mine += [value for key, value in answer.items() if key.startswith("value")]
                _gather(answer.get("item"), found)
        _gather(item.get("item"), found)


class Enablement:
    """Decides by the answers given which items are enabled."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self._answers = answers

    def of(self, question: Item) -> bool:
        """Whether the item is enabled by itself (that what it stands in is, is for the caller)."""
        conditions = [c for c in question.get("enableWhen", ()) if isinstance(c, dict)]
        if not conditions:
            return True
        verdicts = [self._holds(condition) for condition in conditions]
        return any(verdicts) if question.get("enableBehavior") == "any" else all(verdicts)

    def _holds(self, condition: Item) -> bool:
        given = self._answers.get(str(condition.get("question")), [])
        wanted = next((value for key, value in condition.items() if key.startswith("answer")), None)
        operator = str(condition.get("operator"))
        if operator == "exists":
            return bool(given) is (wanted is not False)
        if operator == "!=":
            return not any(_same(value, wanted) for value in given)
        if operator == "=":
            return any(_same(value, wanted) for value in given)
        test = _ORDERS.get(operator)
        kind = next((key for key in condition if key.startswith("answer")), "answer")[6:]
        compare = values.limit("minValue" + kind, wanted)
        orders = [compare(value) for value in given]
        return test is not None and any(order is not None and test(order) for order in orders)


_ORDERS: dict[str, Callable[[int], bool]] = {
    ">": lambda order: order > 0,
    "<": lambda order: order < 0,
    ">=": lambda order: order >= 0,
    "<=": lambda order: order <= 0,
}


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, dict) and isinstance(wanted, dict) and "code" in wanted:
        return value.get("code") == wanted["code"] and value.get("system") == wanted.get("system")
    return values.fixed(wanted)(value)
