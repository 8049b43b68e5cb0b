"""A cohort in the scene: cases added to its table, its statistics and charts, and the reports of both."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from SynthCBVLib.analysis.cohort.table import Cell
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.cases import CaseNodes, copy_case, measure_case
from SynthCBVLib.scene.plots import CHART_ATTRIBUTE, add_charts
from SynthCBVLib.scene.results import add_ratio_table, keep_findings
from SynthCBVLib.scene.steps import finished
from SynthCBVLib.scene.tables import add_case_to_node, cohort_from_node
from SynthCBVLib.worker.cohort import Record, statistic_records

if TYPE_CHECKING:
    import slicer

    from SynthCBVLib.analysis.cohort.plots import Chart
    from SynthCBVLib.analysis.cohort.results import CohortAnalysis

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
    analysis : CohortAnalysis or None
        The same as Python objects; None where a worker process did the work.
    """

    statistics: slicer.vtkMRMLTableNode
    charts: list[slicer.vtkMRMLPlotChartNode]
    analysis: CohortAnalysis | None


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
    subject = checked_subject(subject)
    measured = measure_case(case)
    row = measured.row(subject, (group or "").strip() or None, scores)
    return put_case(row, measured.findings, cohort, name)


def checked_subject(subject: str) -> str:
    """Give the label of a case without blanks around it.

    Raises
    ------
    InputError
        If there is none.
    """
    if not subject.strip():
        raise InputError(
            "Subject", "nothing", "a label that tells the case from the others",
            "Type one, such as P01; it need not be a name.",
        )  # fmt: skip
    return subject.strip()


def put_case(
    row: Mapping[str, Cell],
    findings: Sequence[Finding] = (),
    cohort: slicer.vtkMRMLTableNode | None = None,
    name: str = "Cohort",
) -> slicer.vtkMRMLTableNode:
    """Put the row of a measured case into a cohort table; parameters and result as `add_case`."""
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
    keep_findings(node, findings)
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
    from SynthCBVLib.analysis.cohort.analysis import analyze
    from SynthCBVLib.analysis.cohort.plots import charts

    analysis = analyze(cohort_from_node(cohort), **options)
    return put_analysis(statistic_records(analysis), charts(analysis), name)._replace(analysis=analysis)


def put_analysis(
    statistics: Sequence[Record], charts: Sequence[Chart], name: str = "Agreement"
) -> CohortNodes:
    """Put the numbers and charts of an analysis into the scene, in place of those of an earlier one.

    Raises
    ------
    InputError
        If the analysis has no number; the scene is as before then.
    """
    if not statistics:
        raise InputError(
            "cohort table", "no value to analyse", "cases with ratios", "Add cases whose regions are drawn."
        )
    made = add_charts(charts)
    table = add_ratio_table(statistics, name)
    table.SetAttribute(CHART_ATTRIBUTE, "statistics")  # goes with the charts
    return CohortNodes(table, made, None)


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

    Parameters and errors as `SynthCBVLib.analysis.reports.write_reports`, with nodes for case and cohort.
    """
    from SynthCBVLib.analysis.reports import write_reports

    images = None if case is None else finished(copy_case(case)).images()
    table = None if cohort is None else cohort_from_node(cohort)
    return write_reports(
        folder, images, table, subject=subject, show_subjects=show_subjects, pdf=pdf, **options
    )
