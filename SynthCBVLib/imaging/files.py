"""Studies and regions on disk: the front door of all reading and writing of images.

`read_study` takes what a hospital has: a BIDS folder (see `SynthCBVLib.imaging.bids`), a DICOM folder, a
folder of files named by modality, or a row of a CSV manifest; `open_study` also tells what was found. Single
files: `study_from_files`, `read_image`, `read_diffusion`, `read_regions`, and their counterparts for writing.
"""

from __future__ import annotations

import os
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.bids import open_bids, write_study
from SynthCBVLib.imaging.diffusion_files import read_b_values, read_diffusion, write_diffusion
from SynthCBVLib.imaging.folders import image_files, read_folder
from SynthCBVLib.imaging.image_files import (
    beside,
    image_suffix,
    read_image,
    read_json,
    save,
    writable,
    write_image,
    written_whole,
)
from SynthCBVLib.imaging.loose_files import open_files, study_from_files
from SynthCBVLib.imaging.manifest import ManifestRow, read_manifest
from SynthCBVLib.imaging.opened import OpenedStudy, line_of
from SynthCBVLib.imaging.region_files import read_regions, write_regions
from SynthCBVLib.imaging.study import Study

__all__ = [
    "ManifestRow",
    "OpenedStudy",
    "beside",
    "open_files",
    "open_study",
    "read_b_values",
    "read_diffusion",
    "read_image",
    "read_json",
    "read_manifest",
    "read_regions",
    "read_study",
    "save",
    "study_from_files",
    "writable",
    "write_diffusion",
    "write_image",
    "write_regions",
    "write_study",
    "written_whole",
]

PathLike = str | os.PathLike[str]
_TABLES = (".csv", ".tsv", ".txt")
_BIDS_FOLDERS = ("anat", "dwi", "perf")
_NEEDED = (
    "a BIDS folder of one subject, a DICOM folder, a folder of images named by their kind, or a manifest "
    "(.csv, .tsv)"
)
#: So many files without a DICOM one, and a folder is none of DICOM.
_FILES_LOOKED_AT = 1000


def read_study(path: PathLike | ManifestRow, subject: str | None = None) -> Study:
    """Read the study of one subject from a folder or a manifest.

    Parameters
    ----------
    path : path-like or ManifestRow
        A BIDS folder (``sub-<label>``, a session below it, or a dataset), a DICOM folder, a folder of
        images named by modality, a CSV or TSV manifest, or one of its rows.
    subject : str, optional
        Label of the subject, with or without "sub-"; needed where there are several.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        If it is none of these, there is no such subject, an image could be meant by several files, or a file
        cannot be used.
    """
    return open_study(path, subject).study


def open_study(path: PathLike | ManifestRow, subject: str | None = None) -> OpenedStudy:
    """Read a study as `read_study` does, and tell what was found where."""
    if isinstance(path, ManifestRow):
        return path.open()
    path = Path(path)
    if path.is_file():
        if path.suffix.lower() in _TABLES:
            return _row_of(path, subject).open()
        remedy = "Give its folder, or the images one by one." if image_suffix(path) else ""
        raise InputError(path, "a single file", _NEEDED, remedy)
    if not path.is_dir() or _looks_like_bids(path):
        return open_bids(path, subject)
    if image_files(path):
        return read_folder(path, subject)
    if _dicom_file(path) is not None:
        return _open_dicom(path, subject)
    if path.name.startswith(("sub-", "ses-")):
        return open_bids(path, subject)
    raise InputError(path, "no folder sub-<label>, no image and no DICOM file", _NEEDED)


def _looks_like_bids(folder: Path) -> bool:
    """Tell BIDS by its folders; a folder sub-x of mere images or DICOM is none."""
    if folder.name.startswith(("sub-", "ses-")):
        return any((folder / name).is_dir() for name in _BIDS_FOLDERS) or any(
            each.is_dir() for each in folder.glob("ses-*")
        )
    return (folder / "dataset_description.json").is_file() or any(
        each.is_dir() for each in folder.glob("sub-*")
    )


def _row_of(manifest: Path, subject: str | None) -> ManifestRow:
    rows = read_manifest(manifest)
    wanted = None if subject is None else subject.removeprefix("sub-").lower()
    chosen = [row for row in rows if wanted in (None, row.subject.lower())]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(row.subject for row in rows[:8]) + (" ..." if len(rows) > 8 else "")
    if wanted is None:
        raise InputError(manifest, f"{len(rows)} subjects ({names})", "the label of one", "Give the subject.")
    raise InputError(manifest, f"no subject {subject} among {names}", "a subject there")


def _dicom_file(folder: Path) -> Path | None:
    """Find a DICOM file in a folder or below it, looking at the first files alone."""
    from SynthCBVLib.imaging.dicom import is_dicom

    looked = 0
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where) / name
            if not name.startswith(".") and path.is_file() and is_dicom(path):
                return path
            looked += 1
            if looked >= _FILES_LOOKED_AT:
                return None
    return None


def _open_dicom(folder: Path, subject: str | None) -> OpenedStudy:
    from SynthCBVLib.imaging.dicom import read_dicom

    result = read_dicom(folder, subject=None if subject is None else subject.removeprefix("sub-"))
    found = []
    for modality, image in result.study.images.items():
        series = result.sources[modality]
        tags = ", ".join(dict.fromkeys(series.b_value_source))
        found.append(line_of(modality, image, f"{series.description or 'series'} ({series.number})", tags))
    found += [f"{note.severity}: {note.what}" for note in result.notes]
    files = dict.fromkeys(Path(file) for series in result.sources.values() for file in series.files)
    return OpenedStudy(result.study, "DICOM folder", tuple(found), tuple(files))
