"""Operation Patient/[id]/$consent-status: the rules about a file that are in force now (ours)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.http.exchange import Request, Response
from fhir_server.operations.parameters import simple_pairs
from fhir_server.operations.ruling import asked, rule_part, text_parts

if TYPE_CHECKING:
    from fhir_server.context import Context


async def consent_status(request: Request, context: Context) -> Response:
    """``$consent-status``: each rule in force that the asker may know, with its source and in words."""
    simple_pairs(request, frozenset(), "consent-status")
    question = asked(request.id, context)
    rules = question.told(question.explaining.in_force(request.id, context.clock()))
    permits = sum(rule.grant.permit for rule in rules)
    refusals = len(rules) - permits
    zh = f"现有{permits}条许可、{refusals}条拒绝有效。"
    en = f"{permits} permissions and {refusals} refusals are in force."
    parts = [*text_parts(zh, en), *(rule_part("rule", rule, question.names) for rule in rules)]
    return Response(200, resource={"resourceType": "Parameters", "parameter": parts})
