"""A plain folder of images named by their modality, read as the study of one subject."""

from __future__ import annotations

import os
import re
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.asl_files import read_asl
from SynthCBVLib.imaging.image_files import image_suffix
from SynthCBVLib.imaging.loose_files import open_files
from SynthCBVLib.imaging.names import Key, meaning, stem
from SynthCBVLib.imaging.opened import OpenedStudy, line_of
from SynthCBVLib.imaging.study import Modality, Study

_NEEDED = (
    "images named by their kind, such as dwi.nii.gz (with dwi.bval), t2.nii, T1w.nrrd, flair, t1c, adc, cbf"
)
_B_VALUE_FILES = re.compile(r"(.*\.)?b[-_ ]?vals?(ues)?(\.txt)?", re.IGNORECASE)


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder itself, without hidden ones and those below it."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone are wanted
    except OSError as error:
        raise InputError(folder, f"cannot be read ({error.strerror})", "a readable folder") from None
    paths = [folder / name for name in names if not name.startswith(".")]
    return [path for path in paths if image_suffix(path) and path.is_file()]


def read_folder(folder: Path, subject: str | None = None) -> OpenedStudy:
    """Read a folder of files named by modality.

    Parameters
    ----------
    folder : Path
        Holds one image of each modality; case and separators in the names do not matter. Raw ASL comes as
        control, label and m0, or as one series ``*asl`` with its ``*aslcontext.tsv``.
    subject : str, optional
        Label of the subject; the folder's name by default.

    Raises
    ------
    InputError
        If no name says what it is, a name may mean several images, an image comes twice, or a file cannot
        be used.
    """
    chosen: dict[Key, Path] = {}
    aside = []
    for path in image_files(folder):
        key = meaning(stem(path, image_suffix(path)), path)
        if key is None:
            aside.append(path.name)
        elif key in chosen:
            raise InputError(
                folder, f"{chosen[key].name} and {path.name}, both {key} by their names", f"one {key} image",
                "Move the other away, or give the files one by one.",
            )  # fmt: skip
        else:
            chosen[key] = path
    regions = chosen.pop("regions", None)
    series = chosen.pop("asl", None)
    if series is not None and {"control", "label", Modality.CBF} & set(chosen):
        aside.append(series.name)
        series = None
    if not chosen and series is None:
        seen = f"{len(aside)} images whose names say nothing ({_some(aside)})" if aside else "no image"
        raise InputError(folder, seen, _NEEDED)
    label = subject_label(subject or folder.absolute().name)
    m0 = chosen.pop("m0", None) if series is not None else None
    opened = open_files(chosen, _b_values(folder, chosen), label) if chosen else None
    images = dict(opened.study.images) if opened else {}
    found = list(opened.found) if opened else []
    if series is not None:
        images[Modality.CBF] = read_asl(series, m0)
        found.append(line_of(Modality.CBF, images[Modality.CBF], series))
    if regions is not None:
        found.append(f"regions: {regions.name} (not part of the study)")
    if aside:
        found.append(f"not used: {_some(aside)}")
    return OpenedStudy(Study(label, images), "folder of images", tuple(found))


def subject_label(text: str) -> str:
    """Make a label that can stand in file names: without "sub-" and anything but letters and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", re.sub(r"^sub-", "", text.strip())) or "01"


def _b_values(folder: Path, chosen: dict[Key, Path]) -> Path | None:
    """Find b-values that are named otherwise than the image, such as FSL's ``bvals``."""
    dwi = chosen.get(Modality.DWI)
    if dwi is None or dwi.with_name(stem(dwi, image_suffix(dwi)) + ".bval").is_file():
        return None
    if image_suffix(dwi) in (".nrrd", ".nhdr") and b"DWMRI_" in _head(dwi):
        return None
    named = sorted(
        path for path in folder.iterdir() if _B_VALUE_FILES.fullmatch(path.name) and path.is_file()
    )
    if len(named) > 1:
        raise InputError(
            folder, f"{_some([path.name for path in named])} for {dwi.name}", "one file of b-values",
            f"Name it {stem(dwi, image_suffix(dwi))}.bval.",
        )  # fmt: skip
    return named[0] if named else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 14)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
