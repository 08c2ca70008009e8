"""The choice of role and patient, and the approval: nothing but what the records say, and what the person allows."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from consent.requester import Requester
from fhir_server.auth.directory import Person
from fhir_server.auth.flow import SECONDS, Approved
from tests.auth.people import APP, COUNTY, IDENTITY_NUMBER, PASSWORD, TOWNSHIP, Browser, World

CHILD = Person("child", "张小宝", "2020-05-05")
STAFF_SCOPE = "openid fhirUser user/*.rs"


def where(browser: Browser) -> str:
    return urlsplit(str(browser.page.url)).path


def staff(clinic: World, scope: str = STAFF_SCOPE, **more: Any) -> Browser:
    """A browser of the doctor, signed in, where the app's request leads."""
    if not clinic.file.rows("SELECT 1 FROM accounts"):
        clinic.doctor()
    browser = clinic.browser()
    browser.sign_in("doctor.li", path=clinic.flow(scope, **more))
    browser.submit("/auth/totp", code=clinic.code())
    clinic.clock.now += 30
    return browser


def resident(clinic: World, scope: str = "openid patient/*.rs", **more: Any) -> Browser:
    browser = clinic.browser()
    browser.sign_in(IDENTITY_NUMBER, path=clinic.flow(scope, **more))
    return browser


def approved(clinic: World) -> Approved:
    found = clinic.answers[-1][1]
    assert found is not None
    return found


def requester(clinic: World) -> Requester:
    return approved(clinic).requester


# -- staff


def test_staff_act_in_one_role_for_one_purpose(clinic: World) -> None:
    clinic.doctor()
    clinic.records.roles["doctor"] = [COUNTY, TOWNSHIP]
    browser = staff(clinic)
    assert where(browser) == "/auth/choose"
    assert browser.page.text.count('class="card"') == 2
    browser.submit("/auth/choose", form=1, purpose="CAREMGT")
    assert where(browser) == "/auth/approve"
    answer = browser.submit("/auth/approve", approve="yes")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{APP}?code=abc&state=")
    found = requester(clinic)
    assert (found.kind, found.subject, found.name) == ("staff", "Practitioner/doctor", "李明")
    assert (found.institution, found.department, found.role, found.role_id) == ("township", "ward1", "nurse", "r2")
    assert (found.purpose, found.patient, found.person) == ("CAREMGT", "", "")
    assert approved(clinic).amr == ("pwd", "otp", "mfa")


def test_everything_can_be_chosen_in_one_request_by_the_obvious_names(clinic: World) -> None:
    clinic.records.visible["p1"] = Person("p1", "王五")
    browser = staff(clinic, "openid launch/patient patient/*.rs")
    browser.submit("/auth/choose", institution="county", role="physician", purpose="TREAT", patient="p1")
    assert where(browser) == "/auth/approve"
    browser.submit("/auth/approve", approve="yes")
    assert (requester(clinic).institution, requester(clinic).patient) == ("county", "p1")


def test_the_first_purpose_is_meant_where_none_is_said(clinic: World) -> None:
    browser = staff(clinic)
    browser.post("/auth/choose", _only_hidden(browser))
    browser.submit("/auth/approve", approve="yes")
    assert requester(clinic).purpose == "TREAT"


def _only_hidden(browser: Browser) -> dict[str, str]:
    from tests.auth.people import hidden_fields

    return {name: value for name, value in hidden_fields(browser.page.text).items() if name in ("csrf", "flow")}


@pytest.mark.parametrize(
    "chosen",
    [
        {"institution": "township"},
        {"institution": "elsewhere", "role": "physician"},
        {"institution": "county", "role": "administrator"},
        {"institution": "county", "role": "physician", "purpose": "HOPERAT"},
        {"institution": "county", "role": "physician", "purpose": "nonsense"},
        {"institution": "county", "role": "physician", "department": "ward1"},
    ],
)
def test_a_role_that_is_not_the_person_s_is_refused(clinic: World, chosen: dict[str, str]) -> None:
    browser = staff(clinic)
    answer = browser.post("/auth/choose", {**_only_hidden(browser), **chosen})
    assert answer.status_code == 403
    browser.get(f"/auth/approve?flow={_only_hidden(browser)['flow']}")
    assert where(browser) == "/auth/choose"


