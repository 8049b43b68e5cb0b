"""What the panel asks the worker for after a synthesis: regions, a case's figures, statistics, reports."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.panel.jobs import Finished, Noticed
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.cases import CaseNodes, copy_case
from SynthCBVLib.scene.cohort import CohortNodes, checked_subject, put_analysis, put_case
from SynthCBVLib.scene.drawn_regions import drawn_regions
from SynthCBVLib.scene.likeness import Likeness, keep_likeness
from SynthCBVLib.scene.outline_images import copy_outline_images
from SynthCBVLib.scene.region_placing import OUTLINE, outline_id, put_proposal
from SynthCBVLib.scene.results import mask_of
from SynthCBVLib.scene.tables import cohort_from_node
from SynthCBVLib.scene.volumes import copy_steps, node_name
from SynthCBVLib.worker.case import HandedCase
from SynthCBVLib.worker.cohort import charts_of, table_record
from SynthCBVLib.worker.handover import Volume, read_volumes, write_volumes

if TYPE_CHECKING:
    import slicer


@dataclass(frozen=True)
class CopiedProposal:
    """What the worker proposes regions from: volumes, and how those that may lie apart are registered."""

    volumes: Mapping[str, Volume]
    matrices: Mapping[str, list[list[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposed:
    """Regions that the worker proposes."""

    regions: Mapping[str, sitk.Image]
    findings: Sequence[Finding]


@dataclass(frozen=True)
class ProposalRequest:
    """Regions to propose; a `Work` for the worker. Fields as of `propose_segments`."""

    segmentation: slicer.vtkMRMLSegmentationNode
    outline: str | None
    map: slicer.vtkMRMLScalarVolumeNode
    anatomy: slicer.vtkMRMLScalarVolumeNode
    contrast: str | None = None
    b_values: Sequence[float] | None = None

    def copy(self) -> Generator[None, None, CopiedProposal]:
        """Copy the images and the outline; without an outline what it can be proposed from."""
        if self.outline is not None:
            outline_id(self.segmentation, self.outline)
        volumes: dict[str, Volume] = {}
        for key, node in (("anatomy", self.anatomy), ("map", self.map), ("brain", mask_of(self.map))):
            if node is not None:
                volumes[key] = yield from copy_steps(node)
        if self.outline is None:
            further = yield from copy_outline_images(self.map, self.anatomy, self.b_values)
            volumes |= {modality.value: one.volume for modality, one in further.items()}
            matrices = {modality.value: one.matrix.tolist() for modality, one in further.items()}
            return CopiedProposal(volumes, matrices)
        drawn = dict(drawn_regions(self.segmentation, self.anatomy, lambda name: name == self.outline))
        if not drawn:
            raise InputError(
                self.outline, "nothing drawn", "a rough outline of the solid tumour",
                "Paint it in the Segment Editor, in the slice with the largest tumour or in more.",
            )  # fmt: skip
        volumes["outline"] = Volume.of(drawn[self.outline], self.outline)
        return CopiedProposal(volumes)

    def write(self, copied: CopiedProposal, folder: Path) -> dict[str, Any]:
        """Write them and give the job."""
        write_volumes(folder / "volumes", copied.volumes)
        job: dict[str, Any] = {
            "task": "propose-regions", "volumes": str(folder / "volumes"), "matrices": dict(copied.matrices)
        }  # fmt: skip
        return job if self.contrast is None else {**job, "contrast": str(self.contrast)}

    def read(self, event: Finished, findings: Sequence[Noticed]) -> Proposed:
        """Read the masks."""
        volumes, _more = read_volumes(event.files["regions"].parent)
        told = [Finding(one.severity, one.modality or None, one.what, one.remedy) for one in findings]
        names = {"outline": OUTLINE}  # where it was proposed, too
        return Proposed({names.get(key, key): volume.image() for key, volume in volumes.items()}, told)

    def show(self, read: Proposed) -> Generator[None, None, list[Finding]]:
        """Put the regions into the segmentation."""
        _still_there(self.segmentation)
        return (yield from put_proposal(read.regions, read.findings, self.segmentation, self.outline))


@dataclass(frozen=True)
class CaseRequest:
    """A case to measure, and to add to a cohort table; a `Work` for the worker.

    Parameters
    ----------
    case : CaseNodes
        The case.
    subject : str or None
        Its label; None compares the maps without adding a case.
    group, scores, cohort
        As of `SynthCBVLib.scene.cohort.add_case`.
    """

    case: CaseNodes
    subject: str | None
    group: str | None = None
    scores: Mapping[str, float] | None = None
    cohort: slicer.vtkMRMLTableNode | None = None

    def copy(self) -> Generator[None, None, HandedCase]:
        """Copy the case."""
        if self.subject is not None:
            checked_subject(self.subject)
            if self.cohort is not None and self.cohort.GetNumberOfColumns():
                cohort_from_node(self.cohort)  # refuses a table that is none, before any work
        return (yield from copy_case(self.case))

    def write(self, copied: HandedCase, folder: Path) -> dict[str, Any]:
        """Write it and give the job."""
        copied.write(folder / "case")
        return {
            "task": "measure-case", "case": str(folder / "case"), "subject": (self.subject or "-").strip(),
            "group": (self.group or "").strip() or None, "scores": dict(self.scores or {}),
        }  # fmt: skip

    def read(self, event: Finished, findings: Sequence[Noticed]) -> dict[str, Any]:
        """Read what was measured."""
        return _result(event)

    def show(self, read: Mapping[str, Any]) -> Generator[None, None, Any]:
        """Keep the likeness with the map and put the row into the table; give table or likeness."""
        _still_there(self.case.synthetic)
        found = read["likeness"]
        likeness = None if found is None else Likeness(**found)
        if self.case.real is not None:
            keep_likeness(self.case.synthetic, self.case.real, likeness)
        told = [Finding(**finding) for finding in read["findings"]]
        if self.subject is None:
            if likeness is None:
                what = next((one.what for one in told if one.what.startswith("No SSIM")), "no common part")
                raise InputError("Comparison", what, "two maps of one brain that overlap")
            return likeness
        if self.cohort is not None:
            _still_there(self.cohort)
        yield
        return put_case(read["row"], told, self.cohort)


@dataclass(frozen=True)
class CohortRequest:
    """A cohort to analyse; a `Work` for the worker."""

    cohort: slicer.vtkMRMLTableNode
    options: Mapping[str, Any] = field(default_factory=dict)

    def copy(self) -> Generator[None, None, dict[str, Any]]:
        """Copy the table."""
        yield
        return table_record(cohort_from_node(self.cohort))

    def write(self, copied: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Give the job."""
        return {"task": "analyze-cohort", "cohort": copied, "options": dict(self.options)}

    def read(self, event: Finished, findings: Sequence[Noticed]) -> dict[str, Any]:
        """Read statistics and charts."""
        found = _result(event)
        return found | {"charts": charts_of(found["charts"])}

    def show(self, read: Mapping[str, Any]) -> Generator[None, None, CohortNodes]:
        """Put them into the scene."""
        yield
        return put_analysis(read["statistics"], read["charts"])


