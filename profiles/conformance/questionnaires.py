"""QuestionnaireResponses against their Questionnaire, and the rules of Questionnaires that are said in words.

https://hl7.org/fhir/R4/questionnaireresponse.html, https://hl7.org/fhir/R4/questionnaire.html
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from profiles.conformance.answers import check_answer, extension_value, same_answer
from profiles.conformance.enablement import Enablement, answers_by_link
from profiles.conformance.run import Check
from profiles.fhirpath.model import Node

if TYPE_CHECKING:
    from profiles.conformance.profile_set import ProfileSet

_MIN_OCCURS = "http://hl7.org/fhir/StructureDefinition/questionnaire-minOccurs"
_MAX_OCCURS = "http://hl7.org/fhir/StructureDefinition/questionnaire-maxOccurs"
_EXCLUSIVE = "http://hl7.org/fhir/StructureDefinition/questionnaire-optionExclusive"
_COMPLETE = ("completed", "amended")

Item = dict[str, Any]


def check_questionnaire(node: Node, check: Check) -> None:
    """Rules of a Questionnaire: what enables a question stands outside of it."""
    _check_items(node.content.get("item"), node.path, check)


def _check_items(items: Any, path: str, check: Check) -> None:
    for place, item in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(item, dict):
            continue
        at = f"{path}.item[{place}]"
        inner = {i["linkId"] for i in _descendants(item) if isinstance(i.get("linkId"), str)}
        conditions = item.get("enableWhen")
        if isinstance(conditions, list) and len(conditions) > 1 and "enableBehavior" not in item:
            check.add(
                "invariant", "que-12: If there are more than one enableWhen, enableBehavior must be specified", at
            )
        for condition in conditions if isinstance(conditions, list) else ():
            question = condition.get("question") if isinstance(condition, dict) else None
            if question in inner:
                check.add("business-rule", f"a question cannot be enabled by '{question}', which stands in it", at)
            elif question == item.get("linkId"):
                check.add("business-rule", "a question cannot be enabled by its own answer", at)
        _check_items(item.get("item"), at, check)


def _descendants(item: Item) -> Iterator[Item]:
    for inner in item.get("item", ()):
        if isinstance(inner, dict):
            yield inner
            yield from _descendants(inner)


def check_response(node: Node, check: Check, profiles: ProfileSet) -> None:
    """A QuestionnaireResponse against its Questionnaire, where that can be found."""
    canonical = node.content.get("questionnaire")
    if not isinstance(canonical, str):
        return
    found = check.resolve(canonical, node)
    if found is None and "|" in canonical:
        found = check.resolve(canonical.partition("|")[0], node)
    known = profiles.kind_of(canonical)
    if found is None and known:
        check.add("invalid", f"{canonical} is a {known}, not a Questionnaire", f"{node.path}.questionnaire")
        return
    if found is None:
        check.add(
            "not-found",
            f"the Questionnaire {canonical} is not known here: the answers are not checked",
            f"{node.path}.questionnaire",
            "warning",
        )
        return
    if found.shape.name != "Questionnaire":
        check.add(
            "invalid",
            f"{canonical} is a {found.shape.name}, not a Questionnaire",
            f"{node.path}.questionnaire",
        )
        return
    _Response(node, found.content, check).run()


class _Response:
    """One response on its way along its questionnaire."""

    def __init__(self, node: Node, questionnaire: Item, check: Check) -> None:
        self._node = node
        self._check = check
        self._questionnaire = questionnaire
        self._complete = node.content.get("status") in _COMPLETE
        self._enablement = Enablement(answers_by_link(node.content))

    def run(self) -> None:
        """Check all items."""
        self._level(
            self._questionnaire.get("item"), self._node.content.get("item"), self._node.path, f"{self._node.path}"
        )

    def _add(self, code: str, text: str, at: str) -> None:
        self._check.add(code, text, at)

    def _level(self, questions: Any, items: Any, path: str, holder: str) -> None:
        """The items of one level: each known, in order, and as many as its question takes."""
        questions = [q for q in questions or () if isinstance(q, dict)] if isinstance(questions, list) else []
        order = {str(q.get("linkId")): place for place, q in enumerate(questions)}
        groups: dict[str, list[tuple[Item, str]]] = {}
        last = -1
        for place, item in enumerate(items if isinstance(items, list) else ()):
            if not isinstance(item, dict):
                continue
            at, link = f"{path}.item[{place}]", str(item.get("linkId"))
            if link not in order:
                self._add("not-found", f"the questionnaire has no item '{link}' here", at)
                continue
            if order[link] < last:
                self._add("structure", f"the item '{link}' comes later in the questionnaire", at)
            last = max(last, order[link])
            groups.setdefault(link, []).append((item, at))
        for question in questions:
            self._question(question, groups.get(str(question.get("linkId")), []), holder)

    def _question(self, question: Item, given: list[tuple[Item, str]], holder: str) -> None:
        enabled = self._enablement.of(question)
        kind, link = question.get("type"), question.get("linkId")
        if not enabled:
            for item, at in given:
                if _is_answered(item):
                    self._add("invalid", f"the item '{link}' has an answer though it is not enabled", at)
            return
        if not given and kind not in ("display",) and question.get("required") is True and self._complete:
            self._add("required", f"the required item '{link}' has no answer", holder)
        repeats = question.get("repeats") is True
        if len(given) > 1 and not (repeats and kind == "group"):
            self._add("invalid", f"the item '{link}' stands here {len(given)} times; one is allowed", given[1][1])
        for item, at in given:
            self._item(question, item, at)

    def _item(self, question: Item, item: Item, at: str) -> None:
        kind, link = question.get("type"), question.get("linkId")
        answers = item.get("answer")
        answers = answers if isinstance(answers, list) else []
        if kind in ("group", "display", "question"):
            if answers:
                self._add("structure", f"an item of type {kind} has no answers", at)
            if kind == "group":
                if question.get("required") is True and self._complete and not item.get("item"):
                    self._add("invariant", f"the required group '{link}' is empty", at)
                self._level(question.get("item"), item.get("item"), at, at)
            return
        if item.get("item"):
            self._add("structure", f"the items below the question '{link}' stand in its answer", at)
        self._count(question, answers, at)
        for place, answer in enumerate(answers):
            if isinstance(answer, dict):
                where = f"{at}.answer[{place}]"
                check_answer(question, self._questionnaire, answer, where, self._check)
                self._level(question.get("item"), answer.get("item"), where, where)
        self._exclusive(question, answers, at)

    def _count(self, question: Item, answers: list[Any], at: str) -> None:
        link, number = question.get("linkId"), len(answers)
        if not number and question.get("required") is True and self._complete:
            self._add("required", f"the required item '{link}' has no answer", at)
        if number > 1 and question.get("repeats") is not True:
            self._add("invalid", f"the item '{link}' has {number} answers; one is allowed", at)
        least, most = extension_value(question, _MIN_OCCURS), extension_value(question, _MAX_OCCURS)
        if isinstance(least, int | Decimal) and number < least and self._complete:
            self._add("invalid", f"the item '{link}' needs at least {least} answers, not {number}", at)
        if isinstance(most, int | Decimal) and number > most:
            self._add("invalid", f"the item '{link}' takes at most {most} answers, not {number}", at)

    def _exclusive(self, question: Item, answers: list[Any], at: str) -> None:
        if len(answers) < 2:
            return
        for option in question.get("answerOption", ()):
            if isinstance(option, dict) and extension_value(option, _EXCLUSIVE) is True:
                for place, answer in enumerate(answers):
                    if same_answer(option, answer):
                        self._add("invariant", "this answer excludes all others", f"{at}.answer[{place}]")


def _is_answered(item: Item) -> bool:
    return bool(item.get("answer")) or any(_is_answered(i) for i in item.get("item", ()) if isinstance(i, dict))
