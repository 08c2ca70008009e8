"""docs/guide is what the tables of the guide say."""

from __future__ import annotations

from pathlib import Path

from profiles.alliance.markdown import pages

FOLDER = Path(__file__).parents[2] / "docs" / "guide"


def test_the_pages_are_those_that_the_guide_makes() -> None:
    """``python -m profiles.alliance docs/guide`` writes them anew."""
    found = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    assert found == pages()
