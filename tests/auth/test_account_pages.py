"""One's own account: sessions and apps are seen and ended; password and second factor change with the password."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from consent.requester import Requester
from fhir_server.auth import accounts
from fhir_server.auth.account_pages import browser as browser_name
from fhir_server.auth.issue import issue
from tests.auth.people import IDENTITY_NUMBER, PASSWORD, Browser, World

NEW = "Other-kite-8"


def where(browser: Browser) -> str:
    return urlsplit(str(browser.page.url)).path


def signed_in(clinic: World, **headers: str) -> Browser:
    browser = clinic.browser(**headers)
    browser.sign_in(IDENTITY_NUMBER)
    return browser


def alive(browser: Browser) -> bool:
    browser.get("/auth/sessions")
    return where(browser) == "/auth/sessions"


def test_sessions_are_listed_with_browser_address_and_time(clinic: World) -> None:
    clinic.resident()
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36"
    browser = signed_in(clinic, **{"User-Agent": agent})
    for words in ("Chrome · Windows", "10.0.0.1", "2027-01-15", "当前"):
        assert words in browser.page.text


def test_another_session_ends_at_once(clinic: World) -> None:
    clinic.resident()
    mine, other = signed_in(clinic), signed_in(clinic)
    mine.get("/auth/sessions")
    ids = re.findall(r'name="session" value="([0-9a-f]+)"', mine.page.text)
    assert len(ids) == 2
    mine.submit("/auth/sessions", session="others")
    assert alive(mine)
    assert not alive(other)


def test_all_sessions_end(clinic: World) -> None:
    clinic.resident()
    mine, other = signed_in(clinic), signed_in(clinic)
    mine.get("/auth/sessions")
    mine.submit("/auth/sessions", session="all")
    assert where(mine) == "/auth/sign-in"
    assert not alive(mine)
    assert not alive(other)


def test_nobody_ends_the_session_of_another(clinic: World) -> None:
    clinic.resident()
    clinic.doctor()
    other = clinic.browser()
    other.sign_in("doctor.li")
    other.submit("/auth/totp", code=clinic.code())
    id = re.findall(r'name="session" value="([0-9a-f]+)"', other.page.text)[0]
    mine = signed_in(clinic)
    mine.submit("/auth/sessions", session=id)
    assert alive(other)


def test_an_app_is_listed_and_its_authorization_ends(clinic: World) -> None:
    account = clinic.resident()
    asker = Requester("resident", "Patient/zhang", "app", "PATRQT", (), person="zhang")
    for use in ("access", "refresh"):
        issue(clinic.file, asker, 900, now=clinic.clock.now, account=account.id, family="f1", use=use)
    browser = signed_in(clinic)
    assert "f1" in browser.page.text
    browser.submit("/auth/sessions", form=1, app="f1")
    assert "已撤销授权" in browser.page.text
    rows = clinic.file.rows("SELECT revoked FROM tokens")
    assert len(rows) == 2
    assert all(row["revoked"] for row in rows)


def test_sign_out_ends_the_session_and_needs_the_form(clinic: World) -> None:
    clinic.resident()
    browser = signed_in(clinic)
    token = browser.cookie()
    assert browser.post("/auth/sign-out", {"csrf": ""}).status_code == 403
    browser.get("/auth/sign-out")
    browser.submit("/auth/sign-out")
    assert "您已退出登录" in browser.page.text
    assert browser.cookie() is None
    browser.client.cookies.set("yidang-session", str(token), domain="127.0.0.1")
    assert not alive(browser)


def test_the_password_changes_and_other_sessions_end(clinic: World) -> None:
    clinic.resident()
    mine, other = signed_in(clinic), signed_in(clinic)
    mine.get("/auth/account")
    mine.submit("/auth/account", password=PASSWORD, new_password=NEW, new_password_again=NEW)
    assert "密码已修改" in mine.page.text
    assert alive(mine)
    assert not alive(other)
    assert clinic.browser().sign_in(IDENTITY_NUMBER).status_code == 403
    assert clinic.browser().sign_in(IDENTITY_NUMBER, NEW).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"password": "Wrong-kite-7", "new_password": NEW, "new_password_again": NEW}, 403, "当前密码不正确"),
        ({"password": PASSWORD, "new_password": NEW, "new_password_again": NEW + "x"}, 400, "不一致"),
        ({"password": PASSWORD, "new_password": NEW}, 400, "不一致"),
        ({"password": PASSWORD, "new_password": "short", "new_password_again": "short"}, 400, "至少要有 8 个字符"),
        ({"password": PASSWORD, "new_password": PASSWORD, "new_password_again": PASSWORD}, 400, "最近用过"),
    ],
)
def test_a_change_that_may_not_be_is_refused_with_the_reason(
    clinic: World, fields: dict[str, str], status: int, words: str
) -> None:
    clinic.resident()
    browser = signed_in(clinic)
    browser.get("/auth/account")
    assert browser.submit("/auth/account", **fields).status_code == status
    assert words in browser.page.text
    assert clinic.browser().sign_in(IDENTITY_NUMBER).status_code == 200


def test_the_present_password_cannot_be_guessed_in_an_open_session(clinic: World) -> None:
    clinic.resident()
    browser = signed_in(clinic)
    browser.get("/auth/account")
    statuses = [browser.submit("/auth/account", password=f"Wrong-kite-{n}").status_code for n in range(6)]
    assert statuses == [403] * 5 + [429]


@pytest.mark.parametrize("page", ["sessions", "choose", "approve"])
def test_who_has_a_password_of_others_chooses_one_first(clinic: World, page: str) -> None:
    clinic.resident(must_change=True)
    browser = clinic.browser()
    path = clinic.flow()
    browser.sign_in(IDENTITY_NUMBER, path=path)
    assert where(browser) == "/auth/account"
    flow = path.partition("flow=")[2]
    browser.get(f"/auth/{page}?flow={flow}")
    assert where(browser) == "/auth/account"
    browser.submit("/auth/account", password=PASSWORD, new_password=NEW, new_password_again=NEW)
    assert where(browser) == "/auth/approve"


def test_a_resident_turns_the_second_factor_on_and_off(clinic: World) -> None:
    account = clinic.resident()
    browser = signed_in(clinic)
    browser.get("/auth/account")
    browser.submit("/auth/account", form=1, password=PASSWORD, action="totp")
    assert where(browser) == "/auth/totp"
    secret = browser.get("/auth/totp", headers={"Accept": "application/json"}).json()["secret"]
    browser.get("/auth/totp")
    browser.submit("/auth/totp", code=clinic.code(secret))
    assert "恢复码" in browser.page.text
    clinic.clock.now += 30
    other = signed_in(clinic)
    assert where(other) == "/auth/totp"
    other.submit("/auth/totp", code=clinic.code(secret))
    other.get("/auth/account")
    assert "还有 10 个恢复码" in other.page.text
    assert other.submit("/auth/account", form=1, password="Wrong-kite-7", action="remove-totp").status_code == 403
    other.submit("/auth/account", form=1, password=PASSWORD, action="remove-totp")
    found = accounts.get(clinic.file, account.id)
    assert found is not None
    assert not found.totp
    assert not alive(browser)


def test_staff_cannot_turn_the_second_factor_off(clinic: World) -> None:
    account = clinic.doctor()
    browser = clinic.browser()
    browser.sign_in("doctor.li")
    browser.submit("/auth/totp", code=clinic.code())
    browser.get("/auth/account")
    assert "关闭两步验证" not in browser.page.text
    assert browser.submit("/auth/account", form=1, password=PASSWORD, action="remove-totp").status_code == 400
    found = accounts.get(clinic.file, account.id)
    assert found is not None
    assert found.totp


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Linux; Android 14) Chrome/156.0 Mobile Safari/537.36", "Chrome · Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari · iPhone"),
        ("python-httpx/0.28.1", "python-httpx/0.28.1"),
        ("<b>x</b>" * 30, "bx/b" * 10),
        ("", ""),
    ],
)
def test_browsers_are_called_as_people_call_them(agent: str, name: str) -> None:
    assert browser_name(agent) == name
