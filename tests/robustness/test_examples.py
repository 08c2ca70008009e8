"""The official examples survive the server: every value, every digit, every key in its place, in JSON and XML.

https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/datatypes.html#decimal
"""

from __future__ import annotations

import json
from typing import Any

from profiles.lossless import parse
from profiles.xml_format import to_xml
from tests.robustness.api import Api

FHIR_XML = "application/fhir+xml"
AS_JSON = {"Accept": "application/fhir+json"}  # a Binary comes in its own type otherwise


def ordered(text: bytes) -> Any:
    """JSON as written: objects as tuples of pairs in their order, numbers as their texts."""
    return json.loads(text, object_pairs_hook=tuple, parse_float="float {}".format, parse_int="int {}".format)


def content(text: bytes) -> Any:
    """The ``ordered`` members of a resource but id and meta, which the server sets."""
    return tuple(pair for pair in ordered(text) if pair[0] not in ("id", "meta"))


def kept_meta(text: bytes) -> dict[str, Any]:
    meta = json.loads(text).get("meta", {})
    return {key: value for key, value in meta.items() if key not in ("versionId", "lastUpdated")}


def identity(text: bytes) -> tuple[str, str]:
    resource = json.loads(text)
    return resource["resourceType"], resource.get("id", "without-id")


def differing(sent: bytes, got: bytes) -> str:
    """Where two resources differ first; '' where they do not."""
    if content(sent) == content(got) and kept_meta(sent) == kept_meta(got):
        return ""
    for before, after in zip(content(sent), content(got), strict=False):
        if before != after:
            return f"{before[0]}: {str(before)[:300]} became {str(after)[:300]}"
    return "members or meta were added or lost"


def same_values(sent: bytes, got: bytes) -> bool:
    """Whether two resources have the same values; XML fixes the order of elements, JSON leaves it open."""

    def unordered(text: bytes) -> Any:
        found = json.loads(text, parse_float="float {}".format, parse_int="int {}".format)
        return {key: value for key, value in found.items() if key not in ("id", "meta")}

    return bool(unordered(sent) == unordered(got) and kept_meta(sent) == kept_meta(got))


def test_every_example_is_valid_and_comes_back_as_it_was_put(api: Api, examples: list[bytes]) -> None:
    problems = []
    for text in examples:
        type_, id_ = identity(text)
        body = text if '"id"' in text.decode()[:200] else text.replace(b"{", b'{"id":"%s",' % id_.encode(), 1)
        answer = api.put(f"{type_}/{id_}", body)
        if not answer.good:
            problems.append(f"{type_}/{id_}: {answer.status} {answer.body[:300]!r}")
            continue
        read = api.get(f"{type_}/{id_}", **AS_JSON)
        if read.body != answer.body:
            problems.append(f"{type_}/{id_}: the answer to PUT is not what is read")
        if found := differing(text, read.body):
            problems.append(f"{type_}/{id_}: {found}")
        if ordered(read.body)[0] != ("resourceType", type_):
            problems.append(f"{type_}/{id_}: resourceType is not first")
    assert not problems, "\n".join(problems)
    assert len(examples) == 491


def test_every_example_sent_as_xml_reads_the_same_as_xml_and_json(api: Api, examples: list[bytes]) -> None:
    problems = []
    for text in examples:
        type_, id_ = identity(text)
        sent = to_xml(parse(text))
        answer = api.post(type_, sent, **{"Content-Type": FHIR_XML, "Accept": FHIR_XML})
        if not answer.good:
            problems.append(f"{type_}/{id_}: {answer.status} {answer.body[:300]!r}")
            continue
        path = answer.headers["location"].partition("/fhir/")[2].partition("/_history")[0]
        as_json = api.get(path, **AS_JSON)
        if not same_values(text, as_json.body):
            problems.append(f"{type_}/{id_}: {differing(text, as_json.body)}")
        as_xml = api.get(path, Accept=FHIR_XML)
        if as_xml.body != answer.body:
            problems.append(f"{type_}/{id_}: the XML answer to POST is not what is read")
        # JSON sent instead of XML gives the same XML: nothing is lost on either way.
        if as_xml.body != to_xml(parse(as_json.body)):
            problems.append(f"{type_}/{id_}: XML and JSON do not say the same")
    assert not problems, "\n".join(problems)


def test_every_example_passes_validation_by_the_operation(api: Api, examples: list[bytes]) -> None:
    problems = []
    for text in examples:
        type_, id_ = identity(text)
        answer = api.post(f"{type_}/$validate", text)
        severities = {issue["severity"] for issue in answer.json["issue"]}
        if answer.status != 200 or severities & {"error", "fatal"}:
            problems.append(f"{type_}/{id_}: {answer.status} {answer.body[:300]!r}")
    assert not problems, "\n".join(problems)
