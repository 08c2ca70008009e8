from __future__ import annotations

import pytest

from fhir_server.interactions.match import anchor, matches
from fhir_server.search.rows import Rows
from fhir_server.search.tree import (
    And,
    Chain,
    Date,
    Id,
    Missing,
    Node,
    Not,
    Or,
    Param,
    Prefix,
    Reference,
    String,
    StringMode,
    Token,
    Uri,
    UriMode,
)

IDENTIFIER = Param("Patient", "identifier")
NAME = Param("Patient", "name")
BIRTH = Param("Patient", "birthdate")
ORGANIZATION = Param("Patient", "organization")
URL = Param("Patient", "url")
ROWS = Rows(
    tok=[("identifier", "http://a", "1"), ("gender", "", "male"), ("url", "", "http://x/y/z")],
    str=[("name", "zhang wei", "Zhang Wei")],
    dat=[("birthdate", 100, 200)],
    ref=[("organization", "Organization", "o1")],
    present={"identifier", "gender", "name", "birthdate", "organization", "url"},
)


@pytest.mark.parametrize(
    "node",
    [
        And(()),
        Token(IDENTIFIER, "http://a", "1"),
        Token(IDENTIFIER, None, "1"),
        Token(IDENTIFIER, "http://a", None),
        String(NAME, StringMode.PREFIX, "zhang"),
        String(NAME, StringMode.CONTAINS, "wei"),
        String(NAME, StringMode.EXACT, "Zhang Wei"),
        String(NAME, StringMode.EQUAL, "zhang wei"),
        String(NAME, StringMode.SUFFIX, "wei"),
        Date(BIRTH, Prefix.EQ, 50, 250),
        Date(BIRTH, Prefix.NE, 150, 250),
        Date(BIRTH, Prefix.GT, 0, 150),
        Date(BIRTH, Prefix.LE, 50, 250),
        Date(BIRTH, Prefix.SA, 0, 100),
        Date(BIRTH, Prefix.EB, 200, 300),
        Reference(ORGANIZATION, None, "o1"),
        Reference(ORGANIZATION, "Organization", "o1"),
        Uri(URL, UriMode.EXACT, "http://x/y/z"),
        Uri(URL, UriMode.BELOW, "http://x/y"),
        Uri(URL, UriMode.ABOVE, "http://x/y/z/1"),
        Missing(Param("Patient", "email"), True),
        Missing(NAME, False),
        Id(("p", "q")),
        Not(Token(IDENTIFIER, None, "2")),
        Or((Id(("other",)), Token(IDENTIFIER, None, "1"))),
    ],
)
def test_a_new_resource_is_found_by_what_its_rows_say(node: Node) -> None:
    assert matches(node, "p", ROWS)


@pytest.mark.parametrize(
    "node",
    [
        String(NAME, StringMode.EQUAL, "zhang"),
        String(NAME, StringMode.SUFFIX, "zhang"),
        Or(()),
        Token(IDENTIFIER, "", "1"),
        Token(IDENTIFIER, "http://b", "1"),
        String(NAME, StringMode.PREFIX, "wei"),
        String(NAME, StringMode.EXACT, "zhang wei"),
        Date(BIRTH, Prefix.EQ, 150, 250),
        Date(BIRTH, Prefix.LT, 100, 150),
        Reference(ORGANIZATION, "Patient", "o1"),
        Uri(URL, UriMode.EXACT, "http://x/y"),
        Missing(NAME, True),
        Id(("q",)),
        Not(Token(IDENTIFIER, None, "1")),
        And((Token(IDENTIFIER, None, "1"), Id(("q",)))),
        Chain(ORGANIZATION, "Organization", And(())),
        Not(Chain(ORGANIZATION, "Organization", And(()))),
    ],
)
def test_it_is_not_found_by_anything_else(node: Node) -> None:
    assert not matches(node, "p", ROWS)


def test_the_anchor_is_a_token_that_every_match_has() -> None:
    token = Token(IDENTIFIER, "http://a", "1")
    assert anchor(And((String(NAME, StringMode.PREFIX, "z"), token))) == ("identifier", "1")
    assert anchor(Or((token,))) is None
    assert anchor(Token(IDENTIFIER, "http://a", None)) is None
