"""A study with the account of what was found where, for the user to read before any synthesis."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, StudyImage


@dataclass(frozen=True)
class OpenedStudy:
    """A study as it was found.

    Attributes
    ----------
    study : Study
        Its images.
    kind : str
        "BIDS folder", "DICOM folder", "folder of images", "manifest" or "single images".
    found : tuple of str
        One line for each image (modality, file, what it holds, where its b-values came from), and one for
        what was left aside.
    sources : tuple of Path
        DICOM files that the images came from; empty for other kinds.
    """

    study: Study
    kind: str
    found: tuple[str, ...]
    sources: tuple[Path, ...] = ()


def line_of(
    modality: Modality, image: StudyImage, where: str | os.PathLike[str], b_values_from: str = ""
) -> str:
    """Describe one image in a line, such as ``DWI: dwi.nii.gz, 192 x 192 x 40, 11 volumes, b 0 ... 1000``."""
    shown = image
    extra = ""
    if isinstance(image, DiffusionSeries):
        shown = image.image
        b_values = " ".join(f"{b:g}" for b in image.b_values[:16]) + (" ..." if image.n_volumes > 16 else "")
        extra = f", {image.n_volumes} volumes, b {b_values} s/mm²"
        extra += f" from {b_values_from}" if b_values_from else ""
    elif isinstance(image, AslSeries):
        shown = image.control
        delay = image.post_label_delay
        timing = "delay not recorded" if delay is None else f"delay {delay:g} s"
        extra = f", control, label and M0, {image.labelling}, {timing}"
    name = where if isinstance(where, str) else Path(where).name
    size = " x ".join(str(n) for n in shown.GetSize()[:3])
    return f"{modality}: {name}, {size}{extra}"