def test_where_two_roles_could_be_meant_neither_is(clinic: World) -> None:
    clinic.doctor()
    clinic.records.roles["doctor"] = [COUNTY, TOWNSHIP]
    browser = staff(clinic)
    assert browser.post("/auth/choose", {**_only_hidden(browser), "purpose": "TREAT"}).status_code == 403


def test_staff_without_a_role_can_do_nothing(clinic: World) -> None:
    clinic.doctor()
    clinic.records.roles["doctor"] = []
    browser = staff(clinic)
    assert browser.page.status_code == 403
    assert "没有有效的机构岗位" in browser.page.text


def test_a_role_that_ends_before_the_approval_is_no_role(clinic: World) -> None:
    browser = staff(clinic)
    browser.submit("/auth/choose")
    clinic.records.roles["doctor"] = [TOWNSHIP]
    assert browser.submit("/auth/approve", approve="yes").status_code == 403
    assert clinic.answers == []


def test_the_app_s_institution_and_purposes_bound_the_choice(clinic: World) -> None:
    clinic.doctor()
    clinic.records.roles["doctor"] = [COUNTY, TOWNSHIP]
    browser = staff(clinic, extra={"institution": "township", "purposes": "CONSULT REFER"})
    assert browser.page.text.count('class="card"') == 1
    assert browser.page.text.count('name="purpose"') == 2
    clinic.records.roles["doctor"] = [COUNTY]
    other = staff(clinic, extra={"institution": "township"})
    assert other.page.status_code == 403


def test_what_was_launched_by_somebody_else_is_refused(clinic: World) -> None:
    browser = staff(clinic, extra={"launch_account": "another"})
    assert browser.page.status_code == 403
    assert browser.post("/auth/choose", {"csrf": "", "role": "physician"}).status_code == 403


def test_the_patient_is_looked_up_as_the_chosen_role_may(clinic: World) -> None:
    browser = staff(clinic, "launch/patient openid user/Patient.rs")
    browser.submit("/auth/choose")
    assert where(browser) == "/auth/choose"
    assert "健康码" in browser.page.text
    assert browser.submit("/auth/choose", patient="hidden").status_code == 404
    assert browser.submit("/auth/choose", patient="").status_code == 404
    asked = clinic.records.looking[-1]
    assert (asked.institution, asked.role, asked.purpose, asked.patient) == ("county", "physician", "TREAT", "")
    assert [(scope.context, scope.type, scope.letters) for scope in asked.scopes] == [("user", "Patient", "rs")]
    clinic.records.visible["p1"] = Person("p1", "王五")
    browser.submit("/auth/choose", patient="p1")
    assert "王五" in browser.page.text
    browser.submit("/auth/approve", approve="yes")
    assert requester(clinic).patient == "p1"


def test_a_new_role_forgets_the_patient_of_the_old(clinic: World) -> None:
    clinic.doctor()
    clinic.records.roles["doctor"] = [COUNTY, TOWNSHIP]
    clinic.records.visible["p1"] = Person("p1", "王五")
    browser = staff(clinic, "launch/patient openid")
    browser.submit("/auth/choose", form=0, patient="p1")
    assert where(browser) == "/auth/approve"
    browser.get(f"/auth/choose?flow={_only_hidden(browser)['flow']}&change=role")
    browser.submit("/auth/choose", form=1)
    assert where(browser) == "/auth/choose"


def test_the_patient_of_a_launch_is_the_one_and_not_asked_for(clinic: World) -> None:
    clinic.records.visible["p7"] = Person("p7", "李七", "1977-07-07")
    browser = staff(clinic, "launch openid patient/*.rs", patient="p7", encounter="e7")
    browser.submit("/auth/choose", patient="p1")
    browser.submit("/auth/approve", approve="yes")
    assert (requester(clinic).patient, requester(clinic).encounter) == ("p7", "e7")
    looked = clinic.records.looking[-1]
    assert (looked.subject, looked.role, looked.purpose) == ("Practitioner/doctor", "physician", "TREAT")


def test_the_name_of_a_launched_patient_whom_one_may_not_see_is_not_told(clinic: World) -> None:
    browser = staff(clinic, "launch openid patient/*.rs", patient="p8")
    browser.submit("/auth/choose", purpose="TREAT")
    assert (where(browser), browser.page.status_code) == ("/auth/approve", 403)
    assert "p8" not in browser.page.text
    browser.submit("/auth/approve", approve="yes")
    assert clinic.answers == []


# -- residents


