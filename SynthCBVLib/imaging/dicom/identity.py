"""Who a written map belongs to and what it refers to: patient, study, frame of reference, source files."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

#: What a source file says about patient and study, as far as the map takes it over.
_KEPT = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName", "SpecificCharacterSet", "StudyInstanceUID",
)  # fmt: skip
_HEADER_TAGS = (
    *_KEPT, "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns",
    "ImageOrientationPatient",
)  # fmt: skip
_NO_DATE, _NO_TIME = "19000101", "000000"
_MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


class Source(NamedTuple):
    """A DICOM file that the map was made from."""

    header: Dataset
    path: Path


def source_of(path: Path) -> Source:
    """Read what is needed of a source file's header.

    Raises
    ------
    InputError
        If it is no DICOM file with UIDs.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER_TAGS))
        missing = [
            tag for tag in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
            if not header.get(tag)
        ]  # fmt: skip
    except (InvalidDicomError, OSError, ValueError, EOFError) as error:
        raise InputError(
            path, f"no DICOM file ({error})", "a DICOM file that the map was made from"
        ) from None
    if missing:
        raise InputError(path, f"a DICOM file without {', '.join(missing)}", "a whole DICOM file")
    return Source(header, path)


def refuse_several_studies(sources: Sequence[Source]) -> None:
    """Refuse sources that are not of one study, which a map could not join.

    Raises
    ------
    InputError
    """
    studies = {str(source.header.StudyInstanceUID): source.path for source in sources}
    if len(studies) > 1:
        first, second = list(studies.values())[:2]
        raise InputError(second, f"of another study than {first.name}", "source files of one study")


def template_of(
    sources: Sequence[Source], image: sitk.Image, identified: bool, subject: str, seed: str
) -> Dataset:
    """Make what highdicom takes patient, study and frame of reference from; it has no pixels."""
    from pydicom import Dataset

    template = Dataset()
    for keyword in _KEPT:
        setattr(template, keyword, None)
    if sources and identified:
        for keyword in _KEPT:
            if keyword in sources[0].header:
                setattr(template, keyword, sources[0].header[keyword].value)
    else:
        template.PatientID = subject
    # All text of ours is ASCII, but the names of patients are not.
    if not template.get("SpecificCharacterSet"):
        template.SpecificCharacterSet = "ISO_IR 192"
    if sources:
        study = str(sources[0].header.StudyInstanceUID)
        template.StudyInstanceUID = study if identified else uid_of(study)
    else:
        # One study for the maps of one synthesis: neither the kind nor the voxels are in it.
        parts = json.loads(seed)
        template.StudyInstanceUID = uid_of(json.dumps([parts[0], parts[2]], sort_keys=True), "study")
    frame = _frame_of_reference(sources, image)
    if frame is None:
        frame = uid_of(str(template.StudyInstanceUID), "frame of reference")
    template.FrameOfReferenceUID = frame if identified or not sources else uid_of(frame)
    template.PositionReferenceIndicator = None
    template.SOPClassUID = _MR_STORAGE
    template.SOPInstanceUID = uid_of(seed, "template")
    template.SeriesInstanceUID = uid_of(seed, "template series")
    template.Modality = "MR"
    template.Columns, template.Rows = image.GetSize()[:2]
    template.ImageType = ["ORIGINAL", "PRIMARY"]
    template.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    template.ImagePositionPatient = [0, 0, 0]
    template.PixelSpacing, template.SliceThickness = [1, 1], 1
    return template


def _frame_of_reference(sources: Sequence[Source], image: sitk.Image) -> str | None:
    """Give the sources' frame of reference: the only one, or that of slices on the map's own grid."""
    frames = {str(uid) for source in sources if (uid := source.header.get("FrameOfReferenceUID"))}
    if len(frames) == 1:
        return frames.pop()
    axes = np.array(image.GetDirection()).reshape(3, 3)
    wanted = [*axes[:, 0], *axes[:, 1]]
    on_grid = Counter(
        str(source.header.FrameOfReferenceUID)
        for source in sources
        if source.header.get("FrameOfReferenceUID")
        and (source.header.get("Columns"), source.header.get("Rows")) == image.GetSize()[:2]
        and len(source.header.get("ImageOrientationPatient") or ()) == 6
        and np.allclose([float(v) for v in source.header.ImageOrientationPatient], wanted, atol=1e-3)
    )
    return next(iter(on_grid)) if len(on_grid) == 1 else None


def refer(data: Dataset, derivation: Dataset, sources: Sequence[Source], identified: bool) -> None:
    """Refer to the sources, and no more to the template, in the whole and in the item of its derivation."""
    from pydicom import Dataset

    for keyword in ("ReferencedSeriesSequence", "SourceImageSequence"):
        if keyword in data:
            delattr(data, keyword)
    for frame in data.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in frame:
            del frame.DerivationImageSequence
    by_series: dict[str, list[Dataset]] = {}
    references = []
    for header in (source.header for source in sources):
        reference = Dataset()
        reference.ReferencedSOPClassUID = header.SOPClassUID
        uid = str(header.SOPInstanceUID)
        reference.ReferencedSOPInstanceUID = uid if identified else uid_of(uid)
        by_series.setdefault(str(header.SeriesInstanceUID), []).append(reference)
        source = Dataset()
        source.update(reference)
        source.PurposeOfReferenceCodeSequence = [
            coded("121322", "DCM", "Source image for image processing operation")
        ]
        references.append(source)
    derivation.SourceImageSequence = references
    if by_series:
        data.ReferencedSeriesSequence = []
    for uid, instances in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = uid if identified else uid_of(uid)
        series.ReferencedInstanceSequence = instances
        data.ReferencedSeriesSequence.append(series)


def remove_dates(data: Dataset) -> None:
    """Leave out when the map was made, and say that it holds no identity."""
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "SynthCBV: no names, numbers or dates; UIDs replaced"
    data.ContentDate, data.ContentTime = _NO_DATE, _NO_TIME
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in data:
            delattr(data, keyword)
    for equipment in data.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    """Give an item of a code sequence."""
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def uid_of(*parts: str | bytes) -> str:
    """Derive a UID that is always the same for the same parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode())
        digest.update(b"\0")
    return f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=4).int}"
