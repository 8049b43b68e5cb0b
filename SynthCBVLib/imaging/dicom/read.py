"""A DICOM study: its folder or files read into the images of a `Study`, with every series accounted for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.choice import Choice, take
from SynthCBVLib.imaging.dicom.frame import Frame, frames_of
from SynthCBVLib.imaging.dicom.grouping import Group, groups_of
from SynthCBVLib.imaging.dicom.headers import files_below, has_preamble, quiet_pydicom
from SynthCBVLib.imaging.dicom.load import load
from SynthCBVLib.imaging.dicom.notes import Note
from SynthCBVLib.imaging.dicom.series import Described, DicomSeries, describe
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, StudyImage
from SynthCBVLib.progress import Progress, part, silent

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class DicomStudy:
    """What a DICOM folder holds.

    Attributes
    ----------
    study : Study
        The images that were taken.
    series : tuple of DicomSeries
        Every series found, taken or not.
    sources : Mapping
        The series that each image of the study came from.
    notes : tuple of Note
        What was taken and why, what was left out, and what looks wrong; `Note.finding` gives each as a
        finding of the quality checks.
    """

    study: Study
    series: tuple[DicomSeries, ...]
    sources: Mapping[Modality, DicomSeries]
    notes: tuple[Note, ...]


def read_dicom(
    folder_or_files: PathLike | Iterable[PathLike],
    progress: Progress | None = None,
    *,
    choose: Mapping[Modality, DicomSeries | str | None] | None = None,
    b_values: Sequence[float] | None = None,
    asl_context: Sequence[str] | None = None,
    m0: DicomSeries | str | None = None,
    subject: str | None = None,
) -> DicomStudy:
    """Read the DICOM images of one patient.

    Headers are read first; pixels only of the series that are taken.

    Parameters
    ----------
    folder_or_files : path-like, or several
        A folder (looked through with all folders below it) or files.
    progress : Progress, optional
    choose : Mapping, optional
        The series of a modality, where the choice made here is not right: the series or its
        `DicomSeries.key`; None leaves the modality out.
    b_values : sequence of float, optional
        b-values of the diffusion series, s/mm², one a volume in the order of acquisition, instead of those
        in the header.
    asl_context : sequence of {"control", "label", "m0scan"}, optional
        What each volume of the ASL series is, in the order of acquisition, where the header does not say.
    m0 : DicomSeries or str, optional
        The M0 series of the ASL series.
    subject : str, optional
        Label of the subject; by default the letters and digits of PatientID.

    Returns
    -------
    DicomStudy

    Raises
    ------
    InputError
        If there are several patients or no image to take, or a series that is taken is damaged, incomplete
        or of an unknown encoding.
    """
    progress = progress or silent
    folder_or_files = _listed(folder_or_files)
    choose = {_known(key): value for key, value in (choose or {}).items()}
    with quiet_pydicom():
        frames, notes = _frames(folder_or_files, part(progress, 0.0, 0.4))
        where = _shown(folder_or_files)
        label = _subject(frames, where) if subject is None else subject
        notes += _several_studies(frames)
        groups = groups_of(frames)
        described = _describe_all(groups, choose, m0, b_values, asl_context, part(progress, 0.4, 0.5))
        choices, m0_choice, more = take(described, choose, m0)
        notes += more
        if not choices:
            listed = "; ".join(f"{d.series.name}: {d.series.reason}" for d in described[:6])
            raise InputError(
                where, f"no image of a known kind in {len(described)} series ({listed})",
                "DWI, T1w, T2w, FLAIR, ADC, T1c, CBF or rCBV",
                "Name the series of each modality (choose=...).",
            )  # fmt: skip
        roles = {choice.described.series.role for choice in choices}
        if b_values is not None and "diffusion" not in roles:
            raise InputError(where, "b-values given but no diffusion series", "a diffusion series")
        if asl_context is not None and "asl" not in roles:
            raise InputError(where, "ASL volume types given but no raw ASL series", "a raw ASL series")
        images: dict[Modality, StudyImage] = {}
        for i, choice in enumerate(choices):
            step = part(progress, 0.5 + 0.5 * i / len(choices), 0.5 + 0.5 * (i + 1) / len(choices))
            image, more_notes = _load(choice, m0_choice, step)
            images[choice.modality] = image
            notes += more_notes
    progress(1.0, "DICOM read")
    return DicomStudy(
        Study(label, images),
        tuple(d.series for d in described),
        {choice.modality: choice.described.series for choice in choices},
        tuple(notes),
    )


def list_series(
    folder: PathLike | Iterable[PathLike], progress: Progress | None = None
) -> tuple[DicomSeries, ...]:
    """List the series of a folder (or of files) from their headers, without reading pixels.

    Raises
    ------
    InputError
        If there is no DICOM image, or a header cannot be read. What is wrong with a series as a whole is in
        its `DicomSeries.problem`.
    """
    with quiet_pydicom():
        frames, _ = _frames(folder, part(progress, 0.0, 0.9))
        return tuple(describe(group).series for group in groups_of(frames))


def read_series(
    series: DicomSeries | PathLike | Iterable[PathLike],
    progress: Progress | None = None,
    *,
    modality: Modality | None = None,
    b_values: Sequence[float] | None = None,
    asl_context: Sequence[str] | None = None,
    m0: DicomSeries | None = None,
) -> sitk.Image | DiffusionSeries | AslSeries:
    """Read one series.

    Parameters
    ----------
    series : DicomSeries, or files
        Of a series that mixes originals with trace or ADC, files give the originals.
    progress : Progress, optional
    modality : Modality, optional
        What it is, where the header is not to decide.
    b_values, asl_context, m0 : optional
        As in `read_dicom`.

    Raises
    ------
    InputError
        If the files are of several series, or the series is damaged, incomplete or of an unknown encoding.
    """
    wanted: Modality | str | None = _known(modality) if modality is not None else None
    with quiet_pydicom():
        files = series.files if isinstance(series, DicomSeries) else _listed(series)
        frames, _ = _frames(files, part(progress, 0.0, 0.4))
        if isinstance(series, DicomSeries):
            found = [g for g in groups_of(frames) if (g.uid, g.part) == (series.uid, series.part)]
            if len(found) != 1:
                raise InputError(series.name, "other files than were listed", "the files as they were")
            group = found[0]
            wanted = wanted or ("m0" if series.role == "m0" else series.modality)
        else:
            group = _only_series(frames, _shown(files))
        described = describe(group, wanted, b_values, asl_context)
        scale = None
        if m0 is not None:
            m0_frames, _ = _frames(m0.files, None)
            scale = describe(_only_series(m0_frames, m0.name), "m0")
        return load(described, scale, part(progress, 0.4, 1.0))[0]


def _only_series(frames: Sequence[Frame], where: str) -> Group:
    groups = groups_of(frames)
    uids = sorted({group.uid for group in groups})
    if len(uids) > 1:
        listed = "; ".join(f"{g.name}, {g.uid}" for g in groups[:4])
        raise InputError(
            where, f"{len(uids)} series mixed: {listed}", "the files of one series",
            "Give the files of one, or the folder to read_dicom or list_series.",
        )  # fmt: skip
    originals = [group for group in groups if not group.part]
    if len(groups) > 1 and not originals:
        parts = ", ".join(group.part for group in groups)
        raise InputError(where, f"a series of several parts ({parts})", "one of them",
                         "Take one from list_series.")  # fmt: skip
    return (originals or groups)[0]


def _frames(
    source: PathLike | Iterable[PathLike], progress: Progress | None
) -> tuple[list[Frame], list[Note]]:
    """Read the headers of a folder's DICOM files, or of all files given."""
    progress = progress or silent
    notes: list[Note] = []
    folder = Path(source) if isinstance(source, str | os.PathLike) else None
    if folder is not None and not folder.is_dir():
        folder, source = None, [source]
    if folder is not None:
        paths = list(files_below(folder))
        others = [path for path in paths if not has_preamble(path)]
        if others:
            listed = ", ".join(path.name for path in others[:5])
            notes.append(Note("info", None, f"{len(others)} file(s) in {folder} are not DICOM: {listed}",
                              "Nothing needs to be done if they are no images."))  # fmt: skip
        skipped = set(others)
        paths = [path for path in paths if path not in skipped]
    else:
        paths = [path for path in map(Path, source) if path.name.upper() != "DICOMDIR"]
    where = str(folder) if folder is not None else ", ".join(map(str, paths[:3])) or "the files given"
    frames: list[Frame] = []
    empty: list[Path] = []
    for i, path in enumerate(paths):
        progress(i / len(paths), f"reading headers ({i} of {len(paths)})")
        found = frames_of(path)
        frames += found
        if not found:
            empty.append(path)
    if not frames:
        seen = f"{len(empty)} DICOM file(s), none with an image" if empty else "no DICOM image"
        raise InputError(where, seen, "DICOM images of an MR examination")
    if empty and folder is None:
        raise InputError(empty[0], "no image in it", "an MR image")
    if empty:
        listed = ", ".join(path.name for path in empty[:5])
        notes.append(Note("info", None, f"{len(empty)} DICOM file(s) hold no MR image: {listed}",
                          "Nothing needs to be done if they are reports or captured screens."))  # fmt: skip
    return frames, notes


