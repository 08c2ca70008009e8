from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.requester import Scope
from fhir_server.auth.scopes import LETTERS, covers, grantable, narrowed, parse, parse_all, render


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("patient/Observation.rs", Scope("patient", "Observation", "rs")),
        ("user/*.cruds", Scope("user", "*", "cruds")),
        ("system/Patient.r", Scope("system", "Patient", "r")),
        ("patient/*.read", Scope("patient", "*", "rs")),
        ("user/Patient.write", Scope("user", "Patient", "cud")),
        ("system/*.*", Scope("system", "*", "cruds")),
        (
            "patient/Observation.rs?category=http://x.example/a|laboratory&code=a,b",
            Scope("patient", "Observation", "rs", (("category", "http://x.example/a|laboratory"), ("code", "a,b"))),
        ),
        ("user/Observation.s?code=%E8%A1%80", Scope("user", "Observation", "s", (("code", "血"),))),
    ],
)
def test_scopes_of_both_versions_are_read(text: str, scope: Scope) -> None:
    assert parse(text) == scope


@pytest.mark.parametrize(
    "text",
    [
        "",
        "patient/Observation",
        "patient/Observation.",
        "patient/Observation.sr",
        "patient/Observation.rr",
        "patient/Observation.rsx",
        "patient/observation.rs",
        "Patient/Observation.rs",
        "other/Observation.rs",
        "patient/Observation.rs?",
        "patient/Observation.rs?code",
        "patient/Observation.rs?code=",
        "patient/Observation.rs?=a",
        "patient/Observation.read.rs",
        "patient/*.rs extra",
        "patient/Ob*.rs",
        "patient/Observation.rs\n",
    ],
)
def test_what_is_no_scope_is_dropped(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("asked", "registered", "granted"),
    [
        ("patient/*.rs", "patient/*.cruds", "patient/*.rs"),
        ("patient/*.read", "patient/*.cruds", "patient/*.read"),
        ("patient/*.cruds", "patient/*.rs", "patient/*.rs"),
        ("patient/*.rs", "patient/Observation.rs patient/Condition.r", "patient/Observation.rs patient/Condition.r"),
        ("patient/Observation.rs", "patient/Condition.rs", ""),
        ("patient/Observation.rs", "user/*.cruds", ""),
        ("patient/Observation.c", "patient/Observation.rs", ""),
        ("user/Observation.rs", "user/Observation.rs?category=laboratory", "user/Observation.rs?category=laboratory"),
        (
            "user/Observation.rs?code=a",
            "user/Observation.rs?category=laboratory",
            "user/Observation.rs?category=laboratory&code=a",
        ),
        ("openid fhirUser launch/patient", "openid launch/patient", "openid launch/patient"),
        ("openid openid nonsense patient/X", "openid", "openid"),
        ("", "openid", ""),
        ("offline_access", "openid", ""),
        ("user/*.rs", "user/*.r user/*.s", "user/*.r user/*.s"),
        ("user/Patient.rs", "user/*.rs user/Patient.r", "user/Patient.rs"),
    ],
)
def test_a_client_gets_what_it_asks_for_within_what_it_is_registered_for(
    asked: str, registered: str, granted: str
) -> None:
    assert grantable(asked, registered) == granted


def test_contexts_that_make_no_sense_for_the_grant_are_dropped() -> None:
    assert grantable("system/*.rs user/*.rs", "system/*.rs user/*.rs", ("system",)) == "system/*.rs"


_letters = st.sets(st.sampled_from(LETTERS), min_size=1).map(lambda found: "".join(x for x in LETTERS if x in found))
_query = st.lists(st.tuples(st.sampled_from(["code", "category"]), st.text(min_size=1, max_size=5)), max_size=2)
_scopes = st.builds(
    Scope,
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", "Patient", "Observation"]),
    _letters,
    _query.map(lambda pairs: tuple(dict.fromkeys(pairs))),
)


@given(_scopes)
def test_what_is_written_is_read_again(scope: Scope) -> None:
    assert parse_all(render(scope)) == (scope,)


@settings(max_examples=200)
@given(_scopes, st.lists(_scopes, max_size=4))
def test_narrowing_never_gives_more_than_asked_or_registered(asked: Scope, registered: list[Scope]) -> None:
    for scope in narrowed(asked, registered):
        assert covers(asked, scope)
        assert any(covers(allowed, scope) for allowed in registered)


@given(_scopes)
def test_what_is_registered_as_it_is_asked_for_is_given_whole(scope: Scope) -> None:
    assert narrowed(scope, [scope]) == (scope,)
