"""The guide's pages in a real browser: nothing sticks out, nothing is refused by the policy, no script is needed."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

PATHS = ("", "/profile/patient", "/profile/consent-sharing", "/extension/hukou", "/value-set/role", "/mapping")
GROUND = "getComputedStyle(document.querySelector('main')).backgroundColor"
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.mark.parametrize("width", [320, 1280])
def test_pages_fit_and_keep_the_policy(server: Any, width: int) -> None:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("Chromium is not installed; `make browser` installs it")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": 800}, java_script_enabled=False)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        for one in PATHS:
            page.goto(f"{server.root}/guide{one}")
            assert page.evaluate(FITS), one
            assert page.evaluate(GROUND) == "rgb(255, 255, 255)"  # the style sheet is taken
        page.goto(f"{server.root}/guide")
        page.get_by_role("link", name="检验报告 Laboratory report").click()
        assert page.locator("h1").inner_text().startswith("检验报告")
        browser.close()
    assert [text for text in complaints if "status of 404" not in text] == []  # a browser asks for an icon
