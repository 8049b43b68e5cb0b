"""A series as it was found: what it is taken as and why, its grid, its images, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.asl import AslPlan, context_of, plan_asl
from SynthCBVLib.imaging.dicom.classify import Role, Verdict, classify
from SynthCBVLib.imaging.dicom.diffusion import DiffusionPlan, plan_diffusion
from SynthCBVLib.imaging.dicom.geometry import Geometry
from SynthCBVLib.imaging.dicom.grouping import Group, without_copies
from SynthCBVLib.imaging.dicom.notes import Note
from SynthCBVLib.imaging.dicom.volumes import Volumes, assemble, single
from SynthCBVLib.imaging.study import Modality


@dataclass(frozen=True)
class DicomSeries:
    """One series of a study, or one part of it (originals, trace, ADC, an echo) where a series mixes them.

    Attributes
    ----------
    uid : str
        SeriesInstanceUID.
    part : str
        "" for the original images, else what the part is.
    number : int or None
        SeriesNumber.
    description : str
        SeriesDescription, or ProtocolName where that is empty.
    modality : Modality or None
        What it is taken as; None where it is of no use here.
    role : {"image", "diffusion", "asl", "m0", "other"}
        How it is read.
    reason : str
        What that rests on.
    derived : bool
        Whether it was made of other images.
    geometry : Geometry or None
        Grid of its volumes; None where there is none.
    n_volumes : int
    sop_instance_uids : tuple of tuple of str
        For each slice of the grid, SOPInstanceUIDs of its images (one of each volume; one in all where
        they share an enhanced file).
    sop_class_uid, study_uid, frame_of_reference_uid : str
        For references to the series.
    files : tuple of Path
    b_values : tuple of float
        s/mm², one a volume of a diffusion series.
    b_value_source : tuple of str
        Name of the tag that each came from.
    asl_context : tuple of str
        "control", "label" or "m0scan" of each volume of an ASL series.
    problem : str
        Why it cannot be read, "" if nothing is known to be wrong.
    notes : tuple of Note
    """

    uid: str
    part: str
    number: int | None
    description: str
    modality: Modality | None
    role: Role
    reason: str
    derived: bool
    geometry: Geometry | None
    n_volumes: int
    sop_instance_uids: tuple[tuple[str, ...], ...] = field(repr=False)
    sop_class_uid: str
    study_uid: str
    frame_of_reference_uid: str
    files: tuple[Path, ...] = field(repr=False)
    b_values: tuple[float, ...] = ()
    b_value_source: tuple[str, ...] = ()
    asl_context: tuple[str, ...] = ()
    problem: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def key(self) -> str:
        """What names it in `choose`: the UID, with # and the part where a series has several."""
        return f"{self.uid}#{self.part}" if self.part else self.uid

    @property
    def name(self) -> str:
        """How messages call it."""
        number = "series" if self.number is None else f"series {self.number}"
        title = f"{number} ({self.description})" if self.description else number
        return f"{title} {self.part}".rstrip()

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Columns, rows, slices; None where there is no grid."""
        return None if self.geometry is None else self.geometry.size


@dataclass(frozen=True)
class Described:
    """A series with what is needed to read its pixels.

    Attributes
    ----------
    series : DicomSeries
    group : Group
    plan : Volumes, DiffusionPlan, AslPlan or None
        None where it cannot be read.
    error : InputError or None
        Why it cannot be read.
    """

    series: DicomSeries
    group: Group
    plan: Volumes | DiffusionPlan | AslPlan | None
    error: InputError | None

    @property
    def volumes(self) -> Volumes | None:
        """Its images by volume and slice."""
        return self.plan if isinstance(self.plan, Volumes | None) else self.plan.volumes


def describe(
    group: Group,
    wanted: Modality | str | None = None,
    b_values: Sequence[float] | None = None,
    asl_context: Sequence[str] | None = None,
) -> Described:
    """Find out what a series is and how its images lie; what is wrong is kept, not raised.

    Parameters
    ----------
    group : Group
    wanted : Modality or "m0", optional
        What the user says that it is.
    b_values, asl_context : sequence, optional
        What the user gives instead of the header's, if it is a diffusion or ASL series.
    """
    verdict = _as_wanted(group, classify(group), wanted, asl_context is not None)
    notes: list[Note] = []
    plan: Volumes | DiffusionPlan | AslPlan | None = None
    error: InputError | None = None
    try:
        _refuse_mosaic(group)
        group, copies = without_copies(group)
        if verdict.role == "diffusion":
            plan = plan_diffusion(group, b_values)
            notes += plan.notes
        elif verdict.role == "asl":
            plan = plan_asl(group, asl_context)
            notes += plan.notes
        elif verdict.role == "image":
            plan, more = single(group)
            copies += more
            notes += _edges(group, verdict)
        else:
            plan = assemble(group)
        if copies:
            what = f"{group.name}: {copies} image(s) were there twice with equal pixels and count once"
            notes.append(Note("info", verdict.modality, what, "Nothing needs to be done."))
    except InputError as found:
        error, plan = found, None
    if verdict.conflict:
        what = f"{group.name} is taken as {verdict.modality} ({verdict.reason}), but {verdict.conflict}"
        notes.append(
            Note("warning", verdict.modality, what, "Look at the image; choose another if it is wrong.")
        )
    return Described(_record(group, verdict, plan, error, notes), group, plan, error)


def _as_wanted(group: Group, verdict: Verdict, wanted: Modality | str | None, context: bool) -> Verdict:
    if wanted is None:
        return verdict
    role: Role = "image"
    if wanted == "m0":
        wanted, role = Modality.CBF, "m0"
    elif wanted is Modality.DWI:
        role = "diffusion"
    elif wanted is Modality.CBF and (context or verdict.role == "asl" or context_of(group.first)):
        role = "asl"
    return replace(verdict, modality=Modality(wanted), role=role, reason="chosen by the user", conflict="")


def _refuse_mosaic(group: Group) -> None:
    if any("MOSAIC" in frame.image_type for frame in group.frames):
        raise InputError(
            group.name, "a Siemens mosaic (all slices of a volume in one picture)",
            "one image for each slice, or enhanced MR",
            "Convert it with dcm2niix and read the NIfTI files with their .bval.",
        )  # fmt: skip


def _edges(group: Group, verdict: Verdict) -> list[Note]:
    """Note where the instance numbers start late: slices at an edge may be missing without a gap."""
    numbers = sorted(n for frame in group.frames if (n := frame.hint("InstanceNumber")) is not None)
    whole = not group.part and all(len(frame.layers) == 1 for frame in group.frames)
    if (
        not whole
        or len(numbers) != len(group.frames)
        or numbers != [numbers[0] + i for i in range(len(numbers))]
    ):
        return []
    recorded = group.first.hint("ImagesInAcquisition")
    short = recorded is not None and recorded > len(numbers) and numbers[0] == 1
    if numbers[0] <= 1 and not short:
        return []
    seen = f"its images are numbered from {numbers[0]:g} to {numbers[-1]:g}"
    if short:
        seen += f" of {recorded:g}"
    return [Note("warning", verdict.modality, f"{group.name}: {seen}: slices at an edge may be missing",
                 "Compare the number of slices with the archive.")]  # fmt: skip


def _record(
    group: Group, verdict: Verdict, plan: Any, error: InputError | None, notes: list[Note]
) -> DicomSeries:
    first = group.first
    volumes = plan if isinstance(plan, Volumes | None) else plan.volumes
    number = first.hint("SeriesNumber")
    return DicomSeries(
        uid=group.uid,
        part=group.part,
        number=None if number is None else int(number),
        description=first.text("SeriesDescription") or first.text("ProtocolName"),
        modality=verdict.modality,
        role=verdict.role,
        reason=verdict.reason,
        derived=verdict.derived or group.part == "trace",
        geometry=None if volumes is None else volumes.geometry,
        n_volumes=0 if volumes is None else len(volumes.frames),
        sop_instance_uids=() if volumes is None else volumes.uids(),
        sop_class_uid=first.text("SOPClassUID"),
        study_uid=first.text("StudyInstanceUID"),
        frame_of_reference_uid=first.text("FrameOfReferenceUID"),
        files=tuple(dict.fromkeys(frame.path for frame in group.frames)),
        b_values=plan.b_values if isinstance(plan, DiffusionPlan) else (),
        b_value_source=plan.sources if isinstance(plan, DiffusionPlan) else (),
        asl_context=plan.contexts if isinstance(plan, AslPlan) else (),
        problem=str(error) if error else "",
        notes=tuple(notes),
    )
