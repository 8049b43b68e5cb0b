"""Verb ``agreement``: all statistics of a cohort table, with report, figures and tables."""

from __future__ import annotations

import argparse
from pathlib import Path

from SynthCBVLib.analysis.cohort.analysis import analyze
from SynthCBVLib.analysis.cohort.csv import parse_number, read_cohort
from SynthCBVLib.analysis.cohort.figures import save_chart
from SynthCBVLib.analysis.cohort.markdown import write_markdown
from SynthCBVLib.analysis.cohort.plots import charts
from SynthCBVLib.analysis.cohort.report import TITLE, write_cohort_report
from SynthCBVLib.analysis.cohort.statistics import sentences, write_statistics
from SynthCBVLib.analysis.report.printing import printing_engine, write_pdf
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole

HELP = "Agreement of synthetic with real rCBV over a cohort table: statistics, figures and a report."

_COLUMNS = (
    "The table is a CSV file with one row a case: subject, and as far as known model, group, ratio_real, "
    "ratio_synthetic, ratio_f, ssim, psnr, uncertainty; empty cells are missing values."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.epilog = _COLUMNS
    parser.add_argument("cohort", type=Path, metavar="COHORT.csv", help="the cohort table")
    parser.add_argument(
        "--out", type=Path, default=Path("agreement"), metavar="FOLDER",
        help="folder for statistics.csv, statistics.md, report.html and figures (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--positive", metavar="GROUP", help="group that ROC curves call positive, against all others"
    )
    parser.add_argument(
        "--direction", choices=("higher", "lower"), help="side on which the positive group's ratios lie"
    )
    parser.add_argument(
        "--cut-off", action="append", default=[], metavar="MAP=VALUE",
        help="cut-off of the ratio for sensitivity and specificity, such as synthetic=3.4; MAP is real, "
        "synthetic or f; repeat for more",
    )  # fmt: skip
    parser.add_argument("--model", metavar="NAME", help="take the cases of this model alone")
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="LEVEL", help="level of the intervals (%(default)s)"
    )
    parser.add_argument("--title", default=TITLE, help="heading of the report")
    parser.add_argument(
        "--show-subjects", action="store_true",
        help="show subjects' labels and extra columns in the report, which may name people",
    )  # fmt: skip
    parser.add_argument(
        "--pdf", action="store_true", help="also print the report to PDF, if a browser is installed"
    )


def run(args: argparse.Namespace) -> None:
    """Analyse the table, print the statistics and write everything.

    Raises
    ------
    InputError
        If the table cannot be read or analysed, or the folder not be written; nothing is written then.
    """
    if args.pdf and printing_engine() is None:
        raise InputError("--pdf", "no program that prints pages", "Chromium, Chrome, Edge or WeasyPrint",
                         "Leave --pdf out and print the HTML report from a browser.")  # fmt: skip
    cut_offs = _cut_offs(args.cut_off)
    analysis = analyze(
        read_cohort(args.cohort),
        positive=args.positive,
        direction=args.direction,
        cut_offs=cut_offs,
        model=args.model,
        confidence=args.confidence,
    )
    _check_folder(args.out)
    for sentence in sentences(analysis):
        print(_on_one_line(sentence))
    for note in analysis.notes:
        print(f"note: {_on_one_line(note)}")
    for one in analysis.not_computed:
        print(f"not computed: {_on_one_line(f'{one.what}: {one.why}')}")
    found = charts(analysis)
    files = [save_chart(chart, args.out / "figures" / f"{chart.key}.png") for chart in found]
    pictures = [(chart, file.read_bytes()) for chart, file in zip(found, files, strict=True)]
    files += [
        write_statistics(analysis, args.out / "statistics.csv"),
        write_markdown(analysis, args.out / "statistics.md", title=args.title),
    ]
    report = write_cohort_report(
        args.out / "report.html",
        analysis,
        title=args.title,
        show_subjects=args.show_subjects,
        figures=pictures,
    )
    files.append(report)
    if args.pdf:
        files.append(write_pdf(report, args.out / "report.pdf"))
    for file in files:
        print(f"wrote {file}")


def _cut_offs(arguments: list[str]) -> dict[str, float]:
    found = {}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        try:
            number = parse_number(value)
        except ValueError:
            number = None
        if not sign or number is None or not abs(number) < float("inf"):
            raise InputError(f"--cut-off {argument[:60]}", "no map and number", "MAP=VALUE, such as real=4.2")
        found[name.strip()] = number
    return found


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written before anything is computed or printed."""
    with written_whole(folder / ".probe") as (temporary,):
        temporary.write_bytes(b"")
    (folder / ".probe").unlink()


def _on_one_line(text: str) -> str:
    """Give a text that cannot move the terminal's cursor or fill its screen."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= 600 else f"{plain[:600]}…"
