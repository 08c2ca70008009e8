"""One world for the whole suite, and the shadows of its requesters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.leaks.compare import Asked, shadow
from tests.leaks.oracle import Who
from tests.leaks.web import Shadow, Web
from tests.leaks.world import Loaded, build

COMPARED: Counter[str] = Counter()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """The world, for tests that do not change it."""
    made = build(tmp_path_factory.mktemp("leaks") / "world")
    yield made
    made.store.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Loaded]:
    """A world of one's own, to be changed."""
    made = build(tmp_path / "world")
    yield made
    made.store.close()


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The world behind the real application, for tests that do not change it."""
    folder = tmp_path_factory.mktemp("web") / "data"
    made = Web(build(folder), folder)
    yield made
    made.close()


@pytest.fixture
def fresh_web(tmp_path: Path) -> Iterator[Web]:
    """A world of one's own behind the real application."""
    made = Web(build(tmp_path / "data"), tmp_path / "data")
    yield made
    made.close()


@pytest.fixture(scope="session")
def web_shadow_of(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Who], Shadow]]:
    """An open server on the shadow of a requester, started once."""
    folder = tmp_path_factory.mktemp("web-shadows")
    made: dict[str, Shadow] = {}

    def find(who: Who) -> Shadow:
        if who.name not in made:
            made[who.name] = Shadow(web.world, who, folder / str(len(made)))
        return made[who.name]

    yield find
    for one in made.values():
        one.close()


@pytest.fixture(scope="session")
def shadow_of(world: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Who], Asked]]:
    """The shadow of a requester in the common world, made once."""
    folder = tmp_path_factory.mktemp("shadows")
    made: dict[str, Asked] = {}

    def find(who: Who) -> Asked:
        if who.name not in made:
            made[who.name] = shadow(world, who, folder / str(len(made)))
        return made[who.name]

    yield find
    for one in made.values():
        one.store.close()


@pytest.fixture(scope="session")
def compared() -> Counter[str]:
    """How many comparisons ran, by kind of path; printed at the end of the run."""
    return COMPARED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how much was compared."""
    if COMPARED:
        terminalreporter.write_line(f"leak suite: {sum(COMPARED.values())} comparisons: {dict(COMPARED)}")
