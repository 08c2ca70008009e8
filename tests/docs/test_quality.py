"""The page on quality lists the rules that are in force."""

from __future__ import annotations

from pathlib import Path

from profiles.quality import BANDS, DIMENSIONS, RULES

PAGE = (Path(__file__).parents[2] / "docs" / "quality.md").read_text("utf-8")


def test_the_table_of_rules_is_the_one_of_the_code() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{r.id}` | {r.zh} | {r.en} | {DIMENSIONS[r.dimension][0]} {r.dimension} | {r.severity} | {r.weight} |"
        for r in RULES
    ]
    assert all(f"{zh} {en} ≥{lowest}" in PAGE for _, lowest, zh, en in BANDS)
