"""Verb ``evaluate``: the papers' tables for any cohort and any weights."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.progress import TerminalProgress

HELP = "evaluate weights on a cohort with real rCBV maps, or on digital patients: the papers' tables"
_EPILOG = (
    "The first model of each workflow (IVIM, ASL) is the one evaluated; the others are compared with it. "
    "Groups come from participants.tsv or the manifest (idh, group or diagnosis); recurrence and response "
    "are kept apart as patients after treatment. Regions are label images "
    "*_space-<image>_desc-regions_dseg in the dataset or its derivatives, or the manifest's. Everything is "
    "computed once and kept in --work."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--model", action="append", required=True, metavar="MODEL",
        help="a bundled model or a .safetensors file; repeat for more",
    )  # fmt: skip
    parser.add_argument(
        "--cohort",
        type=Path,
        metavar="PATH",
        help="BIDS dataset or manifest (.csv, .tsv) with real rCBV maps",
    )
    parser.add_argument(
        "--digital", action="append", nargs="+", default=[], metavar="WORD",
        help="digital patients: FIRST:END KIND, such as 60000:60020 wildtype (END is not part of it), and "
        "if wanted 'known' (true transforms and brain mask instead of found ones) and 'unmeasured' (no real "
        "rCBV); repeat for more",
    )  # fmt: skip
    parser.add_argument(
        "--calibration", action="append", nargs="+", default=[], metavar="WORD",
        help="validation patients to calibrate the uncertainty with, given as for --digital",
    )  # fmt: skip
    parser.add_argument(
        "--calibration-cohort", type=Path, metavar="PATH", help="the same as a BIDS dataset or manifest"
    )
    parser.add_argument(
        "--baselines", type=Path, metavar="FOLDER",
        help="prepared training cases (the folder 'cases' of a run of train): also train ridge regression "
        "and a voxelwise perceptron on them, and compare",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("evaluation"), metavar="FOLDER",
        help="folder for evaluation.md, its tables and images/ (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--work", type=Path, default=Path("evaluation-work"), metavar="FOLDER",
        help="folder for prepared patients and scores; a later run goes on from there (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--motion", action=argparse.BooleanOptionalAction, default=True,
        help="follow the head through the volumes of the DWI, as a synthesis does",
    )  # fmt: skip
    parser.add_argument(
        "--skip-bad", action="store_true", help="go on without the patients that cannot be used"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument(
        "--write-calibrated", type=Path, metavar="FOLDER",
        help="also write the evaluated model of each workflow with the calibration that was found",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Evaluate, print the bars and write everything."""
    from SynthCBVLib.imaging.files import written_whole
    from SynthCBVLib.training.evaluation.bars import bars
    from SynthCBVLib.training.evaluation.calibrated import write_calibrated
    from SynthCBVLib.training.evaluation.page import write_page
    from SynthCBVLib.training.evaluation.run import Plan, evaluate
    from SynthCBVLib.training.evaluation.subjects import cohort_subjects, digital_block, unique

    if args.workers < 0:
        raise InputError("--workers", str(args.workers), "at least 0")
    if args.cohort is None and not args.digital:
        raise InputError("command line", "no patients", "--cohort or --digital")
    subjects = [] if args.cohort is None else cohort_subjects(args.cohort)
    for words in args.digital:
        subjects += digital_block(words)
    others = [] if args.calibration_cohort is None else cohort_subjects(args.calibration_cohort)
    for words in args.calibration:
        others += digital_block(words, "--calibration")
    if args.write_calibrated is not None and not others:
        raise InputError(
            "--write-calibrated", "no patients to calibrate on", "--calibration-cohort or --calibration"
        )
    for folder in (args.out, args.work, args.write_calibrated):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(folder, "a file", "a folder, or a new name for one")
    with written_whole(args.out / ".probe") as (temporary,):  # refused before the work, not after
        temporary.write_bytes(b"")
    (args.out / ".probe").unlink()
    plan = Plan(
        tuple(args.model), tuple(unique(subjects)), args.work, tuple(unique(others)), args.baselines,
        args.workers, args.motion, args.skip_bad, _command(args),
    )  # fmt: skip
    begun = time.monotonic()
    evaluation = evaluate(plan, TerminalProgress("Evaluation"))
    for name, what in evaluation.refused.items():
        print(f"warning: {name} left out: {what}", file=sys.stderr)
    found = bars(evaluation)
    width = max([len(bar.name) for bar in found], default=0)
    for bar in found:
        outcome = "met" if bar.met else "MISSED"
        print(f"{bar.workflow:4}  {bar.name:<{width}}  {bar.found}  ({bar.needed})  {outcome}")
    print(f"{sum(bar.met for bar in found)} of {len(found)} bars met; {time.monotonic() - begun:.0f} s")
    paths = write_page(evaluation, args.out)
    if args.write_calibrated is not None:
        paths += write_calibrated(evaluation, args.write_calibrated)
    for path in paths:
        print(path)


def _command(args: argparse.Namespace) -> str:
    """Give the command that repeats this; folders of this computer by their last names alone."""
    parts = ["python -m SynthCBVLib evaluate"]
    for model in args.model:
        parts.append(f"--model {shlex.quote(model if not Path(model).suffix else _last(model))}")
    if args.cohort is not None:
        parts.append(f"--cohort {shlex.quote(_last(args.cohort))}")
    parts += [f"--digital {' '.join(words)}" for words in args.digital]
    if args.calibration_cohort is not None:
        parts.append(f"--calibration-cohort {shlex.quote(_last(args.calibration_cohort))}")
    parts += [f"--calibration {' '.join(words)}" for words in args.calibration]
    if args.baselines is not None:
        parts.append(f"--baselines {shlex.quote(_last(args.baselines))}")
    if not args.motion:
        parts.append("--no-motion")
    if args.skip_bad:
        parts.append("--skip-bad")
    parts.append(f"--out {shlex.quote(_last(args.out))}")
    return " \\\n  ".join(parts)


def _last(path: object) -> str:
    """Give a path without the folders of this computer: run-ivim/best.safetensors, docs."""
    path = Path(str(path))
    if not path.is_absolute():
        return str(path)
    return str(Path(*path.parts[-2:])) if path.suffix else path.name
