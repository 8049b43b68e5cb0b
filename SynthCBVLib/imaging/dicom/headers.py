"""DICOM files: found, and their headers read without the pixels; what is damaged is named."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from SynthCBVLib.errors import InputError

_PUBLIC = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PatientID", "Modality", "Manufacturer", "ImageType", "SeriesNumber", "SeriesDescription",
    "ProtocolName", "SequenceName", "PulseSequenceName", "ScanningSequence", "ContrastBolusAgent",
    "ContrastBolusAgentSequence", "InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier",
    "AcquisitionTime", "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "AcquisitionContrast",
    "ComplexImageComponent", "ImageComments", "ImagesInAcquisition",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated",
    "RescaleSlope", "RescaleIntercept", "RealWorldValueMappingSequence",
    "DiffusionBValue", "DiffusionDirectionality", "DiffusionGradientOrientation", "MRDiffusionSequence",
    "MRArterialSpinLabelingSequence", "ArterialSpinLabelingContrast", "ASLPulseTrainDuration",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
#: Private elements: group, element in its block, and the creator that gives it its meaning.
PRIVATE = {
    "Siemens b-value": (0x0019, 0x0C, "SIEMENS MR HEADER"),
    "Siemens directionality": (0x0019, 0x0D, "SIEMENS MR HEADER"),
    "Siemens direction": (0x0019, 0x0E, "SIEMENS MR HEADER"),
    "Siemens CSA header": (0x0029, 0x10, "SIEMENS CSA HEADER"),
    "GE b-value": (0x0043, 0x39, "GEMS_PARM_01"),
    "GE collapse flag": (0x0043, 0x30, "GEMS_PARM_01"),
    "GE ASL contrast": (0x0043, 0xA3, "GEMS_PARM_01"),
    "GE label duration": (0x0043, 0xA5, "GEMS_PARM_01"),
    "Philips b-value": (0x2001, 0x03, "Philips Imaging DD 001"),
    "Philips direction": (0x2001, 0x04, "Philips Imaging DD 001"),
    "Philips scale slope": (0x2005, 0x0E, "Philips MR Imaging DD 001"),
    "Philips label type": (0x2005, 0x29, "Philips MR Imaging DD 005"),
}
#: Blocks that a private creator may have reserved.
PRIVATE_BLOCKS = range(0x10, 0x20)


def pydicom_module() -> Any:
    """Import pydicom, or say how to get it."""
    try:
        import pydicom
    except ImportError:
        raise InputError(
            "pydicom", "not installed", "the package pydicom (3 or later) to read DICOM",
            "Install it with: pip install 'pydicom>=3'.",
        ) from None  # fmt: skip
    return pydicom


@contextlib.contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom from warning about values that are outside the standard: what matters is checked here."""
    import logging
    import warnings

    pydicom_module()
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydicom")
            yield
    finally:
        logger.disabled = disabled


def has_preamble(path: Path) -> bool:
    """Tell whether a file starts as DICOM files do: 128 bytes, then DICM."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Tell cheaply whether a path is a DICOM file, or a folder with one somewhere below it.

    Only the first bytes of files are read. DICOMDIR does not count: it holds no image.
    """
    path = Path(path)
    if path.is_dir():
        return any(has_preamble(file) for file in files_below(path))
    return path.is_file() and path.name.upper() != "DICOMDIR" and has_preamble(path)


def files_below(folder: Path) -> Iterator[Path]:
    """Give all files below a folder in the order of their names, without DICOMDIR and hidden ones."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if name.upper() != "DICOMDIR" and not name.startswith(".") and path.is_file():
                yield path


def read_header(path: Path) -> Any:
    """Read those parts of a file's header that are used here, without its pixels.

    Returns
    -------
    pydicom.Dataset

    Raises
    ------
    InputError
        If the file is missing, not DICOM or damaged.
    """
    pydicom = pydicom_module()
    if not path.is_file():
        raise InputError(path, "no such file", "a DICOM file")
    if not has_preamble(path):
        raise InputError(path, "not a DICOM file (no DICM after the first 128 bytes)", "a DICOM file")
    with damage_named(path, "its header"):
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_tags())


@cache
def _tags() -> list[Any]:
    pydicom = pydicom_module()
    tags = [pydicom.tag.Tag(keyword) for keyword in _PUBLIC]
    for group, element, _ in PRIVATE.values():
        tags += [pydicom.tag.Tag(group, block) for block in PRIVATE_BLOCKS]
        # The CSA header is long and rarely needed: it is read when it is asked for.
        if group != 0x0029:
            tags += [pydicom.tag.Tag(group, block << 8 | element) for block in PRIVATE_BLOCKS]
    return tags


@contextlib.contextmanager
def damage_named(path: Path, part: str) -> Iterator[None]:
    """Turn whatever a damaged file makes pydicom raise into an `InputError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # pydicom documents no list: struct.error, KeyError, ... for bad bytes
        words = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(path, f"{part} cannot be read ({words})", "an undamaged DICOM file",
                         "Send the series again from the archive.") from None  # fmt: skip
