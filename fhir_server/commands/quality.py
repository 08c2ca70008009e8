"""``yidang quality``: the quality of an institution's files, all of them, with progress; the Measure of the rules.

The same report as ``Organization/[id]/$quality-report``, judged as the institution's own quality office sees it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_server.context import Context
    from profiles.quality import Tally


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "quality", help="report on the quality of an institution's files", description=__doc__
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    report = actions.add_parser(
        "report",
        help="judge all files of an institution",
        description="Prints the score, the bands, and how many files fail each rule. A server may run meanwhile.",
    )
    report.add_argument("organization", metavar="ORGANIZATION", help="logical id of the institution")
    report.add_argument("--worst", type=int, default=20, metavar="N", help="list the N worst files (default 20)")
    report.add_argument("--out", type=Path, metavar="FILE", help="write the MeasureReport as JSON")
    report.add_argument("--save", action="store_true", help="keep it in the records, without the list of files")
    report.add_argument("--quiet", action="store_true", help="no progress bar")
    install = actions.add_parser("install", help="put the Measure of the rules into the records")
    for action, work in ((report, _report), (install, _install)):
        action.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
        action.set_defaults(run=run, work=work)


def run(args: argparse.Namespace) -> int:
    """Carry the action out. Returns the exit status."""
    from fhir_server.local import existing_records

    try:
        context = existing_records(args.data, "quality")
    except (OSError, ValueError) as error:
        print(f"yidang quality: {error}", file=sys.stderr)
        return 1
    try:
        status: int = args.work(args, context)
        return status
    finally:
        context.store.close()


def _install(args: argparse.Namespace, context: Context) -> int:
    from fhir_server.records.shipped import install
    from profiles.quality import measure

    done = asyncio.run(install([measure()], context))
    print("the Measure is written" if done.written else "the Measure is there already, or was changed here")
    return 0


def _report(args: argparse.Namespace, context: Context) -> int:
    from fhir_server.interactions.listing import instant
    from profiles.lossless import encode
    from profiles.quality import measure_report

    if args.worst < 0:
        print("yidang quality: --worst is a number from 0 on", file=sys.stderr)
        return 2
    institution = f"Organization/{args.organization}"
    if (stored := context.store.read("Organization", args.organization, context.access)) is None or stored.deleted:
        print(f"yidang quality: there is no {institution}", file=sys.stderr)
        return 1
    tally, today = asyncio.run(_judged(args, institution, context))
    now = instant(context.clock(), context.settings.zone)
    if args.out:
        text = encode(measure_report(tally, institution, today, now))
        args.out.write_bytes(text + b"\n")
    if args.save:
        tally_only = measure_report(_without_files(tally), institution, today, now)
        print(f"kept as MeasureReport/{asyncio.run(_save(tally_only, institution, context))}")
    print(_text(tally))
    return 0


def _without_files(tally: Tally) -> Tally:
    """The counts alone: a kept report names nobody."""
    from profiles.quality import Tally

    return Tally(0, tally.files, tally.points, tally.about, tally.failed, tally.bands)


async def _judged(args: argparse.Namespace, institution: str, context: Context) -> tuple[Tally, str]:
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from consent import Requester, Scope
    from consent.policy import access_for
    from fhir_server.records.quality import files_of, judged, judging
    from fhir_server.search.tree import And, Query
    from profiles.quality import Tally

    office = Requester(
        "staff",
        "Device/yidang-quality",
        "yidang quality",
        "HOPERAT",
        (Scope("user", "*", "rs"),),
        institution=args.organization,
        role="quality",
    )
    seeing = replace(context, access=access_for(office, context.clock()))
    tally = Tally(args.worst)
    by = await judging(context)
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,} files"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), disable=args.quiet) as progress:
        known = await seeing.store.count(Query((("Patient", And(())),)), seeing.access)
        task = progress.add_task("", total=known or None)
        async for patient, stored in files_of(institution, seeing):
            tally.add(f"Patient/{patient}", judged(stored, by))
            progress.update(task, completed=tally.files, total=max(known, tally.files) or None)
    return tally, by.today.isoformat()


async def _save(report: dict[str, Any], institution: str, context: Context) -> str:
    """Keep the report, filed with the institution; its id."""
    from dataclasses import replace

    from fhir_server.store.prepare import prepare
    from profiles.lossless import encode, parse

    id = context.new_id()
    prepared = prepare(parse(encode(report)), id, context.extractor)
    access = replace(context.access, party=institution)
    await context.store.write(lambda transaction: transaction.put(prepared, "POST"), access)
    return id


def _text(tally: Tally) -> str:
    from profiles.quality import BANDS, BY_ID

    lines = [f"{tally.files:,} 份档案，平均 {tally.score} 分 / files, mean score {tally.score}"]
    lines.append("  ".join(f"{zh} {en} (≥{lowest}): {tally.bands[code]:,}" for code, lowest, zh, en in BANDS))
    for id, failed in tally.failed.most_common():
        rule = BY_ID[id]
        lines.append(f"{failed:>8,} / {tally.about[id]:,}  {rule.zh}  {rule.en} [{rule.severity}]")
    if tally.worst:
        lines.append("待完善 / files to mend:")
        lines += [f"{score:>8}  {name}  {', '.join(failed)}" for score, name, failed in tally.worst]
    return "\n".join(lines)
