"""A cohort in the scene: cases added to its table, its statistics and charts, and the reports of both."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import SimpleITK as sitk

from SynthCBVLib.analysis.cohort.analysis import analyze
from SynthCBVLib.analysis.cohort.csv import write_cohort
from SynthCBVLib.analysis.cohort.report import write_cohort_report
from SynthCBVLib.analysis.cohort.results import CohortAnalysis
from SynthCBVLib.analysis.cohort.statistics import write_statistics
from SynthCBVLib.analysis.report import CaseReport, write_report
from SynthCBVLib.analysis.report.printing import printing_engine, write_pdf
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import same_grid
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.cases import CaseNodes, measure_case
from SynthCBVLib.scene.plots import CHART_ATTRIBUTE, add_cohort_charts
from SynthCBVLib.scene.regions import region_masks
from SynthCBVLib.scene.results import keep_findings
from SynthCBVLib.scene.tables import add_case_to_node, add_statistics_table, cohort_from_node
from SynthCBVLib.scene.volumes import volume_to_image

if TYPE_CHECKING:
    import slicer

#: Node attribute of a cohort: what adding the last case did, for the user.
CHANGE_ATTRIBUTE = "SynthCBV.LastChange"


class CohortNodes(NamedTuple):
    """What an analysis of a cohort left in the scene.

    Attributes
    ----------
    statistics : vtkMRMLTableNode
        All numbers.
    charts : list of vtkMRMLPlotChartNode
        Regression, Bland-Altman, groups and ROC, as far as there are numbers for them.
    analysis : CohortAnalysis
        The same as Python objects.
    """

    statistics: slicer.vtkMRMLTableNode
    charts: list[slicer.vtkMRMLPlotChartNode]
    analysis: CohortAnalysis


def add_case(
    case: CaseNodes,
    subject: str,
    group: str | None = None,
    scores: Mapping[str, float] | None = None,
    cohort: slicer.vtkMRMLTableNode | None = None,
    name: str = "Cohort",
) -> slicer.vtkMRMLTableNode:
    """Measure a case and add it to a cohort table, or update its row.

    Parameters
    ----------
    case : CaseNodes
        The case.
    subject, group : str
        Label of the case, and its group if known.
    scores : Mapping, optional
        Observers' scores by name.
    cohort : vtkMRMLTableNode, optional
        Table to add to; the scene's table called `name` by default, made if there is none.
    name : str
        Name of the table.

    Returns
    -------
    vtkMRMLTableNode
        The table; its attribute "SynthCBV.LastChange" says what was done, and its findings
        (`SynthCBVLib.scene.results.findings_of`) what was noticed about the case.

    Raises
    ------
    InputError
        If the case cannot be measured, there is no subject, or the table is no cohort; nothing changes then.
    """
    if not subject.strip():
        raise InputError("case", "no subject", "a label that tells the case from the others")
    measured = measure_case(case)
    row = measured.row(subject.strip(), (group or "").strip() or None, scores)
    scene = current_scene()
    node = cohort or scene.GetFirstNode(name, "vtkMRMLTableNode")
    made = node is None
    if made:
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    try:
        message = add_case_to_node(node, row)
    except Exception:
        if made:
            scene.RemoveNode(node)
        raise
    node.SetAttribute(CHANGE_ATTRIBUTE, message)
    keep_findings(node, measured.findings)
    return node


def analyze_cohort(cohort: slicer.vtkMRMLTableNode, name: str = "Agreement", **options: Any) -> CohortNodes:
    """Put statistics and charts of a cohort into the scene, in place of those of an earlier analysis.

    Parameters
    ----------
    cohort : vtkMRMLTableNode
        One row a case.
    name : str
        Name of the table of statistics.
    **options
        As `SynthCBVLib.analysis.cohort.analysis.analyze` takes them.

    Raises
    ------
    InputError
        As `SynthCBVLib.scene.tables.cohort_from_node` and `analyze`; the scene is as before then.
    """
    analysis = analyze(cohort_from_node(cohort), **options)
    statistics = add_statistics_table(analysis, name)
    charts = add_cohort_charts(analysis)
    statistics.SetAttribute(CHART_ATTRIBUTE, "statistics")  # goes with the charts
    return CohortNodes(statistics, charts, analysis)


def export_reports(
    folder: str | os.PathLike[str],
    case: CaseNodes | None = None,
    cohort: slicer.vtkMRMLTableNode | None = None,
    *,
    subject: str | None = None,
    show_subjects: bool = False,
    pdf: bool | None = None,
    **options: Any,
) -> list[Path]:
    """Write the report of a case, of a cohort, or both.

    Parameters
    ----------
    folder : path
        Made if it does not exist. Files: case-report.html, cohort-report.html, the same as .pdf where they
        can be printed, cohort.csv and statistics.csv.
    case : CaseNodes, optional
        The case.
    cohort : vtkMRMLTableNode, optional
        The cohort.
    subject : str, optional
        Label of the case.
    show_subjects : bool
        Show labels in the reports; cohort.csv always has them.
    pdf : bool, optional
        By default PDF is written if a program that prints pages is at hand, and a failure to print is logged.
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
    folder = Path(folder)
    if pdf and printing_engine() is None:
        raise InputError(
            "report", "no program that prints pages", "Chromium, Chrome, Edge, WeasyPrint or wkhtmltopdf",
            "Open the HTML report in a browser and print it to PDF there.",
        )  # fmt: skip
    # Both are computed before anything is written.
    shown = None if case is None else case_report(case, subject)
    table = None if cohort is None else cohort_from_node(cohort)
    analysis = None if table is None else analyze(table, **options)
    reports, tables = [], []
    if shown is not None:
        path = folder / "case-report.html"
        reports.append(write_report(path, [shown], show_subject=show_subjects))
    if analysis is not None:
        path = folder / "cohort-report.html"
        reports.append(write_cohort_report(path, analysis, show_subjects=show_subjects))
        tables = [
            write_cohort(table, folder / "cohort.csv"),
            write_statistics(analysis, folder / "statistics.csv"),
        ]
    printed = []
    if pdf or (pdf is None and printing_engine() is not None):
        for report in reports:
            try:
                printed.append(write_pdf(report, report.with_suffix(".pdf")))
            except InputError as error:
                if pdf:
                    raise
                logging.warning("SynthCBV: %s", error)
    return [*reports, *printed, *tables]


