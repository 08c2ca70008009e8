"""Sign-in: right and wrong, slow and flooded, known and unknown, from our own page and from another's."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from fhir_server.auth import accounts, passwords, sessions, totp
from tests.auth.people import IDENTITY_NUMBER, PASSWORD, SECRET, Browser, World, hidden_fields


def where(browser: Browser) -> str:
    return urlsplit(str(browser.page.url)).path


# -- residents and staff come in


@pytest.mark.parametrize("login", [IDENTITY_NUMBER, "10012345678", " 990101198001 01001x"])
def test_a_resident_signs_in_with_number_or_phone(clinic: World, login: str) -> None:
    clinic.resident()
    browser = clinic.browser()
    browser.sign_in(login)
    assert (browser.page.status_code, where(browser)) == (200, "/auth/sessions")
    assert "张秀英" in browser.page.text
    assert [event.kind for event in clinic.events] == ["login"]


def test_staff_show_the_second_factor_too(clinic: World) -> None:
    clinic.doctor()
    browser = clinic.browser()
    browser.sign_in("Doctor.Li")
    assert where(browser) == "/auth/totp"
    assert clinic.events == []  # half of it is no sign-in
    browser.submit("/auth/totp", code=clinic.code())
    assert where(browser) == "/auth/sessions"
    assert [(event.kind, event.detail) for event in clinic.events] == [("login", "pwd otp")]


@pytest.mark.parametrize("page", ["sessions", "account", "choose", "approve"])
def test_the_password_alone_opens_no_page_of_staff(clinic: World, page: str) -> None:
    clinic.doctor()
    browser = clinic.browser()
    browser.sign_in("doctor.li")
    browser.get(f"/auth/{page}")
    assert where(browser) == "/auth/totp"


@pytest.mark.parametrize("page", ["totp", "sessions", "account", "choose", "approve"])
def test_without_sign_in_every_page_leads_to_it(clinic: World, page: str) -> None:
    browser = clinic.browser()
    browser.get(f"/auth/{page}")
    assert where(browser) == "/auth/sign-in"


def test_staff_without_second_factor_set_it_up_before_anything_else(clinic: World) -> None:
    clinic.doctor(with_totp=False)
    browser = clinic.browser()
    browser.sign_in("doctor.li")
    assert "<svg" in browser.page.text
    browser.get("/auth/sessions")
    assert where(browser) == "/auth/totp"
    secret = browser.get("/auth/totp", headers={"Accept": "application/json"}).json()["secret"]
    browser.get("/auth/totp")
    assert browser.submit("/auth/totp", code="000000").status_code == 403
    browser.submit("/auth/totp", code=clinic.code(secret))
    codes = browser.page.text.count("<li><code>")
    assert codes == totp.RECOVERY_CODES
    browser.get("/auth/sessions")
    assert where(browser) == "/auth/sessions"
    # The code that was shown when setting it up is used up.
    other = clinic.browser()
    other.sign_in("doctor.li")
    assert other.submit("/auth/totp", code=clinic.code(secret)).status_code == 403
    clinic.clock.now += 30
    other.submit("/auth/totp", code=clinic.code(secret))
    assert where(other) == "/auth/sessions"


# -- nobody learns which accounts there are


def test_known_and_unknown_logins_get_the_same_answer_and_the_same_work(
    clinic: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.doctor()
    work: list[str] = []
    real = passwords._hasher.verify

    class Counting:
        def verify(self, stored: str, password: bytes) -> bool:
            work.append("".join(stored.split("$")[1:4]))
            return real(stored, password)

    monkeypatch.setattr(passwords, "_hasher", Counting())
    answers = []
    for login in ("doctor.li", "doctor.wu", IDENTITY_NUMBER):
        browser = clinic.browser()
        browser.sign_in(login, "Wrong-kite-7")
        hidden = hidden_fields(browser.page.text)
        text = browser.page.text.replace(hidden["csrf"], "").replace(login, "")
        answers.append((browser.page.status_code, text, sorted(browser.page.headers)))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 403
    assert "登录名或密码不正确" in answers[0][1]
    assert len(work) == 3
    assert len(set(work)) == 1


def test_known_and_unknown_logins_are_made_to_wait_alike(clinic: World) -> None:
    clinic.doctor()
    told = []
    for login in ("doctor.li", "doctor.wu"):
        browser = clinic.browser()
        statuses = [browser.sign_in(login, f"Wrong-kite-{n}").status_code for n in range(7)]
        told.append((statuses, browser.page.headers.get("retry-after")))
    assert told[0] == told[1] == ([403] * 5 + [429] * 2, "60")


def test_that_an_account_is_locked_is_told_only_to_who_knows_the_password(clinic: World) -> None:
    account = clinic.resident()
    accounts.lock(clinic.file, account.id, clinic.clock.now)
    browser = clinic.browser()
    assert "登录名或密码不正确" in browser.sign_in(IDENTITY_NUMBER, "Wrong-kite-7").text
    assert "已停用" in browser.sign_in(IDENTITY_NUMBER).text
    assert browser.cookie() is None


# -- guessing ends


def test_a_locked_login_refuses_the_right_password_until_the_wait_is_over(clinic: World) -> None:
    clinic.resident()
    browser = clinic.browser()
    for number in range(5):
        browser.sign_in(IDENTITY_NUMBER, f"Wrong-kite-{number}")
    # The phone is the same person, another address helps nothing.
    other = clinic.browser("10.0.0.2")
    assert other.sign_in("10012345678").status_code == 429
    assert {event.kind for event in clinic.events} == {"refused-login", "lockout"}
    clinic.clock.now += 60
    assert other.sign_in("10012345678").status_code == 200


def test_the_code_cannot_be_guessed_by_giving_the_password_again_and_again(clinic: World) -> None:
    clinic.doctor()
    statuses = []
    for number in range(8):
        browser = clinic.browser()
        if browser.sign_in("doctor.li").status_code == 429:
            statuses.append(429)
            continue
        statuses.append(browser.submit("/auth/totp", code=f"{number:06d}").status_code)
    assert statuses == [403] * 5 + [429] * 3


def test_many_logins_tried_from_one_address_are_refused(clinic: World) -> None:
    clinic.resident()
    browser = clinic.browser()
    browser.get("/auth/sign-in")
    found = [browser.submit("/auth/sign-in", login=f"guess{n}", password="Kite-over-7").status_code for n in range(62)]
    assert found[:60] == [403] * 60
    assert found[60:] == [429] * 2
    assert clinic.browser("10.0.0.2").sign_in(IDENTITY_NUMBER).status_code == 200


def test_successes_of_a_whole_hospital_behind_one_address_are_not_counted(clinic: World) -> None:
    clinic.resident()
    for _ in range(sessions.MOST + 2):
        assert clinic.browser().sign_in(IDENTITY_NUMBER).status_code == 200
    rows = clinic.file.rows("SELECT key FROM login_attempts")
    assert rows == []


def test_a_code_counts_once(clinic: World) -> None:
    clinic.doctor()
    first, second = clinic.browser(), clinic.browser()
    first.sign_in("doctor.li")
    second.sign_in("doctor.li")
    code = clinic.code()
    first.submit("/auth/totp", code=code)
    assert where(first) == "/auth/sessions"
    assert second.submit("/auth/totp", code=code).status_code == 403
    clinic.clock.now += 30
    second.submit("/auth/totp", code=clinic.code())
    assert where(second) == "/auth/sessions"


def test_a_recovery_code_stands_in_for_the_phone_once(clinic: World) -> None:
    account = clinic.doctor(with_totp=False)
    codes = accounts.set_totp(clinic.file, account.id, SECRET)
    browser = clinic.browser()
    browser.sign_in("doctor.li")
    browser.submit("/auth/totp", code=codes[3])
    assert where(browser) == "/auth/sessions"
    assert clinic.events[-1].detail == "pwd recovery"
    other = clinic.browser()
    other.sign_in("doctor.li")
    assert other.submit("/auth/totp", code=codes[3]).status_code == 403


# -- sessions cannot be planted, forms cannot be forged


def test_the_cookie_is_new_after_each_step_and_the_old_ones_are_nothing(clinic: World) -> None:
    clinic.doctor()
    browser = clinic.browser()
    browser.client.cookies.set("yidang-session", "planted", domain="127.0.0.1")
    browser.sign_in("doctor.li")
    half = browser.cookie()
    browser.submit("/auth/totp", code=clinic.code())
    full = browser.cookie()
    assert len({"planted", half, full}) == 3
    for token in ("planted", half):
        thief = clinic.browser()
        thief.client.cookies.set("yidang-session", str(token), domain="127.0.0.1")
        thief.get("/auth/sessions")
        assert where(thief) == "/auth/sign-in"


def test_who_signs_in_anew_ends_the_session_that_the_browser_had(clinic: World) -> None:
    clinic.resident()
    clinic.doctor()
    browser = clinic.browser()
    browser.sign_in(IDENTITY_NUMBER)
    before = browser.cookie()
    browser.get("/auth/sign-out")
    csrf = hidden_fields(browser.page.text)["csrf"]
    browser.post("/auth/sign-in", {"csrf": csrf, "login": "doctor.li", "password": PASSWORD})
    assert where(browser) == "/auth/totp"
    thief = clinic.browser()
    thief.client.cookies.set("yidang-session", str(before), domain="127.0.0.1")
    thief.get("/auth/sessions")
    assert where(thief) == "/auth/sign-in"


@pytest.mark.parametrize(
    ("base", "name", "secure"),
    [("http://127.0.0.1:8080", "yidang-session", False), ("https://127.0.0.1:8080", "__Host-yidang-session", True)],
)
def test_the_cookie_is_kept_from_scripts_and_other_sites(clinic: World, base: str, name: str, secure: bool) -> None:
    clinic.resident()
    browser = clinic.browser(base=base)
    browser.get("/auth/sign-in")
    fields = {**hidden_fields(browser.page.text), "login": IDENTITY_NUMBER, "password": PASSWORD}
    answer = browser.client.post("/auth/sign-in", data=fields)
    cookie = next(line for line in answer.headers.get_list("set-cookie") if line.startswith(f"{name}="))
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= parts
    assert ("secure" in parts) is secure
    assert not any(part.startswith(("domain", "max-age", "expires")) for part in parts)


@pytest.mark.parametrize("csrf", [None, "", "0" * 64, "别人的"])
def test_a_form_without_its_token_is_refused(clinic: World, csrf: str | None) -> None:
    clinic.resident()
    browser = clinic.browser()
    browser.get("/auth/sign-in")
    fields = {"login": IDENTITY_NUMBER, "password": PASSWORD, **({} if csrf is None else {"csrf": csrf})}
    assert browser.post("/auth/sign-in", fields).status_code == 403
    assert browser.cookie() is None


def test_the_token_of_one_session_is_nothing_in_another(clinic: World) -> None:
    clinic.resident()
    clinic.doctor()
    attacker, victim = clinic.browser(), clinic.browser()
    attacker.sign_in(IDENTITY_NUMBER)
    token = hidden_fields(attacker.page.text)["csrf"]
    victim.get("/auth/sign-in")
    before = hidden_fields(victim.page.text)["csrf"]
    victim.submit("/auth/sign-in", login="doctor.li", password=PASSWORD)
    for csrf in (token, before):
        assert victim.post("/auth/totp", {"csrf": csrf, "code": clinic.code()}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8081"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("json", [False, True])
def test_what_another_site_sends_is_refused(clinic: World, headers: dict[str, str], json: bool) -> None:
    clinic.resident()
    browser = clinic.browser()
    browser.get("/auth/sign-in")
    fields = {**hidden_fields(browser.page.text), "login": IDENTITY_NUMBER, "password": PASSWORD}
    more = {"json": fields} if json else {"data": fields}
    answer = browser.client.post("/auth/sign-in", headers=headers, **more)
    assert answer.status_code == 403
    assert browser.cookie() is None


def test_our_own_page_is_recognised(clinic: World) -> None:
    clinic.resident()
    browser = clinic.browser(Origin="http://127.0.0.1:8080", **{"Sec-Fetch-Site": "same-origin"})
    assert browser.sign_in(IDENTITY_NUMBER).status_code == 200
    assert browser.cookie()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1:9999", "a b"])
def test_a_host_that_is_not_ours_is_refused(clinic: World, host: str) -> None:
    answer = clinic.browser().client.get("/auth/sign-in", headers={"Host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    ("content", "type", "status"),
    [
        (b"login=a&password=b", "text/plain", 415),
        (b'{"login":"a","password":"b"}', "text/plain", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"login":1}', "application/json", 400),
        (b'{"login":["a",{}]}', "application/json", 400),
        (b"[" * 60000, "application/json", 400),
        (b"login=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=%d" % n for n in range(500)), "application/x-www-form-urlencoded", 400),
        (b"login=" + b"a" * 70000, "application/x-www-form-urlencoded", 413),
        (b"\x00\xff", "application/octet-stream", 415),
        (b"--x", "multipart/form-data; boundary=x", 415),
    ],
)
def test_damaged_forms_are_refused(clinic: World, content: bytes, type: str, status: int) -> None:
    browser = clinic.browser()
    browser.get("/auth/sign-in")
    answer = browser.client.post("/auth/sign-in", content=content, headers={"Content-Type": type})
    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_what_was_typed_is_shown_as_text_only(clinic: World) -> None:
    browser = clinic.browser()
    browser.sign_in('"><script>alert(1)</script>', "x")
    assert "<script" not in browser.page.text
    assert "&#34;&gt;&lt;script&gt;" in browser.page.text


def test_a_fault_of_ours_tells_nothing_of_it(clinic: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.resident()

    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(accounts, "known_as", broken)
    browser = clinic.browser()
    assert browser.sign_in(IDENTITY_NUMBER).status_code == 500
    assert "secret detail" not in browser.page.text
    assert "服务器出错了" in browser.page.text


def test_a_crowd_is_told_to_come_again(clinic: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.resident()

    def crowded(*_: object) -> bool:
        raise passwords.Crowded

    browser = clinic.browser()
    browser.get("/auth/sign-in")
    monkeypatch.setattr(passwords, "verified", crowded)
    answer = browser.submit("/auth/sign-in", login=IDENTITY_NUMBER, password=PASSWORD)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert clinic.file.rows("SELECT 1 FROM login_attempts") == []  # it was no try


# -- programs and languages


def test_a_program_signs_in_with_json_and_is_told_the_next_step(clinic: World) -> None:
    clinic.doctor()
    program = clinic.browser(Accept="application/json")
    assert program.get("/auth/sign-in").json()["step"] == "sign_in"
    answer = program.client.post("/auth/sign-in", json={"login": "doctor.li", "password": "wrong-1A"})
    assert (answer.status_code, answer.json()["error"]) == (403, "credentials")
    answer = program.client.post("/auth/sign-in", json={"login": "doctor.li", "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/totp")
    answer = program.client.post("/auth/totp", json={"code": clinic.code()})
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/sessions")
    assert program.get("/auth/sessions").json()["step"] == "sessions"


def test_the_page_is_chinese_and_on_demand_english_from_then_on(clinic: World) -> None:
    browser = clinic.browser()
    assert '<html lang="zh-CN">' in browser.get("/auth/sign-in").text
    page = browser.get("/auth/sign-in?lang=en").text
    assert '<html lang="en">' in page
    assert "Sign in" in page
    assert '<html lang="en">' in browser.get("/auth/sign-in").text
    assert '<html lang="zh-CN">' in browser.get("/auth/sign-in?lang=zh").text
    assert '<html lang="zh-CN">' in browser.get("/auth/sign-in?lang=<x>").text


def test_no_page_has_a_script_or_a_style_of_its_own(clinic: World) -> None:
    clinic.doctor(with_totp=False)
    browser = clinic.browser()
    pages = [browser.get("/auth/sign-in"), browser.sign_in("doctor.li")]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["cache-control"] == "no-store"
        for forbidden in ("<script", " style=", "<style", "onclick", "javascript:"):
            assert forbidden not in page.text
    style = browser.client.get("/auth/style.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
