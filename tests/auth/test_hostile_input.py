"""Whatever is sent to the endpoints, the answer is a refusal in JSON, and nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.auth.protocol import BACK, FHIR, World, world_in


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = world_in(tmp_path_factory.mktemp("hostile"))
    yield made
    made.authenticator.close()
    made.auth_file.close()


_names = st.sampled_from(
    ["grant_type", "client_id", "client_secret", "code", "code_verifier", "redirect_uri", "refresh_token", "scope",
     "client_assertion", "client_assertion_type", "token", "purpose_of_use", "state", "aud", "launch", "response_type",
     "code_challenge", "code_challenge_method", "prompt", "max_age", "nonce"]
)  # fmt: skip
_known = st.sampled_from(
    ["authorization_code", "refresh_token", "client_credentials", "app", "portal", "laboratory", BACK, FHIR, "code",
     "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "a.b.c", "e30.e30.", "patient/*.rs", "S256", "none",
     "patient/Observation.rs?code=%", "system/*.cruds?" + "a=b&" * 50, "1e999", "-1", "\0", "%00", "' OR 1=1 --"]
)  # fmt: skip
_forms = st.dictionaries(_names, _known | st.text(max_size=40), max_size=8)
_quiet = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_quiet
@given(path=st.sampled_from(["token", "introspect", "revoke"]), form=_forms)
def test_a_form_made_up_of_anything_gets_a_refusal(shared: World, path: str, form: dict[str, str]) -> None:
    shared.now += 61
    answer = shared.post(f"/auth/{path}", dict(form))
    if path == "revoke" and answer.status_code == 200:
        return  # a public app may say that a token which does not exist is to end
    assert answer.status_code in (400, 401)
    assert set(answer.json()) == {"error", "error_description"}


@_quiet
@given(form=_forms)
def test_nobody_is_sent_anywhere_but_to_us_or_the_registered_address(shared: World, form: dict[str, str]) -> None:
    shared.now += 61
    answer = shared.http.get("/auth/authorize", params=form)
    if answer.status_code == 303:
        assert answer.headers["location"].startswith((f"{BACK}?", "/auth/sign-in?flow="))
    else:
        assert answer.status_code == 400


@_quiet
@given(header=st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_any_authorization_header_gets_a_refusal(shared: World, header: str) -> None:
    from fhir_server.errors import Unauthorized

    with pytest.raises(Unauthorized):
        shared.authenticator.requester(header, shared.now)


@_quiet
@given(
    body=st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["client_id", "patient", "encounter", "intent", "need_patient_banner"]), inner
            )
        ),
        max_leaves=8,
    )
)
def test_any_launch_is_answered(shared: World, body: Any) -> None:
    shared.now = 1_790_000_000.0
    token = shared.tokens(scope="user/*.rs")["access_token"]
    answer = shared.http.post("/auth/launch", json=body, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (201, 400)


def test_the_file_is_whole_after_all_that(shared: World, tmp_path: Path) -> None:
    row = shared.auth_file.row("PRAGMA integrity_check")
    assert row is not None
    assert row[0] == "ok"
