"""What README and ``yidang demo`` tell people to type works as printed, on both kinds of demonstration records."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYNTHEA = ROOT / ".." / "shared" / "fhir" / "synthea"
PAGES = ("README.md", "README.zh-CN.md")
PRINTED = "http://127.0.0.1:8080"


def commands(text: str) -> list[str]:
    """The curl commands of a text, continuation lines joined."""
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip().startswith("curl ")]


def fenced(page: str) -> str:
    """What stands in the shell blocks of a page."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S))


@dataclass
class Demo:
    """A running demonstration: where it is, and what was printed before it served."""

    root: str
    printed: str

    def run(self, command: str) -> str:
        """The output of a printed command; fails when curl or the server does."""
        line = 'curl() { command curl -sS --fail-with-body "$@"; }; ' + command.replace(PRINTED, self.root)
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}\n{done.stdout[:2000]}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module", params=["county", "synthea"])
def demo(request, tmp_path_factory, start_server: Callable) -> Demo:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    data = tmp_path_factory.mktemp("demo") / "data"
    paths: list[str] = []
    if request.param == "synthea":
        if not SYNTHEA.is_dir():
            pytest.skip("the Synthea Bundles (../shared/fhir/synthea) are not beside the project")
        small = sorted((p for p in SYNTHEA.glob("*.json.gz") if p.name[1] != "-"), key=lambda p: p.stat().st_size)[:8]
        paths = [str(p) for p in (*sorted(SYNTHEA.glob("0-*")), *small)]
    command = [sys.executable, "-m", "fhir_server.cli", "demo", "--no-serve", "--residents", "40", "--data", str(data)]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    return Demo(start_server("--open", data=data).root, done.stdout)


@pytest.mark.parametrize("page", PAGES)
def test_every_curl_of_the_readme_works_as_printed(demo: Demo, page: str):
    found = commands(fenced(page))
    assert len(found) >= 4
    for command in found:
        answer = demo.run(command)
        if "fhir+xml" in command:
            assert answer.startswith("<?xml") or answer.startswith("<Bundle")
            assert "<entry>" in answer
            continue
        resource = json.loads(answer)
        if resource["resourceType"] == "Bundle":
            assert resource.get("entry") or resource.get("total"), f"{command} finds nothing"


def test_every_curl_that_the_demo_prints_works_as_printed(demo: Demo):
    found = commands(demo.printed)
    assert len(found) == 6
    types = [json.loads(demo.run(command))["resourceType"] for command in found]
    assert types == ["CapabilityStatement", "Patient", "Bundle", "Bundle", "Bundle", "Observation"]
    for command in found[2:5]:
        assert json.loads(demo.run(command))["entry"], f"{command} finds nothing"


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "docs/architecture.md", "docs/decisions/README.md"])
def test_every_link_between_the_pages_leads_somewhere(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t]
    missing = [t for t in targets if not ((ROOT / page).parent / t).exists()]
    assert missing == []


def test_every_make_target_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in (*PAGES, "CONTRIBUTING.md"):
        named = set(re.findall(r"\bmake ([a-z]+)\b", fenced(page) + " ".join(re.findall(r"`make[^`]*`", page))))
        assert named <= targets, page


def test_every_setting_and_command_is_in_the_handbook():
    from dataclasses import fields

    from fhir_server import commands as package
    from fhir_server.settings import Settings

    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    settings = {f"YIDANG_{field.name.upper()}" for field in fields(Settings)} - {"YIDANG_OPEN"}
    assert settings - set(re.findall(r"YIDANG_[A-Z_]+", text)) == set()
    names = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__", "demo"}
    assert {name for name in names if f"yidang {name}" not in text} == set()


def test_every_direct_dependency_is_accounted_for():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {re.match(r"[A-Za-z0-9._-]+", line)[0] for line in wanted}
    pins = dict(re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", (ROOT / "requirements-test.txt").read_text(), re.M))
    for name in names:
        version = pins[name.replace(".", "-").lower()] if name not in pins else pins[name]
        assert f"{name} {version}" in text, f"{name} {version} is not in docs/dependencies.md"


def test_the_pins_hold_hashes_and_no_addresses():
    for name in ("requirements.txt", "requirements-test.txt", "requirements-build.txt"):
        text = (ROOT / name).read_text()
        pins = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
        assert pins and all("--hash=sha256:" in pin for pin in pins)
        assert not re.search(r"://|--index|--find-links|-i ", text)
