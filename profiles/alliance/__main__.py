"""Write the guide's Markdown: ``python -m profiles.alliance docs/guide``."""

from __future__ import annotations

import sys
from pathlib import Path

from profiles.alliance.markdown import pages


def main() -> None:
    """Write the pages into the folder that is named, and take away those that are no more."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m profiles.alliance FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
