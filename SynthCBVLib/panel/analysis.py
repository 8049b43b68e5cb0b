"""From maps and regions to ratios, a cohort and reports: these methods of the module's logic."""

# ruff: noqa: N802 - names of methods and arguments as Slicer has them

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Union

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.ticker import Ticker

# The statistics are imported on first use: opening the panel stays fast.
if TYPE_CHECKING:
    import slicer

    from SynthCBVLib.imaging.quality import Finding
    from SynthCBVLib.scene.cohort import CohortNodes

    Regions = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode]  # noqa: UP007

Result = TypeVar("Result")
#: Is told the result and None, or None and the error.
Finished = Callable[[object, Exception | None], None]


class AnalysisLogic:
    """What follows a synthesis, for the panel's buttons, the Python console and scripts.

    All methods raise InputError, whose text says what is wrong and what to do, and leave the scene as it was
    then. Those with `waitForCompletion` give their result; or None if not waiting: they then work at the next
    turn of Slicer's event loop and call `finished` with the result and None, or with None and the error.
    """

    def __init__(self) -> None:
        self._waiting: list[Ticker] = []

    def computeRatios(
        self,
        regions: Regions,
        maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
        name: str = "T/WM ratios",
        uncertainties: Mapping[str, slicer.vtkMRMLScalarVolumeNode] | None = None,
        waitForCompletion: bool = True,
        finished: Finished | None = None,
    ) -> slicer.vtkMRMLTableNode | None:
        """Compute the tumour-to-white-matter ratio of maps, by the names of their rows, into a table.

        A map that was synthesised, or has one in `uncertainties`, gets an interval from its uncertainty map;
        see `SynthCBVLib.scene.ratios.ratio_table`.
        """
        from SynthCBVLib.scene.ratios import ratio_table

        return self._do(partial(ratio_table, regions, maps, name, uncertainties), waitForCompletion, finished)

    def proposeRegions(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        outline: str,
        map: slicer.vtkMRMLScalarVolumeNode,
        anatomy: slicer.vtkMRMLScalarVolumeNode,
        contrast: str | None = None,
        waitForCompletion: bool = True,
        finished: Finished | None = None,
    ) -> list[Finding] | None:
        """Propose regions from the tumour's outline, the segment of that name, to be looked at.

        Gives findings; see `SynthCBVLib.scene.region_placing.propose_segments`.
        """
        from SynthCBVLib.scene.region_placing import propose_segments

        work = partial(propose_segments, segmentation, outline, map, anatomy, contrast)
        return self._do(work, waitForCompletion, finished)

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
    ) -> slicer.vtkMRMLTableNode | None:
        """Add a case to a cohort table ("Cohort" by default, made if there is none), or update its row.

        The row has the ratios, likeness to real rCBV, uncertainty and provenance; `fraction` is IVIM f. Gives
        the table, whose attribute "SynthCBV.LastChange" says what was done; see
        `SynthCBVLib.scene.cohort.add_case`.
        """
        from SynthCBVLib.scene.cases import CaseNodes
        from SynthCBVLib.scene.cohort import add_case

        case = CaseNodes(synthetic, regions, real, fraction)
        return self._do(partial(add_case, case, subject, group, scores, cohort), waitForCompletion, finished)

    def analyzeCohort(
        self,
        cohort: slicer.vtkMRMLTableNode,
        waitForCompletion: bool = True,
        finished: Finished | None = None,
        **options: object,
    ) -> CohortNodes | None:
        """Put statistics (a table) and charts (plot nodes) of a cohort into the scene.

        Those of an earlier analysis go. Gives statistics, charts and the analysis itself. Options: positive,
        direction, cut_offs, model, confidence; see `SynthCBVLib.scene.cohort.analyze_cohort`.
        """
        from SynthCBVLib.scene.cohort import analyze_cohort

        return self._do(partial(analyze_cohort, cohort, **options), waitForCompletion, finished)

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
        **options: object,
    ) -> list[Path] | None:
        """Write the report of a case (if there is a synthetic map), of a cohort, or of both, into a folder.

        Gives the files. Options: show_subjects, pdf, and those of `analyzeCohort`; see
        `SynthCBVLib.scene.cohort.export_reports`.
        """
        from SynthCBVLib.scene.cases import CaseNodes
        from SynthCBVLib.scene.cohort import export_reports

        case = None if synthetic is None else CaseNodes(synthetic, regions, real, fraction, anatomy)
        work = partial(export_reports, folder, case, cohort, subject=subject, **options)
        return self._do(work, waitForCompletion, finished)

    def _do(self, work: Callable[[], Result], wait: bool, finished: Finished | None) -> Result | None:
        if wait:
            return work()

        def later() -> bool:
            result, problem = None, None
            try:
                result = work()
            except InputError as error:
                problem = error
            except Exception as error:
                logging.exception("SynthCBV: the analysis failed")
                problem = error
            self._waiting.remove(ticker)
            if finished is not None:
                finished(result, problem)
            return False  # once is enough

        ticker = Ticker(later, 0)
        self._waiting.append(ticker)
        return None
