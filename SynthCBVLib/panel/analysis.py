"""From maps and regions to ratios, a cohort and reports: these methods of the module's logic."""

# ruff: noqa: N802 - names of methods and arguments as Slicer has them

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Union

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.background import Listener
from SynthCBVLib.panel.dependencies import missing_packages_told
from SynthCBVLib.panel.processes import Launcher
from SynthCBVLib.panel.ticker import Ticker
from SynthCBVLib.panel.works import Finished, Teller, WorkQueue
from SynthCBVLib.scene.steps import Stepper

# What reaches the statistics is imported on first use: opening the panel stays fast.
if TYPE_CHECKING:
    import slicer

    from SynthCBVLib.imaging.quality import Finding
    from SynthCBVLib.panel.background import Work
    from SynthCBVLib.scene.cohort import CohortNodes

    Regions = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode]  # noqa: UP007

Result = TypeVar("Result")


class AnalysisLogic:
    """What follows a synthesis, for the panel's buttons, the Python console and scripts.

    All methods raise InputError, whose text says what is wrong and what to do, and leave the scene as it was
    then. Those with `waitForCompletion` give their result; or None at once if not waiting: a worker process
    then does the work (ratios alone are computed in Slicer, a moment at a time), one work after the other,
    and `finished` is called with the result and None, or with None and the error. A `listener` hears of
    progress as well.

    Parameters
    ----------
    launch : Launcher
        Starts the worker processes.
    """

    def __init__(self, launch: Launcher) -> None:
        self._tickers: list[Ticker] = []
        #: Proposals of regions, and all other works; each has a worker of its own.
        self.proposals, self.works = WorkQueue(launch), WorkQueue(launch)

    @property
    def analysing(self) -> bool:
        """Whether a work of these methods is under way."""
        return self.works.running or self.proposals.running or bool(self._tickers)

    def cancelAnalysis(self, waitForCompletion: bool = True) -> None:
        """End what these methods have under way; no process, file or node of it stays.

        Without waiting, that is so some turns of the event loop later.
        """
        for ticker in self._tickers:
            ticker.stop()
        self._tickers.clear()
        self.proposals.cancel(waitForCompletion)
        self.works.cancel(waitForCompletion)

    def computeRatios(
        self,
        regions: Regions,
        maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
        name: str = "T/WM ratios",
        uncertainties: Mapping[str, slicer.vtkMRMLScalarVolumeNode] | None = None,
        waitForCompletion: bool = True,
        finished: Finished | None = None,
        table: slicer.vtkMRMLTableNode | None = None,
    ) -> slicer.vtkMRMLTableNode | None:
        """Compute the tumour-to-white-matter ratio of maps, by the names of their rows, into a table.

        A map that was synthesised, or has one in `uncertainties`, gets an interval from its uncertainty map;
        a `table` that is given is filled anew; see `SynthCBVLib.scene.ratios.ratio_table`.
        """
        from SynthCBVLib.scene.ratios import LEVEL, ratio_table, table_steps

        if waitForCompletion:
            return ratio_table(regions, maps, name, uncertainties, table=table)
        self._step(table_steps(regions, maps, name, uncertainties, LEVEL, table), finished)
        return None

    def proposeRegions(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        outline: str | None,
        map: slicer.vtkMRMLScalarVolumeNode,
        anatomy: slicer.vtkMRMLScalarVolumeNode,
        contrast: str | None = None,
        waitForCompletion: bool = True,
        finished: Finished | None = None,
        listener: Listener | None = None,
        bValues: Sequence[float] | None = None,
    ) -> list[Finding] | None:
        """Propose regions from the tumour's outline, the segment of that name, to be looked at.

        With None the outline is proposed, too, from the images that the map was made of (`bValues`, s/mm²,
        where the DWI does not tell its own); what the anatomical image is has to be told then (`contrast`).
        Gives findings; see `SynthCBVLib.scene.region_placing.propose_segments`.
        """
        from SynthCBVLib.panel.analysis_requests import ProposalRequest
        from SynthCBVLib.scene.region_placing import propose_segments

        if waitForCompletion:
            with missing_packages_told():
                return propose_segments(segmentation, outline, map, anatomy, contrast, b_values=bValues)
        work = ProposalRequest(segmentation, outline, map, anatomy, contrast, bValues)
        self.proposals.add(work, Teller(finished, listener))
        return None

    def stampRegion(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        reference: slicer.vtkMRMLScalarVolumeNode,
        position: Sequence[float],
        kind: str,
    ) -> str:
        """Stamp a region of 0.25 cm² at a position (RAS, mm); kind is "tumour" or "white matter".

        Gives the segment's id; see `SynthCBVLib.scene.region_placing.stamp_region`.
        """
        from SynthCBVLib.scene.region_placing import stamp_region

        return stamp_region(segmentation, reference, position, kind)

    def addCase(
        self,
        subject: str,
        synthetic: slicer.vtkMRMLScalarVolumeNode,
        regions: Regions | None = None,
        real: slicer.vtkMRMLScalarVolumeNode | None = None,
        fraction: slicer.vtkMRMLScalarVolumeNode | None = None,
        group: str | None = None,
        scores: Mapping[str, float] | None = None,
        cohort: slicer.vtkMRMLTableNode | None = None,
        waitForCompletion: bool = True,
        finished: Finished | None = None,
        listener: Listener | None = None,
    ) -> slicer.vtkMRMLTableNode | None:
        """Add a case to a cohort table ("Cohort" by default, made if there is none), or update its row.

        The row has the ratios, likeness to real rCBV, uncertainty and provenance; `fraction` is IVIM f. Gives
        the table, whose attribute "SynthCBV.LastChange" says what was done; see
        `SynthCBVLib.scene.cohort.add_case`.
        """
        from SynthCBVLib.panel.analysis_requests import CaseRequest
        from SynthCBVLib.scene.cases import CaseNodes
        from SynthCBVLib.scene.cohort import add_case

        case = CaseNodes(synthetic, regions, real, fraction)
        if waitForCompletion:
            with missing_packages_told():
                return add_case(case, subject, group, scores, cohort)
        self._add(CaseRequest(case, subject, group, scores, cohort), finished, listener)
        return None

    def compareMaps(
        self,
        synthetic: slicer.vtkMRMLScalarVolumeNode,
        real: slicer.vtkMRMLScalarVolumeNode,
        finished: Finished | None = None,
        listener: Listener | None = None,
    ) -> None:
        """Measure how alike two maps are (SSIM, PSNR) in a worker process; the synthetic map keeps it.

        See `SynthCBVLib.scene.likeness`.
        """
        from SynthCBVLib.panel.analysis_requests import CaseRequest
        from SynthCBVLib.scene.cases import CaseNodes

        self._add(CaseRequest(CaseNodes(synthetic, real=real), None), finished, listener)

    def analyzeCohort(
        self,
        cohort: slicer.vtkMRMLTableNode,
        waitForCompletion: bool = True,
        finished: Finished | None = None,
        listener: Listener | None = None,
        **options: object,
    ) -> CohortNodes | None:
        """Put statistics (a table) and charts (plot nodes) of a cohort into the scene.

        Those of an earlier analysis go. Gives statistics, charts and the analysis itself. Options: positive,
        direction, cut_offs, model, confidence; see `SynthCBVLib.scene.cohort.analyze_cohort`.
        """
        from SynthCBVLib.panel.analysis_requests import CohortRequest
        from SynthCBVLib.scene.cohort import analyze_cohort

        if waitForCompletion:
            return analyze_cohort(cohort, **options)
        self._add(CohortRequest(cohort, options), finished, listener)
        return None

    def exportReport(
        self,
        folder: str | os.PathLike[str],
        synthetic: slicer.vtkMRMLScalarVolumeNode | None = None,
        regions: Regions | None = None,
        real: slicer.vtkMRMLScalarVolumeNode | None = None,
        fraction: slicer.vtkMRMLScalarVolumeNode | None = None,
        anatomy: slicer.vtkMRMLScalarVolumeNode | None = None,
        cohort: slicer.vtkMRMLTableNode | None = None,
        subject: str | None = None,
        waitForCompletion: bool = True,
        finished: Finished | None = None,
        listener: Listener | None = None,
        **options: object,
    ) -> list[Path] | None:
        """Write the report of a case (if there is a synthetic map), of a cohort, or of both, into a folder.

        Gives the files. Options: show_subjects, pdf, and those of `analyzeCohort`; see
        `SynthCBVLib.scene.cohort.export_reports`.
        """
        from SynthCBVLib.panel.analysis_requests import ReportRequest
        from SynthCBVLib.scene.cases import CaseNodes
        from SynthCBVLib.scene.cohort import export_reports

        case = None if synthetic is None else CaseNodes(synthetic, regions, real, fraction, anatomy)
        if waitForCompletion:
            with missing_packages_told():
                return export_reports(folder, case, cohort, subject=subject, **options)
        self._add(ReportRequest(Path(folder), case, cohort, subject, options), finished, listener)
        return None

    def _add(self, work: Work, finished: Finished | None, listener: Listener | None) -> None:
        self.works.add(work, Teller(finished, listener))

    def _step(self, steps: Generator[None, None, Result], finished: Finished | None) -> None:
        """Take steps from Slicer's event loop, a moment at a time."""
        stepper = Stepper(steps)

        def tick() -> bool:
            result, problem = None, None
            try:
                if not stepper.turn():
                    return True
                result = stepper.result
            except InputError as error:
                problem = error
            except Exception as error:
                logging.exception("SynthCBV: the analysis failed")
                problem = error
            self._tickers.remove(ticker)
            if finished is not None:
                finished(result, problem)
            return False

        ticker = Ticker(tick, 0)
        self._tickers.append(ticker)
