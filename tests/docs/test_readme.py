"""What README and ``yidang demo`` tell people to type works as printed, in the order in which it stands there."""

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
PAGES = ("README.md", "README.zh-CN.md")
PRINTED = "http://127.0.0.1:8080"
YIDANG = f"{sys.executable} -m fhir_server.cli"


def commands(text: str) -> list[str]:
    """The curl commands of a text and the assignments they need, continuation lines joined."""
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if re.match(r"\s*(curl |[A-Z]+=)", line)]


def fenced(page: str) -> str:
    """What stands in the shell blocks of a page."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S))


@dataclass
class Demo:
    """A running demonstration: where it is, its file, and what was printed before it served."""

    root: str
    file: Path
    printed: str

    def run(self, found: list[str]) -> list[str]:
        """The outputs of commands that are run in one shell, in order; of assignments empty ones."""
        lines = ["set -e", 'curl() { command curl -sS -w "\\n%{http_code}" "$@"; }']
        for line in found:
            here = line.replace(PRINTED, self.root).replace("demo-data/demo.json", str(self.file))
            lines += [here.replace(".venv/bin/yidang", YIDANG), "echo; echo =====NEXT====="]
        done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120, cwd=ROOT)
        assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr}"
        return [part.strip() for part in done.stdout.split("=====NEXT=====")[:-1]]


def judged(answer: str) -> tuple[int, str]:
    """Status and body of curl's output."""
    body, _, status = answer.rpartition("\n")
    return int(status), body


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, start_server: Callable) -> Demo:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    data = tmp_path_factory.mktemp("demo") / "data"
    command = [*YIDANG.split(), "demo", "--residents", "24", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    root = start_server(data=data).root
    file = data / "demo.json"
    file.write_text(file.read_text("utf-8").replace(PRINTED, root), "utf-8")
    return Demo(root, file, done.stdout)


@pytest.mark.parametrize("page", PAGES)
def test_every_curl_of_the_readme_works_as_printed(demo: Demo, page: str):
    found = commands(fenced(page))
    assert len(found) >= 5
    for command, answer in zip(found, demo.run(found), strict=True):
        if not command.startswith("curl"):
            continue
        status, body = judged(answer)
        assert status in (200, 201), f"{command}\n{answer}"
        if "fhir+xml" in command:
            assert body.startswith(("<?xml", "<Bundle")) and "<entry>" in body
            continue
        resource = json.loads(body)
        if resource["resourceType"] == "Bundle":
            assert resource.get("entry") or resource.get("total"), f"{command} finds nothing"


def test_the_tour_that_the_demo_prints_shows_consent_at_work(demo: Demo):
    found = commands(demo.printed)
    answers = [judged(a) for c, a in zip(found, demo.run(found), strict=True) if c.startswith("curl")]
    assert [status for status, _ in answers] == [401, 200, 200, 201, 200, 200, 200, 200, 200]
    bodies = [json.loads(body) for _, body in answers]
    before, own, given, consented, other_class, withdrawn, after, log = bodies[1:]
    assert before["total"] == 0
    assert 0 < consented["total"] < own["total"]
    assert (given["status"], withdrawn["status"]) == ("active", "inactive")
    assert other_class["total"] == after["total"] == 0
    # The resident reads who looked: the other institution's system is named.
    assert log["resourceType"] == "Bundle" and log["total"] >= 4
    assert "emr-township-2" in json.dumps(log) or "township-2" in json.dumps(log)


def test_the_tour_can_be_gone_again(demo: Demo):
    found = commands(demo.printed)
    again = [judged(a)[0] for c, a in zip(found, demo.run(found), strict=True) if c.startswith("curl")]
    assert again[0] == 401 and all(status < 300 or status == 412 for status in again[1:])


def test_staff_get_their_tokens_with_password_and_code(demo: Demo):
    command = [*YIDANG.split(), "token", "--demo", str(demo.file), "--staff", "county-hospital-doctor-15"]
    choice = ["--institution", "township-1", "--role", "physician", "--purpose", "CAREMGT"]
    done = subprocess.run([*command, *choice], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    token = done.stdout.strip()
    answer = demo.run([f"curl '{PRINTED}/fhir/Encounter?_summary=count' -H 'Authorization: Bearer {token}'"])
    status, body = judged(answer[0])
    assert status == 200 and json.loads(body)["total"] > 0


def test_somebody_without_account_gets_no_token(demo: Demo):
    command = [*YIDANG.split(), "token", "--demo", str(demo.file), "--resident", "resident-000004"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 1 and not done.stdout and "no account" in done.stderr


def test_a_guardian_reads_the_wards_file_and_disease_control_what_was_reported(demo: Demo):
    token = f".venv/bin/yidang token --demo {demo.file}"

    def look(path: str, who: str) -> str:
        return f"curl '{PRINTED}/fhir/{path}' -H \"Authorization: Bearer ${who}\""

    found = demo.run(
        [
            f"WARD=$({token} --resident resident-000001 --patient resident-000004)",
            look("Observation?patient=resident-000004&_summary=count", "WARD"),
            f"CDC=$({token} --staff county-cdc-epidemiology-1)",
            look("Condition?patient=resident-000010", "CDC"),
            look("Encounter?patient=resident-000010&_summary=count", "CDC"),
            f"MIND=$({token} --staff county-hospital-doctor-11)",
            look("Condition?patient=resident-000012&_summary=count", "MIND"),
        ]
    )
    ward, reported, visits, department = (judged(found[n]) for n in (1, 3, 4, 6))
    assert ward[0] == 200 and json.loads(ward[1])["total"] > 0
    codes = {e["resource"]["code"]["coding"][0]["code"] for e in json.loads(reported[1])["entry"]}
    assert codes == {"B24", "A53.0"}
    assert json.loads(visits[1])["total"] == 0
    assert json.loads(department[1])["total"] > 0


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
    names = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__"}
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
