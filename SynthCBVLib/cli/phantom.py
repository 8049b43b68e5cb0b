"""Verb ``phantom``: digital patients as a BIDS dataset, and their audit."""

from __future__ import annotations

import argparse
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.progress import TerminalProgress

HELP = "write digital patients with known truth as a BIDS dataset, or audit them"
KINDS = ("wildtype", "mutant", "mixed", "recurrence", "response", "metastasis", "treated", "none")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--patients", type=int, metavar="N", help="how many patients")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed of the first patient; the others follow (0)"
    )
    parser.add_argument(
        "--idh", "--kind", dest="idh", choices=KINDS, default="mixed",
        help="disease: glioma by IDH status (mixed alternates), glioblastoma after treatment (treated "
        "alternates recurrence and response), metastasis, or none (mixed)",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=("compact", "paper"), default="compact",
        help="image sizes: compact for training, paper as published (compact)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, metavar="K", help="processes (1)")
    parser.add_argument(
        "--audit", action="store_true",
        help="instead of writing patients, measure a fixed set and hold each figure against its bar; "
        "exit code 1 if one is missed",
    )  # fmt: skip
    parser.add_argument(
        "--page", type=Path, metavar="FILE",
        help="with --audit: put the tables into this Markdown page and its pictures into images/ beside it",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Write the dataset, leaving out what is there already; or audit."""
    if args.workers < 1:
        raise InputError("--workers", str(args.workers), "at least 1")
    if args.audit:
        _audit(args)
        return
    if args.page is not None:
        raise InputError("--page", str(args.page), "--audit beside it")
    for name, value, least in (("--patients", args.patients, 1), ("--seed", args.seed, 0)):
        if value is None or value < least:
            raise InputError(name, "nothing" if value is None else str(value), f"at least {least}")
    if args.out is None:
        raise InputError("--out", "nothing", "a folder to write the dataset to")
    if args.out.exists() and not args.out.is_dir():
        raise InputError(args.out, "a file", "a folder to write the dataset to")
    from SynthCBVLib.phantom.dataset import kinds, write_dataset

    seeds = range(args.seed, args.seed + args.patients)
    idh = kinds(args.idh, args.patients)
    write_dataset(args.out, seeds, idh, args.protocol, args.workers, TerminalProgress("Patients"))
    print(f"{args.out}: {args.patients} digital patients")


def _audit(args: argparse.Namespace) -> None:
    from SynthCBVLib.phantom.audit import run_audit
    from SynthCBVLib.phantom.audit_report import table, write_pictures, write_report

    if args.patients is not None or args.out is not None:
        raise InputError(
            "--audit", "--patients or --out beside it", "none: the audit has patients of its own"
        )
    audit = run_audit(args.protocol, args.workers, TerminalProgress("Audit"))
    print(table(audit))
    if args.page is not None:
        write_report(audit, args.page)
        write_pictures(args.page.parent / "images")
    missed = [bar for bar in audit.bars if not bar.met]
    print(f"\n{len(audit.bars) - len(missed)} of {len(audit.bars)} bars met")
    if missed:
        raise SystemExit(1)