def test_a_resident_without_wards_is_asked_nothing(clinic: World) -> None:
    clinic.resident()
    browser = resident(clinic)
    assert where(browser) == "/auth/approve"
    browser.submit("/auth/approve", approve="yes")
    found = requester(clinic)
    assert (found.kind, found.subject, found.person, found.patient) == ("resident", "Patient/zhang", "zhang", "zhang")
    assert (found.purpose, found.institution, found.role) == ("PATRQT", "", "")


def test_a_guardian_chooses_the_ward_and_acts_as_guardian(clinic: World) -> None:
    clinic.resident()
    clinic.records.families["zhang"].append(CHILD)
    browser = resident(clinic)
    assert where(browser) == "/auth/choose"
    browser.submit("/auth/choose", patient="child")
    assert "张小宝" in browser.page.text
    browser.submit("/auth/approve", approve="yes")
    found = requester(clinic)
    assert (found.person, found.patient, found.purpose) == ("zhang", "child", "FAMRQT")


def test_somebody_who_is_no_ward_cannot_be_chosen(clinic: World) -> None:
    clinic.resident()
    clinic.records.families["zhang"].append(CHILD)
    clinic.records.visible["other"] = Person("other", "别人")
    browser = resident(clinic)
    assert browser.submit("/auth/choose", patient="other").status_code == 404
    assert clinic.records.looking == []


def test_a_ward_who_comes_of_age_before_the_approval_is_none(clinic: World) -> None:
    clinic.resident()
    clinic.records.families["zhang"].append(CHILD)
    browser = resident(clinic)
    browser.submit("/auth/choose", patient="child")
    del clinic.records.families["zhang"][1]
    assert browser.submit("/auth/approve", approve="yes").status_code == 403
    assert clinic.answers == []


def test_a_resident_whose_record_is_gone_can_do_nothing(clinic: World) -> None:
    clinic.resident()
    clinic.records.families["zhang"] = []
    browser = resident(clinic)
    assert browser.page.status_code == 403


def test_of_merged_patients_the_one_that_is_kept_signs_in(clinic: World) -> None:
    clinic.resident()
    clinic.records.families["zhang"] = [Person("zhang-kept", "张秀英")]
    browser = resident(clinic)
    browser.submit("/auth/approve", approve="yes")
    assert (requester(clinic).subject, requester(clinic).person) == ("Patient/zhang-kept", "zhang-kept")


# -- the answer


def test_the_app_s_wishes_are_told_in_plain_words(clinic: World) -> None:
    clinic.resident()
    browser = resident(clinic, "openid offline_access patient/Observation.rs?category=laboratory patient/Consent.cruds")
    for words in (
        "血压日记",
        "查看张秀英的检验、体征和其他测量结果",
        "category = laboratory",
        "查看、新增、修改、删除张秀英的授权同意书",
        "您离开之后仍可继续使用",
        "app.example",
    ):
        assert words in browser.page.text


def test_what_is_withheld_is_not_given(clinic: World) -> None:
    clinic.resident()
    browser = resident(clinic, "openid offline_access patient/Observation.rs patient/Condition.rs")
    browser.submit("/auth/approve", approve="yes", withhold=["patient/Condition.rs", "offline_access", "openid"])
    assert approved(clinic).scope == "openid patient/Observation.rs"  # openid cannot be left out
    assert [scope.type for scope in requester(clinic).scopes] == ["Observation"]


def test_to_withhold_everything_is_to_refuse(clinic: World) -> None:
    clinic.resident()
    browser = resident(clinic)
    assert browser.submit("/auth/approve", approve="yes", withhold="patient/*.rs").status_code == 400
    answer = browser.submit("/auth/approve", approve="no")
    assert answer.headers["location"].startswith(f"{APP}?error=access_denied")
    assert clinic.answers[-1][1] is None


@pytest.mark.parametrize("answer", [None, "", "perhaps"])
def test_only_yes_is_yes(clinic: World, answer: str | None) -> None:
    clinic.resident()
    browser = resident(clinic)
    assert browser.submit("/auth/approve", **({} if answer is None else {"approve": answer})).status_code == 400
    assert clinic.answers == []


def test_a_request_is_answered_once(clinic: World) -> None:
    clinic.resident()
    browser = resident(clinic)
    fields = {**_only_hidden(browser), "approve": "yes"}
    assert browser.client.post("/auth/approve", data=fields).status_code == 303
    assert browser.client.post("/auth/approve", data=fields).status_code == 400
    assert len(clinic.answers) == 1


