"""Bad patches and bad parameters of operations change nothing.

https://hl7.org/fhir/R4/http.html#patch, https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

import json

import pytest

from tests.robustness.hostile import Target, refused, refused_or_good

DEEP = 100_000

PATCHES: dict[str, tuple[str, bytes]] = {
    "no JSON": ("application/json-patch+json", b"{"),
    "an object": ("application/json-patch+json", b"{}"),
    "a number": ("application/json-patch+json", b"5"),
    "null operations": ("application/json-patch+json", b"[null]"),
    "no path": ("application/json-patch+json", b'[{"op":"add","value":1}]'),
    "a path that is none": ("application/json-patch+json", b'[{"op":"add","path":"name","value":1}]'),
    "a path of a number": ("application/json-patch+json", b'[{"op":"remove","path":5}]'),
    "a bad escape": ("application/json-patch+json", b'[{"op":"remove","path":"/name/~2"}]'),
    "an index beyond": (
        "application/json-patch+json",
        b'[{"op":"add","path":"/name/99999999999999999999","value":{}}]',
    ),
    "an index below": ("application/json-patch+json", b'[{"op":"remove","path":"/name/-1"}]'),
    "an unknown operation": ("application/json-patch+json", b'[{"op":"purge","path":"/name"}]'),
    "a failed test": ("application/json-patch+json", b'[{"op":"test","path":"/birthDate","value":"x"}]'),
    "everything removed": ("application/json-patch+json", b'[{"op":"remove","path":""}]'),
    "everything replaced": ("application/json-patch+json", b'[{"op":"replace","path":"","value":[]}]'),
    "the type changed": ("application/json-patch+json", b'[{"op":"replace","path":"/resourceType","value":"Group"}]'),
    "the id changed": ("application/json-patch+json", b'[{"op":"replace","path":"/id","value":"other"}]'),
    "a move into itself": ("application/json-patch+json", b'[{"op":"move","from":"/name","path":"/name/0/text"}]'),
    "a wrong result": ("application/json-patch+json", b'[{"op":"add","path":"/gender","value":"mann"}]'),
    "doubling": (
        "application/json-patch+json",
        json.dumps([{"op": "copy", "from": "/name", "path": "/name/0/extension"}] * 60).encode(),
    ),
    "a deep path": ("application/json-patch+json", b'[{"op":"add","path":"' + b"/a" * 200_000 + b'","value":1}]'),
    "a deep value": (
        "application/json-patch+json",
        b'[{"op":"add","path":"/name","value":' + b"[" * DEEP + b"]" * DEEP + b"}]",
    ),
    "no Parameters": ("application/fhir+json", b'{"resourceType":"Patient"}'),
    "empty Parameters": ("application/fhir+json", b'{"resourceType":"Parameters","parameter":[{"name":"operation"}]}'),
    "a path that cannot be read": (
        "application/fhir+json",
        b'{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.((("}]}]}',
    ),
    "a deep FHIRPath": (
        "application/fhir+json",
        b'{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"'
        + b"(" * 50_000
        + b"name"
        + b")" * 50_000
        + b'"}]}]}',
    ),
    "a long FHIRPath": (
        "application/fhir+json",
        b'{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient'
        + b".name" * 50_000
        + b'"}]}]}',
    ),
    "plain text": ("text/plain", b"x"),
    "a merge patch that is none": ("application/merge-patch+json", b"[5]"),
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_bad_patch_changes_nothing(target: Target, name: str) -> None:
    content_type, body = PATCHES[name]
    with target.unharmed():
        refused(target.api.send("PATCH", "Patient/witness", body, {"Content-Type": content_type}))


@pytest.mark.parametrize("operation", ["$meta-add", "$meta-delete", "$validate", "$everything", "$meta"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'{"resourceType":"Parameters","parameter":5}',
        b'{"resourceType":"Parameters","parameter":[null]}',
        b'{"resourceType":"Parameters","parameter":[{"name":5}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":5}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"resource","resource":5}]}',
        b'{"resourceType":"Patient"}',
    ],
)
def test_bad_parameters_of_an_operation_change_nothing(target: Target, operation: str, body: bytes) -> None:
    with target.unharmed():
        refused_or_good(target.api.post(f"Patient/witness/{operation}", body))
