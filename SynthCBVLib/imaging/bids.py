"""The BIDS folder of one subject, read into a `Study` and written from one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.asl_files import asl_image, asl_sidecar, read_asl
from SynthCBVLib.imaging.diffusion_files import format_b_values, read_diffusion_with_source
from SynthCBVLib.imaging.image_files import (
    IMAGE_SUFFIXES,
    beside,
    image_suffix,
    read_image,
    save,
    save_json,
    written_whole,
)
from SynthCBVLib.imaging.opened import OpenedStudy, line_of
from SynthCBVLib.imaging.study import (
    AslSeries,
    DiffusionSeries,
    Modality,
    Study,
    StudyImage,
    is_series,
    join_series,
)


class _Place(NamedTuple):
    """Where an image lives: folder, BIDS suffix, and the contrast-agent entity if it must be there."""

    folder: str
    suffix: str
    contrast: str = ""


_PLACES: dict[Modality, _Place] = {
    Modality.DWI: _Place("dwi", "dwi"),
    Modality.ADC: _Place("dwi", "ADC"),
    Modality.T1W: _Place("anat", "T1w"),
    Modality.T1C: _Place("anat", "T1w", "gadolinium"),
    Modality.T2W: _Place("anat", "T2w"),
    Modality.FLAIR: _Place("anat", "FLAIR"),
    Modality.CBF: _Place("perf", "cbf"),
    Modality.RCBV: _Place("perf", "rcbv"),
}
_ASL, _M0 = _Place("perf", "asl"), _Place("perf", "m0scan")
_LAYOUT = (
    "sub-<label>/ with dwi/*_dwi, dwi/*_ADC, anat/*_T1w, *_ce-*_T1w, *_T2w, *_FLAIR, "
    "perf/*_asl, *_cbf, *_rcbv (.nii.gz)"
)
_DESCRIPTION = {"Name": "SynthCBV study", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
_IGNORED_BY_VALIDATORS = "*_ADC.*\n*_cbf.*\n*_rcbv.*\n"


def read_study(folder: str | os.PathLike[str], subject: str | None = None) -> Study:
    """Read the BIDS folder of one subject.

    Parameters
    ----------
    folder : path-like
        ``sub-<label>``, a session below it, or a dataset with one subject (or several, if `subject` is
        given). A single session level is followed.
    subject : str, optional
        Label of the subject, with or without "sub-".

    Returns
    -------
    Study
        What is there of DWI (with its .bval), ADC, T1w, T1c (``*_ce-<agent>_T1w``), T2w, FLAIR, CBF and
        rCBV. CBF is the map ``*_cbf`` if there is one, which wins over raw ``*_asl``; otherwise the means
        of control, label and M0 of ``*_asl`` as an `AslSeries`.

    Raises
    ------
    InputError
        If there is no such subject or no image, if an image could be meant by several files (runs,
        sessions, subjects: they are listed), or if a file cannot be used.
    """
    return open_bids(folder, subject).study


def open_bids(folder: str | os.PathLike[str], subject: str | None = None) -> OpenedStudy:
    """Read the BIDS folder of one subject as `read_study` does, and tell what was found."""
    folder = _subject_folder(Path(folder), subject)
    label = next(part for part in (folder.name, folder.parent.name) if part.startswith("sub-"))[4:]
    images: dict[Modality, StudyImage] = {}
    found = []
    for modality, place in _PLACES.items():
        path = _single(folder, place)
        if path is None:
            continue
        source = ""
        if modality is Modality.DWI:
            images[modality], source = read_diffusion_with_source(path)
        else:
            images[modality] = _volume(path, modality)
        found.append(line_of(modality, images[modality], path, source))
    series = None if Modality.CBF in images else _single(folder, _ASL)
    if series is not None:
        images[Modality.CBF] = read_asl(series, _single(folder, _M0))
        found.append(line_of(Modality.CBF, images[Modality.CBF], series))
    if not images:
        raise InputError(folder, "no image of a known kind", _LAYOUT)
    return OpenedStudy(Study(label, images), "BIDS folder", tuple(found))


def write_study(study: Study, folder: str | os.PathLike[str]) -> Path:
    """Write a study as a BIDS folder that `read_study` reads back with equal voxels and geometry.

    Vector series become 4D. Nothing is left behind if writing fails.

    Parameters
    ----------
    study : Study
        Subject labels are letters and digits only, as BIDS has it.
    folder : path-like
        The dataset's folder; made if need be.

    Returns
    -------
    Path
        ``folder/sub-<subject>``.

    Raises
    ------
    InputError
        If the label cannot be used, or other images of the subject are there already.
    """
    root = Path(folder)
    if not re.fullmatch(r"[A-Za-z0-9]+", study.subject):
        raise InputError(
            f"subject {study.subject!r}", "a label that cannot name a BIDS folder", "letters and digits only"
        )
    subject = root / f"sub-{study.subject}"
    files = _files(study, subject)
    _refuse_strangers(subject, set(files))
    root_files = {
        root / "dataset_description.json": _DESCRIPTION,
        root / ".bidsignore": _IGNORED_BY_VALIDATORS,
    }
    files |= {path: content for path, content in root_files.items() if not path.exists()}
    with written_whole(*files) as temporary:
        for path, content in zip(temporary, files.values(), strict=True):
            if isinstance(content, sitk.Image):
                save(content, path)
            elif isinstance(content, dict):
                save_json(content, path)
            else:
                path.write_text(content, encoding="utf-8")
    return subject


def _subject_folder(folder: Path, subject: str | None) -> Path:
    if not folder.is_dir():
        seen = "a file" if folder.exists() else "no such folder"
        raise InputError(folder, seen, "a BIDS folder of one subject", f"The layout is {_LAYOUT}.")
    wanted = None if subject is None else f"sub-{subject.removeprefix('sub-')}"
    if folder.name.startswith("ses-") and folder.parent.name.startswith("sub-"):
        if wanted not in (None, folder.parent.name):
            raise InputError(folder, f"a session of {folder.parent.name}", f"a folder of {wanted}")
        return folder
    if not folder.name.startswith("sub-"):
        subjects = sorted(path.name for path in folder.glob("sub-*") if path.is_dir())
        if wanted is None and len(subjects) != 1:
            raise InputError(
                folder,
                f"{len(subjects)} subjects ({_some(subjects)})" if subjects else "no folder sub-<label>",
                "one subject, or the subject's label",
                "Give the subject's own folder or its label." if subjects else f"The layout is {_LAYOUT}.",
            )
        if wanted is not None and wanted not in subjects:
            raise InputError(
                folder, f"no {wanted} among {_some(subjects) or 'no subjects'}", "a subject there"
            )
        folder = folder / (wanted or subjects[0])
    elif wanted not in (None, folder.name):
        raise InputError(folder, f"the folder of {folder.name}", f"a folder of {wanted}")
    sessions = sorted(path.name for path in folder.glob("ses-*") if path.is_dir())
    own = [name for name in ("anat", "dwi", "perf") if (folder / name).is_dir()]
    if len(sessions) > 1 or (sessions and own):
        raise InputError(
            folder, f"several sessions ({_some(sessions + own)})", "one session", "Give the session's folder."
        )
    return folder / sessions[0] if sessions else folder


def _candidates(folder: Path, place: _Place) -> list[Path]:
    found = []
    for path in sorted((folder / place.folder).glob("*")):
        suffix = image_suffix(path)
        parts = path.name[: -len(suffix)].split("_") if suffix else []
        if not parts or path.name.startswith(".") or parts[-1] != place.suffix:
            continue
        has_contrast = any(part.startswith("ce-") for part in parts[:-1])
        if place.suffix != "T1w" or has_contrast == bool(place.contrast):
            found.append(path)
    return found


def _single(folder: Path, place: _Place) -> Path | None:
    found = _candidates(folder, place)
    if len(found) > 1:
        raise InputError(
            folder / place.folder,
            f"{len(found)} candidates for *_{place.suffix}: {_some([path.name for path in found])}",
            "one image of each kind",
            "Move the others away, or give the files one by one.",
        )
    return found[0] if found else None


def _volume(path: Path, modality: Modality) -> sitk.Image:
    image = read_image(path)
    if is_series(image):
        raise InputError(path, f"a series of size {image.GetSize()}", f"one 3D volume as {modality}")
    return image


def _files(study: Study, subject: Path) -> dict[Path, sitk.Image | dict | str]:
    """Name every file of a study with its content."""
    files: dict[Path, sitk.Image | dict | str] = {}
    for modality, image in study.images.items():
        place = _ASL if isinstance(image, AslSeries) else _PLACES[modality]
        contrast = f"_ce-{place.contrast}" if place.contrast else ""
        stem = f"{subject.name}{contrast}_{place.suffix}"
        path = subject / place.folder / f"{stem}{IMAGE_SUFFIXES[0]}"
        if isinstance(image, DiffusionSeries):
            four_d = image.image.GetDimension() == 4
            files[path] = image.image if four_d else join_series(image.volumes())
            files[beside(path, ".bval")] = format_b_values(image.b_values)
            if image.phase_encoding:
                files[beside(path, ".json")] = {"PhaseEncodingDirection": image.phase_encoding}
        elif isinstance(image, AslSeries):
            files[path] = asl_image(image)
            files[beside(path, ".json")] = asl_sidecar(image)
            files[path.with_name(f"{subject.name}_aslcontext.tsv")] = "volume_type\ncontrol\nlabel\nm0scan\n"
        else:
            files[path] = image
    return files


def _refuse_strangers(subject: Path, ours: set[Path]) -> None:
    """Refuse to write beside older images that `read_study` would take up with the new ones."""
    places = [*_PLACES.values(), _ASL, _M0]
    there = [path for place in places for path in _candidates(subject, place) if path not in ours]
    if there or any(subject.glob("ses-*")):
        raise InputError(
            subject,
            f"other images of the subject ({_some([path.name for path in there] or ['ses-*'])})",
            "an empty folder, or one with the same files",
            "Write to another folder or move them away.",
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
