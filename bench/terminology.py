"""What terminology does in a second: ``python -m bench.terminology [CODES]``; the table of docs/terminology.md.

Made-up Chinese diagnoses with English names, in a terminology file in a temporary folder. Times are those of the
processor, so that other work on the machine does not count.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from terminology import service
from terminology.alliance import alliance
from terminology.arguments import Arguments
from terminology.base import base
from terminology.file import FILE, TerminologyFile
from terminology.registry import Terminology

PARTS = (
    "原发性", "继发性", "急性", "慢性", "高血压", "糖尿病", "肺炎", "支气管炎", "胃溃疡", "骨折", "肿瘤", "感染",
    "阑尾炎", "肝炎", "心肌梗死", "脑梗死", "伴有", "并发症", "左侧", "右侧", "双侧", "不伴", "早期", "晚期", "重度",
    "轻度", "肾病", "视网膜病变", "神经病变", "关节",
)  # fmt: skip
ORGANS = ("heart", "lung", "kidney")
FILTERS = ("高血压", "gaoxueya", "gxy", "heart", "慢性 肾病", "feiyan", "a", "tnb 5")


def concepts(size: int) -> Iterator[dict[str, Any]]:
    """Concepts with opaque codes, in groups of fifty under one parent."""
    chosen, parent = random.Random(1), ""
    for n in range(size):
        code = f"{chr(65 + n // 4000 % 26)}{n // 100 % 100:02d}.{n % 100:02d}x{n:06d}"
        english = f"Disorder {n} of the {chosen.choice(ORGANS)}"
        name = "".join(chosen.sample(PARTS, chosen.randint(2, 5)))
        raw: dict[str, Any] = {"code": code, "display": name, "designation": [{"language": "en", "value": english}]}
        if n % 50:
            raw["parents"] = [parent]
        else:
            parent = code
        yield raw


def main() -> None:
    """Load, validate, expand; print what it took."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    with TemporaryDirectory() as folder:
        file = TerminologyFile(Path(folder) / FILE)
        head = {
            "resourceType": "CodeSystem",
            "url": "urn:bench",
            "version": "1",
            "status": "active",
            "language": "zh-CN",
        }
        start = time.thread_time()
        file.load_system({**head, "content": "complete"}, concepts(size))
        seconds, megabytes = time.thread_time() - start, (Path(folder) / FILE).stat().st_size / 1e6
        print(f"loading {size:,} codes: {seconds:.1f} s, {megabytes:.0f} MB")
        known = Terminology((file.layer(), alliance(), base()))
        system = known.system("urn:bench")
        assert system is not None
        _validate("from the file, each for the first time", known, "urn:bench", system.codes(range(0, size, 4)))
        _validate("in memory", known, "urn:yidang:lab-item", ["WBC", "CREA", "K", "ABO"] * 2_000)
        spent = [one for text in FILTERS for one in _filter(known, text)]
        print(f"$expand with filter: 95 % within {statistics.quantiles(spent, n=20)[-1]:.1f} ms of processor time")


def _validate(what: str, known: Terminology, system: str, codes: list[str]) -> None:
    start = time.thread_time()
    for code in codes:
        named = [("url", f"{system}?fhir_vs"), ("system", system), ("code", code)]
        assert service.validate_code_in_valueset(known, Arguments(named))["parameter"][0]["valueBoolean"]
    print(f"$validate-code {what}: {len(codes) / (time.thread_time() - start):,.0f}/s")


def _filter(known: Terminology, text: str) -> list[float]:
    named = [("url", "urn:bench?fhir_vs"), ("filter", text), ("count", "20")]
    spent: list[float] = []
    for _ in range(12):
        start = time.thread_time()
        found = service.expand(known, Arguments(named), "urn:uuid:x", "2026-01-01T00:00:00Z")
        spent.append((time.thread_time() - start) * 1e3)
    total = found["expansion"]["total"]
    print(f"  {text}: {total:,} codes, first {spent[0]:.1f} ms, then {statistics.median(spent[1:]):.1f} ms")
    return spent[1:]


if __name__ == "__main__":
    main()