def _subject(frames: Sequence[Frame], where: str) -> str:
    patients = sorted({frame.text("PatientID") for frame in frames})
    if len(patients) > 1:
        raise InputError(
            where, f"images of {len(patients)} patients (PatientID {', '.join(patients[:4])})", "one patient",
            "Give the folder or files of one.",
        )  # fmt: skip
    return re.sub(r"[^A-Za-z0-9]", "", patients[0]) or "01"


def _several_studies(frames: Sequence[Frame]) -> list[Note]:
    studies = {frame.text("StudyInstanceUID") for frame in frames}
    if len(studies) == 1:
        return []
    return [Note("warning", None, f"the images are of {len(studies)} studies of the patient",
                 "Give the folder of one, if they were taken on different days.")]  # fmt: skip


def _describe_all(
    groups: Sequence[Group],
    choose: Mapping[Modality, DicomSeries | str | None],
    m0: DicomSeries | str | None,
    b_values: Sequence[float] | None,
    asl_context: Sequence[str] | None,
    progress: Progress,
) -> list[Described]:
    wanted: dict[str, Modality | str] = {key_of(s): m for m, s in choose.items() if s is not None}
    if m0 is not None:
        wanted[key_of(m0)] = "m0"
    described = []
    for i, group in enumerate(groups):
        progress(i / len(groups), f"looking at {group.name}")
        key = f"{group.uid}#{group.part}" if group.part else group.uid
        described.append(describe(group, wanted.get(key), b_values, asl_context))
    return described


def key_of(series: DicomSeries | str) -> str:
    """Give the key of a series that was given as itself or by its key."""
    return series.key if isinstance(series, DicomSeries) else str(series)


def _load(choice: Choice, m0: Described | None, progress: Progress) -> tuple[StudyImage, tuple[Note, ...]]:
    try:
        return load(choice.described, m0, progress)
    except InputError as error:
        remedy = f"{error.remedy} To leave it out: choose={{Modality.{choice.modality.name}: None}}."
        raise InputError(error.where, error.seen, error.needed, remedy.strip()) from None


def _listed(source: PathLike | Iterable[PathLike]) -> PathLike | list[PathLike]:
    return source if isinstance(source, str | os.PathLike) else list(source)


def _known(modality: Modality | str) -> Modality:
    try:
        return Modality(modality)
    except ValueError:
        names = ", ".join(m.value for m in Modality)
        raise InputError("modality", f"{modality!r}", f"one of {names}") from None


def _shown(source: PathLike | Iterable[PathLike]) -> str:
    if isinstance(source, str | os.PathLike):
        return str(source)
    return ", ".join(str(path) for path in list(source)[:3])