def case_report(case: CaseNodes, subject: str | None = None) -> CaseReport:
    """Measure a case and bring all that a report shows of it to the synthetic map's grid.

    Raises
    ------
    InputError
        As `SynthCBVLib.scene.cases.measure_case`.
    """
    measured = measure_case(case)
    grid = measured.synthetic
    model = measured.provenance.get("model")
    name = str(model.get("name", "")) if isinstance(model, Mapping) else ""
    anatomy = None if case.anatomy is None else volume_to_image(case.anatomy)
    if anatomy is None:  # the map itself, in grey, carries the outlines
        shown: str | None = "Synthetic rCBV"
    elif same_grid(anatomy, grid):  # the map got its grid from it, and its provenance says what it is
        shown = None
    else:
        shown = "Anatomy"
    return CaseReport(
        title=f"{name.upper()} workflow" if name else "Case",
        reference=grid if anatomy is None else _on(anatomy, grid),
        synthetic=grid,
        uncertainty=measured.uncertainty,
        real=measured.real,
        f_map=None if case.fraction is None else _on(volume_to_image(case.fraction), grid),
        mask=measured.mask,
        regions={} if case.regions is None else region_masks(case.regions, grid),
        ratios=measured.rows,
        similarity=measured.similarity,
        findings=measured.findings,
        provenance=measured.provenance,
        subject=subject,
        reference_name=shown,
    )


def _on(image: sitk.Image, grid: sitk.Image) -> sitk.Image:
    return image if same_grid(image, grid) else resample(image, grid)