@dataclass(frozen=True)
class ReportRequest:
    """Reports to write into a folder; a `Work` for the worker. Fields as of `export_reports`."""

    folder: Path
    case: CaseNodes | None = None
    cohort: slicer.vtkMRMLTableNode | None = None
    subject: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def copy(self) -> Generator[None, None, tuple[HandedCase | None, dict[str, Any] | None]]:
        """Copy case and table."""
        if self.case is None and self.cohort is None:
            raise InputError("report", "nothing to report", "a synthetic map or a cohort table")
        yield
        case = None if self.case is None else (yield from copy_case(self.case))
        return case, None if self.cohort is None else table_record(cohort_from_node(self.cohort))

    def write(self, copied: tuple[HandedCase | None, dict[str, Any] | None], folder: Path) -> dict[str, Any]:
        """Write the case and give the job."""
        case, table = copied
        job: dict[str, Any] = {"task": "report", "subject": self.subject, "options": dict(self.options)}
        if case is not None:
            case.write(folder / "case")
            job["case"] = str(folder / "case")
        return job if table is None else {**job, "cohort": table}

    def read(self, event: Finished, findings: Sequence[Noticed]) -> list[Path]:
        """Bring the files to their place, each whole."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return [_place(path, self.folder / path.name) for path in event.files.values()]
        except OSError as error:
            raise InputError(
                self.folder, f"a folder that cannot be written ({error.strerror})", "a folder of your own",
                "Choose another folder.",
            ) from error  # fmt: skip

    def show(self, read: list[Path]) -> Generator[None, None, list[Path]]:
        """Have nothing to put into the scene."""
        yield
        return read


def _result(event: Finished) -> dict[str, Any]:
    return json.loads(event.files["result"].read_text(encoding="utf-8"))


def _place(made: Path, place: Path) -> Path:
    partial = place.with_name(f".{place.name}.part")
    try:
        shutil.copyfile(made, partial)
        os.replace(partial, place)  # noqa: PTH105 - as atomic as the folder's file system allows
    finally:
        partial.unlink(missing_ok=True)
    return place


def _still_there(node: slicer.vtkMRMLNode) -> None:
    """Refuse to put something into a node that was taken out of the scene meanwhile."""
    if not current_scene().IsNodePresent(node):
        raise InputError(
            node_name(node), "no longer in the scene", "the node that the work began with", "Begin again."
        )
