"""The pages on the API: every command on them works, and every interaction and operation has one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.http.table import ROUTES
from fhir_server.operations import OPERATIONS

PAGES = Path(__file__).parents[2] / "docs" / "api"
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    found = [line for block in _BLOCK.findall(page.read_text()) for line in block.splitlines()]
    return [shlex.split(line.replace("\\$", "$")) for line in found if line.startswith("curl ")]


def run(words: list[str], base: str) -> httpx.Response:
    """Do what the curl command says (the few flags that the pages use)."""
    method, headers, body, url = "", {}, None, ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(rest)
        elif word != "-s":
            assert not url, f"a second URL or an unknown flag: {word}"
            url = word.replace("$BASE", base)
    assert not method or method == "GET" or "Content-Type" in headers or body is None
    return httpx.request(method or "GET", url, headers=headers, content=body, timeout=30)


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_as_printed(page: Path, server: Any) -> None:
    for words in commands(page):
        answer = run(words, server.url)
        assert answer.status_code < 400, f"{shlex.join(words)}\n{answer.text}"


def test_every_interaction_and_operation_has_a_page() -> None:
    pages = {page.stem: page.read_text() for page in PAGES.glob("*.md")}
    names = {route.name.removeprefix("conditional-").partition("-")[0] for route in ROUTES} - {"openapi"}
    assert names <= set(pages)
    for operation in OPERATIONS:
        assert any(text.startswith("# $") and f"${operation.code}" in text.splitlines()[0] for text in pages.values())
    index = pages.pop("README")
    assert all(f"({name}.md)" in index for name in pages)