def test_a_request_that_waited_too_long_is_gone(clinic: World) -> None:
    clinic.resident()
    path = clinic.flow()
    clinic.clock.now += SECONDS
    browser = clinic.browser()
    assert browser.get(path).status_code == 400
    assert "已过期" in browser.page.text
    assert browser.get("/auth/sign-in?flow=guess").status_code == 400


def test_a_request_belongs_to_the_sign_in_that_took_it_up(clinic: World) -> None:
    clinic.resident()
    clinic.doctor()
    path = clinic.flow()
    mine, thief = clinic.browser(), clinic.browser()
    mine.sign_in(IDENTITY_NUMBER, path=path)
    assert where(mine) == "/auth/approve"
    thief.sign_in("doctor.li", path=path)
    thief.submit("/auth/totp", code=clinic.code())
    assert thief.page.status_code == 403
    assert "另一次登录" in thief.page.text


def test_another_account_goes_on_with_the_same_request(clinic: World) -> None:
    clinic.resident()
    clinic.doctor()
    browser = clinic.browser()
    browser.sign_in(IDENTITY_NUMBER, path=clinic.flow("openid user/*.rs"))
    browser.get(f"/auth/sign-out?flow={_only_hidden(browser)['flow']}")
    browser.submit("/auth/sign-out")
    assert where(browser) == "/auth/sign-in"
    browser.submit("/auth/sign-in", login="doctor.li", password=PASSWORD)
    browser.submit("/auth/totp", code=clinic.code())
    assert where(browser) == "/auth/choose"


def test_who_is_signed_in_is_asked_again_only_where_the_app_wants_it(clinic: World) -> None:
    clinic.resident()
    browser = clinic.browser()
    browser.sign_in(IDENTITY_NUMBER)
    clinic.clock.now += 600
    assert urlsplit(str(browser.get(clinic.flow()).url)).path == "/auth/approve"
    for more in ({"login_again": True}, {"max_age": 300}):
        browser.get(clinic.flow(**more))
        assert where(browser) == "/auth/sign-in"
        assert "再次输入密码" in browser.page.text
        flow = _only_hidden(browser)["flow"]
        assert urlsplit(str(browser.get(f"/auth/approve?flow={flow}").url)).path == "/auth/sign-in"
        browser.submit("/auth/sign-in", login=IDENTITY_NUMBER, password=PASSWORD)
        assert where(browser) == "/auth/approve"
        clinic.clock.now += 600


def test_a_program_completes_the_flow_with_json(clinic: World) -> None:
    clinic.doctor()
    clinic.records.visible["p1"] = Person("p1", "王五")
    program = clinic.browser(Accept="application/json")
    flow = program.get(clinic.flow("launch/patient openid patient/*.rs")).json()["flow"]
    post = program.client.post
    post("/auth/sign-in", json={"flow": flow, "login": "doctor.li", "password": PASSWORD})
    post("/auth/totp", json={"flow": flow, "code": clinic.code()})
    offered = program.get(f"/auth/choose?flow={flow}").json()
    assert offered["roles"][0]["role"] == "physician"
    chosen = {"institution": "county", "role": "physician", "purpose": "TREAT", "patient": "p1"}
    post("/auth/choose", json={"flow": flow, **chosen})
    told = program.get(f"/auth/approve?flow={flow}").json()
    assert (told["step"], told["patient"]["name"]) == ("approve", "王五")
    answer = post("/auth/approve", json={"flow": flow, "approve": "yes"})
    assert answer.headers["location"] == f"{APP}?code=abc&state="


@pytest.mark.parametrize(
    ("redirect", "source"),
    [
        ("https://app.example/callback", "https://app.example"),
        ("http://127.0.0.1:9000/back?x=1", "http://127.0.0.1:9000"),
        ("org.example.app:/back", "org.example.app:"),
        ("https://user@app.example/back", "https://app.example"),
        ("https://app.example;script-src/back", ""),
    ],
)
def test_the_form_may_lead_to_the_app_and_nowhere_else(redirect: str, source: str) -> None:
    from fhir_server.auth.headers import page_headers

    policy = dict(page_headers(True, (redirect,)))["Content-Security-Policy"]
    actions = next(part for part in policy.split(";") if part.strip().startswith("form-action"))
    assert actions.split() == ["form-action", "'self'", *([source] if source else [])]
