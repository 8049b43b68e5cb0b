"""The Agreement section: likeness to a real map, the cohort, its statistics and charts, and the report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.dialogs import Dialogs, QtDialogs
from SynthCBVLib.panel.job_line import JobLine
from SynthCBVLib.panel.ratio_text import finding_text
from SynthCBVLib.scene.cases import anatomy_of
from SynthCBVLib.scene.likeness import likeness_of
from SynthCBVLib.scene.results import findings_of

if TYPE_CHECKING:
    from SynthCBVLib.panel.analysis import AnalysisLogic
    from SynthCBVLib.scene.cohort import CohortNodes


class AgreementSection:
    """Collects cases, compares them and writes the report.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    logic : AnalysisLogic
        Does the work.
    parameters : callable
        Gives the parameter node, or None while the module is closed.
    ensure : callable
        Installs the packages that figures and likeness need, or raises InputError.
    dialogs : Dialogs
        Asks for files.
    """

    def __init__(
        self,
        ui: Any,
        logic: AnalysisLogic,
        parameters: Callable[[], Any],
        ensure: Callable[[], None],
        dialogs: Dialogs | None = None,
    ) -> None:
        self.ui, self._logic, self._parameters, self._ensure = ui, logic, parameters, ensure
        self.dialogs: Dialogs = dialogs or QtDialogs()
        self._report: Path | None = None
        self._shown: object = None
        self._table: object = None
        self._fresh = True
        self.ui.cohortTable.setVisible(False)
        self.ui.cohortSelector.addAttribute("vtkMRMLTableNode", "SynthCBV.Cohort")
        self.ui.plotSelector.addAttribute("vtkMRMLPlotChartNode", "SynthCBV.Chart")
        self.job = JobLine(
            self.ui.analysisProgressBar,
            self.ui.analysisCancelButton,
            self.ui.agreementStatusLabel,
            lambda: logic.works.cancel(wait=False),
            self._refresh,
        )
        self.ui.compareButton.clicked.connect(self.on_compare)
        self.ui.addCaseButton.clicked.connect(self.on_add_case)
        self.ui.importButton.clicked.connect(self.on_import)
        self.ui.exportButton.clicked.connect(self.on_export)
        self.ui.analyzeButton.clicked.connect(self.on_analyze)
        self.ui.reportButton.clicked.connect(self.on_report)
        self.ui.openReportButton.clicked.connect(self.on_open_report)

    def enter(self) -> None:
        """Take the plot that is chosen as the one that is shown."""
        self._fresh = True

    def close(self) -> None:
        """Let go of a scene that goes away."""
        self.job.forget()
        self._report, self._shown, self._fresh = None, None, True
        self._show_table(None)
        self.ui.openReportButton.setEnabled(False)

    def update(self, parameters: Any) -> None:
        """Bring the section up to date with the parameter node."""
        self._show_table(parameters.cohort)
        found = likeness_of(parameters.syntheticMap, parameters.realMap)
        text = (
            _("SSIM {ssim:.3f}, PSNR {psnr:.1f} dB").format(ssim=found.ssim, psnr=found.psnr) if found else ""
        )
        if not text:
            text = _("not compared yet") if parameters.realMap is not None else _("needs a real map")
        self.ui.likenessValueLabel.setText(text)
        plot = parameters.plot
        if plot is not None and plot is not self._shown and not self._fresh:
            slicer.modules.plots.logic().ShowChartInLayout(plot)
        self._shown, self._fresh = plot, False
        self._refresh()

    def on_compare(self) -> None:
        """Measure how alike the maps are."""
        self._guarded(self._compare)

    def on_add_case(self) -> None:
        """Put the case into the cohort."""
        self._guarded(self._add_case)

    def on_import(self) -> None:
        """Read a cohort from a file."""
        self._guarded(self._import)

    def on_export(self) -> None:
        """Write the cohort to a file."""
        self._guarded(self._export)

    def on_analyze(self) -> None:
        """Compute the cohort's statistics and charts."""
        self._guarded(self._analyze)

    def on_report(self) -> None:
        """Write the report."""
        self._guarded(self._write_report)

    def on_open_report(self) -> None:
        """Show the last report."""
        if self._report is not None:
            self.dialogs.show(self._report)

    def _compare(self) -> None:
        parameters = self._parameters()
        self._ensure()
        self.job.begin(_("Comparing the maps ..."), lambda likeness: self._compared())
        self._logic.compareMaps(parameters.syntheticMap, parameters.realMap, listener=self.job)

    def _compared(self) -> str:
        parameters = self._parameters()
        if parameters is not None:
            self.update(parameters)
        return ""

    def _add_case(self) -> None:
        from SynthCBVLib.scene.cohort import checked_subject

        parameters = self._parameters()
        subject = checked_subject(parameters.subject)
        if parameters.realMap is not None:
            self._ensure()
        self.job.begin(_("Measuring the case ..."), self._added)
        self._logic.addCase(
            subject, parameters.syntheticMap, _drawn(parameters), parameters.realMap,
            parameters.fractionMap, parameters.group, cohort=parameters.cohort, waitForCompletion=False,
            listener=self.job,
        )  # fmt: skip

    def _added(self, table: slicer.vtkMRMLTableNode) -> str:
        from SynthCBVLib.scene.cohort import CHANGE_ATTRIBUTE

        self._choose_cohort(table)
        warnings = [one for one in findings_of(table) if one.severity != "info"]
        return (table.GetAttribute(CHANGE_ATTRIBUTE) or "") + finding_text(warnings)

    def _import(self) -> None:
        from SynthCBVLib.analysis.cohort.csv import read_cohort
        from SynthCBVLib.scene.tables import cohort_to_node

        path = self.dialogs.open_table()
        if path is None:
            return
        table = read_cohort(path)
        self._choose_cohort(cohort_to_node(table, name=path.stem))
        text = _("1 case was read from {name}.") if len(table) == 1 else _("{n} cases were read from {name}.")
        self.job.say(text.format(n=len(table), name=path.name))

    def _export(self) -> None:
        from SynthCBVLib.analysis.cohort.csv import write_cohort
        from SynthCBVLib.scene.tables import cohort_from_node

        path = self.dialogs.save_table()
        if path is None:
            return
        table = cohort_from_node(self._parameters().cohort)
        write_cohort(table, path)
        n = len(table)
        text = _("1 case was written to {path}.") if n == 1 else _("{n} cases were written to {path}.")
        self.job.say(text.format(n=n, path=path))

    def _analyze(self) -> None:
        parameters = self._parameters()
        options = {"positive": parameters.positiveGroup.strip()} if parameters.positiveGroup.strip() else {}
        self.job.begin(_("Analysing the cohort ..."), self._analyzed)
        self._logic.analyzeCohort(parameters.cohort, waitForCompletion=False, listener=self.job, **options)

    def _analyzed(self, nodes: CohortNodes) -> str:
        parameters = self._parameters()
        if parameters is not None:
            parameters.plot = nodes.charts[0] if nodes.charts else None
        if not nodes.charts:
            return _(
                "The numbers are in the table “{name}”. Charts need real and synthetic ratios of three cases "
                "or more, or groups."
            ).format(name=nodes.statistics.GetName())
        text = _("{n} charts were made; all numbers are in the table “{name}”.")
        if len(nodes.charts) == 1:
            text = _("1 chart was made; all numbers are in the table “{name}”.")
        return text.format(n=len(nodes.charts), name=nodes.statistics.GetName())

    def _write_report(self) -> None:
        parameters = self._parameters()
        self._ensure()
        folder = self.dialogs.folder()
        if folder is None:
            return
        map = parameters.syntheticMap
        anatomy = None if map is None else (anatomy_of(map)[0] or parameters.t2w or parameters.t1w)
        subject = parameters.subject.strip() or None
        self.job.begin(_("Writing the report ..."), self._written)
        self._logic.exportReport(
            folder, map, None if map is None else _drawn(parameters), parameters.realMap,
            parameters.fractionMap, anatomy, _with_rows(parameters.cohort), subject,
            waitForCompletion=False, listener=self.job, show_subjects=parameters.showSubjects,
        )  # fmt: skip

    def _written(self, files: Sequence[Path]) -> str:
        self._report = next((path for path in files if path.suffix == ".html"), None)
        self.ui.openReportButton.setEnabled(self._report is not None)
        names = ", ".join(path.name for path in files)
        return _("Written to {folder}: {names}.").format(folder=files[0].parent, names=names)

    def _choose_cohort(self, table: slicer.vtkMRMLTableNode) -> None:
        parameters = self._parameters()
        if parameters is not None:
            parameters.cohort = table
            self.update(parameters)
            self.ui.cohortTable.resizeColumnsToContents()

    def _show_table(self, table: slicer.vtkMRMLTableNode | None) -> None:
        """Show a cohort, which the view follows by itself from then on."""
        if table is not self._table:
            self._table = table
            self.ui.cohortTable.setMRMLTableNode(table)
        self.ui.cohortTable.setVisible(table is not None)

    def _refresh(self) -> None:
        parameters = self._parameters()
        idle = parameters is not None and not self.job.running
        map = None if parameters is None else parameters.syntheticMap
        cohort = None if parameters is None else _with_rows(parameters.cohort)
        self.ui.compareButton.setEnabled(idle and map is not None and parameters.realMap is not None)
        self.ui.addCaseButton.setEnabled(idle and map is not None)
        self.ui.importButton.setEnabled(idle)
        self.ui.exportButton.setEnabled(idle and cohort is not None)
        self.ui.analyzeButton.setEnabled(idle and cohort is not None)
        self.ui.reportButton.setEnabled(idle and (map is not None or cohort is not None))

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do what a click asks for; what goes wrong is shown."""
        try:
            action()
        except InputError as error:
            self.job.refused(error)
        except Exception as error:  # Qt would only print it
            logging.exception("SynthCBV: agreement")
            self.job.refused(error)


def _drawn(parameters: Any) -> slicer.vtkMRMLNode | None:
    """Give the regions if any is drawn: named segments that are all empty are none yet."""
    from SynthCBVLib.scene.region_placing import drawn_names

    node = parameters.regions
    if node is not None and node.IsA("vtkMRMLSegmentationNode") and not drawn_names(node):
        return None
    return node


def _with_rows(table: slicer.vtkMRMLTableNode | None) -> slicer.vtkMRMLTableNode | None:
    return table if table is not None and table.GetNumberOfRows() else None
