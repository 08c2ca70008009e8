"""Operation Patient/[id]/$explain-access: who may see what of a file, by which rule, and why (ours).

Residents ask about anybody, privacy officers about their institution, staff about themselves. The verdict is the
store's own predicate, so that explanation and enforcement are the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from consent import Access, Requester, Scope
from consent.explain import Verdict, why
from consent.policy import access_for
from consent.vocabulary import ROLES
from consent.words import CLASSES, GROUNDS
from fhir_server.errors import BadRequest, Forbidden, NotFound
from fhir_server.http.exchange import Request, Response
from fhir_server.operations.parameters import simple_pairs
from fhir_server.operations.ruling import Asked, Part, asked, rule_part, seen, text_parts, unwatched

if TYPE_CHECKING:
    from fhir_server.context import Context
    from fhir_server.store.protocol import Stored

_WHO = ("institution", "practitioner", "role", "purpose")
_KNOWN = frozenset({"reference", *_WHO})


async def explain_access(request: Request, context: Context) -> Response:
    """``$explain-access``: about ``reference``, whether it is open and why; without it, how far the access reaches."""
    given = dict(simple_pairs(request, _KNOWN, "explain-access"))
    question = asked(request.id, context)
    whose = _whose(given, question)
    if "reference" in given:
        parts = _about(_item(given["reference"], question), whose, question, bool(given.keys() & set(_WHO)))
    else:
        parts = _overall(whose, question)
    return Response(200, resource={"resourceType": "Parameters", "parameter": parts})


def _about(stored: Stored, whose: Access, question: Asked, other: bool) -> list[Part]:
    """The verdict on one item; who else can see it, where the asker asks for itself and may know."""
    verdict = _told(question.explaining.verdict(stored.sequence, question.patient, whose), question)
    parts: list[Part] = [
        {"name": "decision", "valueCode": "permit" if verdict.open else "deny"},
        *text_parts(*why(verdict, question.names)),
        *({"name": "ground", "valueCode": code} for code in dict.fromkeys(verdict.grounds)),
        *(rule_part("rule", rule, question.names) for rule in verdict.rules),
    ]
    for permit, refusal in verdict.withheld:
        parts += [rule_part("rule", permit, question.names), rule_part("refusal", refusal, question.names)]
    if not other and question.judges:
        if stored.custodian:
            parts.append(_keeper(stored.custodian, question))
        open_to = question.explaining.wide(stored.sequence, question.patient, question.context.clock())
        parts += [rule_part("open-to", rule, question.names) for rule in question.told(open_to)]
    return parts


def _keeper(custodian: str, question: Asked) -> Part:
    name = question.names(custodian)
    zh, en = GROUNDS["own"]
    grantee = {"reference": custodian, **({"display": name} if name else {})}
    words = text_parts(f"{name or custodian}：{zh}。", f"{name or custodian}: {en}.")
    return {
        "name": "open-to",
        "part": [{"name": "kind", "valueCode": "own"}, {"name": "grantee", "valueReference": grantee}, *words],
    }


def _overall(whose: Access, question: Asked) -> list[Part]:
    """How many items of each class are open, and the rules that address the requester."""
    reach = question.explaining.reach(question.patient, whose)
    total = sum(reach.values())
    told = "、".join(f"{CLASSES[one][0]}{count}项" for one, count in reach.items())
    english = ", ".join(f"{count} {CLASSES[one][1]}" for one, count in reach.items())
    parts = text_parts(
        f"可以查看{total}项：{told}。" if total else "不能查看该档案的任何内容。",
        f"{total} items are open: {english}." if total else "Nothing of this file is open.",
    )
    for one, count in reach.items():
        code = (one.name or "").lower().replace("_", "-")
        counted: list[Part] = [{"name": "class", "valueCode": code}, {"name": "count", "valueInteger": count}]
        parts.append({"name": "reach", "part": counted})
    if not whose.unrestricted:
        parties = question.explaining.parties(whose) | {"*"}
        rules = question.explaining.in_force(question.patient, question.context.clock())
        mine = [r for r in question.told(rules) if r.grant.grantee in parties and r.grant.purposes & whose.purpose]
        parts += [rule_part("rule", rule, question.names) for rule in mine]
    return parts


def _item(reference: str, question: Asked) -> Stored:
    """The item of this file that is asked about. Raises NotFound where the asker may not know of it."""
    type, _, id = reference.partition("/")
    context = question.context
    if type not in context.definitions.resource_types or not id or "/" in id:
        raise BadRequest("'reference' is Type/id of a resource", "http.reference")
    stored = context.store.read(type, id, context.access)
    if stored is None and question.officer and context.access.party:
        # Its institution's own items, whose contents the officer does not see: only the verdict is told.
        hidden = unwatched(context).read(type, id, Access.everything("explained to the custodian's privacy officer"))
        stored = hidden if hidden is not None and hidden.custodian == context.access.party else None
    if stored is None or (stored.patient != question.patient and stored.id != question.patient):
        raise NotFound(f"There is no {reference} in this file")
    return seen(stored, reference)


def _whose(given: dict[str, str], question: Asked) -> Access:
    """On whose behalf the question is: the asker's own, or that of a described requester."""
    context = question.context
    if not given.keys() & set(_WHO):
        return context.access
    if not question.judges:
        raise Forbidden(
            "About others ask the residents themselves and privacy officers (只有本人和隐私专员可以查询他人的权限)"
        )
    institution, practitioner = given.get("institution", ""), given.get("practitioner", "")
    if question.officer and f"Organization/{institution}" != context.access.party:
        raise Forbidden("隐私专员只能查询本机构 / a privacy officer asks about the own institution")
    if not institution:
        raise BadRequest("Name the institution (Organization id) in which the requester acts", "http.institution")
    code = given.get("role") or ("physician" if practitioner else "system")
    role = ROLES.get(code)
    if role is None:
        raise BadRequest(f"There is no role '{code}'; there are {', '.join(ROLES)}", "http.role")
    purpose = given.get("purpose") or role.purposes[0]
    if purpose not in role.purposes:
        raise BadRequest(f"A {code} acts for {', '.join(role.purposes)}, not {purpose}", "http.purpose")
    requester = Requester(
        "staff" if practitioner else "system",
        f"Practitioner/{practitioner}" if practitioner else "Device/explained",
        "explain-access",
        purpose,
        (Scope("user", "*", "cruds"),),
        institution=institution,
        role=code,
    )
    return access_for(requester, context.clock())


def _told(verdict: Verdict, question: Asked) -> Verdict:
    """The verdict without rules that may not be told to the asker."""
    rules = question.told(list(verdict.rules))
    pairs = [(p, r) for p, r in verdict.withheld if question.told([p, r]) == [p, r]]
    return replace(verdict, rules=tuple(rules), withheld=tuple(pairs))
