"""The pages in a real browser: by keyboard, without scripts, from 320 pixels on, under their own policy.

Needs Chromium, which ``make browser`` installs.
"""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from fhir_server.auth.directory import Person
from tests.auth.people import COUNTY, IDENTITY_NUMBER, PASSWORD, TOWNSHIP, World

SMALL, LARGE = {"width": 320, "height": 640}, {"width": 1280, "height": 800}
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail(
            "Chromium is not installed; `make browser` installs it (apt-get install chromium fonts-wqy-microhei)"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def served(clinic: World) -> Iterator[str]:
    """The address of the pages, on a port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(clinic.app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


class _App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<link rel=icon href=data:,><p>the app</p>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def app() -> Iterator[str]:
    """The address of an app, of another origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/callback"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(chromium: Browser, served: str, app: str) -> Iterator[Visit]:
    """A page of a fresh browser; what breaks the policy, or asks another machine, fails the test at its end."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(path: str, viewport: dict[str, int] = SMALL, scripts: bool = False) -> Page:
        size = {"width": viewport["width"], "height": viewport["height"]}
        context = chromium.new_context(viewport=size, java_script_enabled=scripts, base_url=served)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((served, app)) else complaints.append(f"asks {asked.url}"),
        )
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in complaints if "status of 4" not in text] == []


def fits(page: Page) -> bool:
    """Whether nothing sticks out sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def unlabelled(page: Page) -> int:
    """How many fields of the page have no label."""
    script = "[...document.querySelectorAll('input:not([type=hidden])')].filter(i => !i.labels.length).length"
    return int(page.evaluate(script))


def kept(page: Page, folder: Path, name: str) -> None:
    page.screenshot(path=folder / f"{name}-{(page.viewport_size or SMALL)['width']}.png", full_page=True)


@pytest.mark.parametrize("viewport", [SMALL, LARGE], ids=["320", "1280"])
def test_a_resident_lets_an_app_in_by_keyboard_alone_without_scripts(
    clinic: World, visit: Visit, app: str, viewport: dict[str, int], tmp_path: Path
) -> None:
    clinic.resident()
    clinic.records.families["zhang"].append(Person("child", "张小宝", "2020-05-05"))
    page = visit(clinic.flow("openid offline_access patient/Observation.rs patient/Consent.cruds", app), viewport)
    keyboard = page.keyboard
    kept(page, tmp_path, "sign-in")
    assert fits(page)
    keyboard.type(IDENTITY_NUMBER)  # the cursor stands in the first field
    keyboard.press("Tab")
    keyboard.type("wrong")
    keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    kept(page, tmp_path, "sign-in-refused")
    keyboard.type(PASSWORD)  # the login is still there, the cursor stands in the password
    keyboard.press("Enter")
    page.wait_for_url("**/auth/choose*")
    kept(page, tmp_path, "choose-person")
    assert fits(page)
    page.get_by_role("radio").first.focus()
    keyboard.press("ArrowDown")
    keyboard.press("Tab")
    keyboard.press("Enter")
    page.wait_for_url("**/auth/approve*")
    kept(page, tmp_path, "approve")
    assert fits(page)
    assert unlabelled(page) == 0
    page.get_by_role("checkbox", name="不给: 您离开之后仍可继续使用").focus()
    keyboard.press("Space")
    page.get_by_role("button", name="同意", exact=True).focus()
    keyboard.press("Enter")
    page.wait_for_url(f"{app}*")
    approved = clinic.answers[-1][1]
    assert approved is not None
    assert (approved.requester.patient, approved.requester.purpose) == ("child", "FAMRQT")
    assert "offline_access" not in approved.scope


@pytest.mark.parametrize("viewport", [SMALL, LARGE], ids=["320", "1280"])
def test_staff_set_up_the_second_factor_and_choose_their_role(
    clinic: World, visit: Visit, app: str, viewport: dict[str, int], tmp_path: Path
) -> None:
    clinic.doctor(with_totp=False)
    clinic.records.roles["doctor"] = [COUNTY, TOWNSHIP]
    clinic.records.visible["p1"] = Person("p1", "王五")
    page = visit(clinic.flow("openid launch/patient user/*.rs", app), viewport)
    page.get_by_label("登录名、身份证号或手机号").fill("doctor.li")
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录").click()
    page.wait_for_url("**/auth/totp*")
    kept(page, tmp_path, "enrol")
    assert fits(page)
    picture = page.get_by_role("img", name="两步验证二维码").locator("svg").bounding_box()
    assert picture is not None
    assert picture["width"] >= 180
    secret = page.locator("code.secret").inner_text().replace(" ", "")
    page.get_by_label("输入验证器显示的 6 位数字").fill(clinic.code(secret))
    page.get_by_role("button", name="继续").click()
    page.wait_for_selector("ul.codes")
    kept(page, tmp_path, "recovery")
    assert fits(page)
    page.get_by_role("link", name="我已保存，继续").click()
    page.wait_for_url("**/auth/choose*")
    kept(page, tmp_path, "choose-role")
    assert fits(page)
    assert unlabelled(page) == 0
    card = page.locator("form.card").nth(1)
    card.get_by_label("健康管理").check()
    card.get_by_role("button", name="以此身份继续").click()
    page.get_by_label("患者的健康码或患者编号").fill("p1")
    kept(page, tmp_path, "choose-patient")
    page.get_by_role("button", name="继续").click()
    page.wait_for_url("**/auth/approve*")
    kept(page, tmp_path, "approve-staff")
    page.get_by_role("button", name="拒绝").click()
    page.wait_for_url(f"{app}?error=access_denied*")


@pytest.mark.parametrize("viewport", [SMALL, LARGE], ids=["320", "1280"])
def test_the_account_pages_fit_in_both_languages(
    clinic: World, visit: Visit, viewport: dict[str, int], tmp_path: Path
) -> None:
    clinic.resident()
    page = visit("/auth/sign-in", viewport)
    for language in ("zh", "en"):
        page.goto(f"/auth/sign-in?lang={language}")
        if language == "zh":
            page.locator("#login").fill(IDENTITY_NUMBER)
            page.locator("#password").fill(PASSWORD)
            page.locator("button").click()
        for name in ("sessions", "account", "sign-out"):
            page.goto(f"/auth/{name}")
            kept(page, tmp_path, f"{name}-{language}")
            assert fits(page)
            assert unlabelled(page) == 0
            assert page.locator("html").get_attribute("lang") == {"zh": "zh-CN", "en": "en"}[language]
    page.goto("/auth/sign-out")
    page.locator("form button").click()
    kept(page, tmp_path, "signed-out")
    page.goto("/auth/sign-in?flow=gone")
    kept(page, tmp_path, "message")
    assert fits(page)


def test_a_form_of_another_site_signs_nobody_out(clinic: World, visit: Visit, served: str) -> None:
    clinic.resident()
    page = visit("/auth/sign-in", scripts=True)
    page.locator("#login").fill(IDENTITY_NUMBER)
    page.locator("#password").fill(PASSWORD)
    page.locator("button").click()
    page.wait_for_url("**/auth/sessions")
    form = f'<form method="post" action="{served}/auth/sign-out"><button>win a prize</button></form>'
    other = page.context.new_page()
    other.route("https://evil.example/**", lambda route: route.fulfill(body=form, content_type="text/html"))
    other.goto("https://evil.example/")
    other.locator("button").click()
    other.wait_for_url("**/auth/sign-out")
    assert "没有执行" in other.content()
    page.goto("/auth/sessions")
    assert page.url.endswith("/auth/sessions")


def test_the_colours_of_text_stand_out() -> None:
    """WCAG 2.2 AA: at least 4.5 to 1. https://www.w3.org/TR/WCAG22/#contrast-minimum"""
    style = files("fhir_server.auth").joinpath("static/style.css").read_text()
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", style))
    for text, ground in (
        ("ink", "paper"),
        ("soft", "paper"),
        ("soft", "ground"),
        ("green", "paper"),
        ("paper", "green"),
        ("red", "red-ground"),
        ("ink", "done-ground"),
    ):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
