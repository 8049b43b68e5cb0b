"""The reports of a case, of a cohort, or of both, as files in a folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from SynthCBVLib.analysis.cohort.analysis import analyze
from SynthCBVLib.analysis.cohort.csv import write_cohort
from SynthCBVLib.analysis.cohort.report import write_cohort_report
from SynthCBVLib.analysis.cohort.statistics import write_statistics
from SynthCBVLib.analysis.cohort.table import CohortTable
from SynthCBVLib.analysis.measured_case import CaseImages, measure, report_of
from SynthCBVLib.analysis.report import write_report
from SynthCBVLib.analysis.report.printing import printing_engine, write_pdf
from SynthCBVLib.errors import InputError
from SynthCBVLib.progress import Progress, part


def write_reports(
    folder: str | os.PathLike[str],
    case: CaseImages | None = None,
    cohort: CohortTable | None = None,
    *,
    subject: str | None = None,
    show_subjects: bool = False,
    pdf: bool | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Path]:
    """Write the report of a case, of a cohort, or both.

    Parameters
    ----------
    folder : path
        Made if it does not exist. Files: case-report.html, cohort-report.html, the same as .pdf where they
        can be printed, cohort.csv and statistics.csv.
    case : CaseImages, optional
        The case.
    cohort : CohortTable, optional
        The cohort.
    subject : str, optional
        Label of the case.
    show_subjects : bool
        Show labels in the reports; cohort.csv always has them.
    pdf : bool, optional
        By default PDF is written if a program that prints pages is at hand, and a failure to print is logged.
    progress : Progress, optional
        May raise `Cancelled`.
    **options
        As `SynthCBVLib.analysis.cohort.analysis.analyze` takes them.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If there is neither case nor cohort, one cannot be analysed, or a file cannot be written.
    """
    if case is None and cohort is None:
        raise InputError("report", "nothing to report", "a synthetic map or a cohort table")
    folder, engine = Path(folder), printing_engine()
    if pdf and engine is None:
        raise InputError(
            "report", "no program that prints pages", "Chromium, Chrome, Edge, WeasyPrint or wkhtmltopdf",
            "Open the HTML report in a browser and print it to PDF there.",
        )  # fmt: skip
    # Both are computed before anything is written.
    tell = part(progress, 0.0, 1.0)
    shown = None if case is None else report_of(case, measure(case, part(progress, 0.0, 0.4)), subject)
    tell(0.4, "Analysing the cohort" if cohort is not None else "Drawing the figures")
    analysis = None if cohort is None else analyze(cohort, **options)
    reports, tables = [], []
    if shown is not None:
        tell(0.5, "Writing the case's report")
        path = folder / "case-report.html"
        reports.append(write_report(path, [shown], show_subject=show_subjects))
    if analysis is not None and cohort is not None:
        tell(0.7, "Writing the cohort's report")
        path = folder / "cohort-report.html"
        reports.append(write_cohort_report(path, analysis, show_subjects=show_subjects))
        tables = [
            write_cohort(cohort, folder / "cohort.csv"),
            write_statistics(analysis, folder / "statistics.csv"),
        ]
    printed = []
    if pdf or (pdf is None and engine is not None):
        for report in reports:
            tell(0.85, "Printing to PDF")
            try:
                printed.append(write_pdf(report, report.with_suffix(".pdf")))
            except InputError as error:
                if pdf:
                    raise
                logging.warning("SynthCBV: %s", error)
    tell(1.0, "Reports written")
    return [*reports, *printed, *tables]
