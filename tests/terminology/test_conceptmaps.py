"""Translation by concept maps: forwards, backwards, and for codes that no element names."""

from __future__ import annotations

from typing import Any

import pytest

from terminology import service
from terminology.arguments import Arguments, arguments_of
from terminology.errors import Invalid, NotKnown
from terminology.registry import from_resources

MAIN: dict[str, Any] = {
    "resourceType": "ConceptMap",
    "url": "urn:main",
    "version": "2",
    "status": "active",
    "sourceUri": "urn:vs:a",
    "targetUri": "urn:vs:b",
    "group": [
        {
            "source": "urn:a",
            "target": "urn:b",
            "element": [
                {"code": "1", "display": "一", "target": [{"code": "x", "equivalence": "wider", "display": "X"}]},
                {
                    "code": "2",
                    "target": [{"code": "x", "equivalence": "equivalent"}, {"code": "y", "equivalence": "narrower"}],
                },
                {"code": "3", "target": [{"equivalence": "unmatched"}]},
                {
                    "code": "4",
                    "target": [
                        {"code": "m", "dependsOn": [{"property": "sex", "value": "male"}], "equivalence": "equal"},
                        {"code": "f", "dependsOn": [{"property": "sex", "value": "female"}], "equivalence": "equal"},
                    ],
                },
                {
                    "code": "5",
                    "target": [{"code": "p", "product": [{"property": "urn:part", "system": "urn:c", "value": "c1"}]}],
                },
            ],
            "unmapped": {"mode": "other-map", "url": "urn:more"},
        }
    ],
}


def mapping(canonical: str, group: dict[str, Any], **unmapped: str) -> dict[str, Any]:
    made = {"source": "urn:a", "target": "urn:b", **group, "unmapped": unmapped}
    return {"resourceType": "ConceptMap", "url": canonical, "status": "active", "group": [made]}


MORE = mapping("urn:more", {"element": [{"code": "9", "target": [{"code": "z"}]}]}, mode="other-map", url="urn:main")
SAME = mapping("urn:same", {}, mode="provided")
FIXED = mapping("urn:fixed", {}, mode="fixed", code="other")
KNOWN = from_resources([MAIN, MORE, SAME, FIXED, {**MAIN, "version": "1", "group": []}])


def matches(**named: Any) -> list[tuple[str | None, str]]:
    answer = service.translate(KNOWN, Arguments(named.items()))
    found = []
    for parameter in answer["parameter"]:
        if parameter["name"] == "match":
            part = {one["name"]: one for one in parameter["part"]}
            code = part["concept"]["valueCoding"]["code"] if "concept" in part else None
            found.append((code, part["equivalence"]["valueCode"]))
    good = any(code is not None and how not in ("unmatched", "disjoint") for code, how in found)
    assert answer["parameter"][0] == {"name": "result", "valueBoolean": good}
    return found


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ({"url": "urn:main", "code": "1", "system": "urn:a"}, [("x", "wider")]),
        ({"url": "urn:main", "code": "2"}, [("x", "equivalent"), ("y", "narrower")]),
        ({"url": "urn:main", "code": "2", "targetsystem": "urn:other"}, []),
        ({"url": "urn:main", "code": "3"}, [(None, "unmatched")]),
        ({"url": "urn:main", "code": "9"}, [("z", "equivalent")]),
        ({"url": "urn:main", "code": "nothing"}, []),
        ({"url": "urn:main|1", "code": "1"}, []),
        ({"url": "urn:same", "code": "q"}, [("q", "equal")]),
        ({"url": "urn:fixed", "code": "q"}, [("other", "inexact")]),
        ({"url": "urn:main", "code": "x", "reverse": "true"}, [("1", "narrower"), ("2", "equivalent")]),
        ({"url": "urn:main", "code": "y", "system": "urn:b", "reverse": "true"}, [("2", "wider")]),
        ({"url": "urn:main", "targetCode": "y", "targetSystem": "urn:b"}, [("2", "wider")]),
        ({"url": "urn:main", "code": "1", "source": "urn:vs:a", "target": "urn:vs:b"}, [("x", "wider")]),
        ({"url": "urn:main", "code": "1", "source": "urn:vs:other"}, []),
        ({"url": "urn:main", "coding": "urn:a|1"}, [("x", "wider")]),
        ({"url": "urn:main", "sourceCode": "1", "sourceSystem": "urn:a"}, [("x", "wider")]),
    ],
)
def test_a_code_is_translated(named: dict[str, Any], wanted: list[tuple[str | None, str]]) -> None:
    assert matches(**named) == wanted


def test_without_a_map_all_are_asked() -> None:
    assert ("x", "wider") in matches(code="1", system="urn:a") and ("1", "equal") in matches(code="1", system="urn:a")


@pytest.mark.parametrize(("sex", "code"), [("male", "m"), ("female", "f")])
def test_a_mapping_may_depend_on_another_value(sex: str, code: str) -> None:
    dependency = [{"name": "element", "valueUri": "sex"}, {"name": "concept", "valueString": sex}]
    asked = [{"name": "url", "valueUri": "urn:main"}, {"name": "code", "valueCode": "4"}]
    parameters = {"parameter": [*asked, {"name": "dependency", "part": dependency}]}
    answer = service.translate(KNOWN, arguments_of(parameters))
    assert answer["parameter"][1]["part"][1]["valueCoding"]["code"] == code
    assert matches(url="urn:main", code="4") == []


def test_products_are_told() -> None:
    answer = service.translate(KNOWN, Arguments([("url", "urn:main"), ("code", "5")]))
    (product,) = [part for part in answer["parameter"][1]["part"] if part["name"] == "product"]
    assert product["part"][1]["valueCoding"] == {"system": "urn:c", "code": "c1"}


def test_what_is_not_known_or_not_asked_is_refused() -> None:
    with pytest.raises(NotKnown):
        matches(url="urn:main|9", code="1")
    with pytest.raises(Invalid):
        matches(url="urn:main")
