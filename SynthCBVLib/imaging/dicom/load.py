"""Pixels of a described series made into the images of a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.asl_files import mean_of
from SynthCBVLib.imaging.dicom.asl import AslPlan
from SynthCBVLib.imaging.dicom.diffusion import DiffusionPlan
from SynthCBVLib.imaging.dicom.frame import Frame
from SynthCBVLib.imaging.dicom.notes import Note
from SynthCBVLib.imaging.dicom.pixels import PixelReader
from SynthCBVLib.imaging.dicom.series import Described
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, StudyImage, join_series
from SynthCBVLib.progress import Progress, silent

#: Phase direction: along rows or along columns (standard images; COLUMN and OTHER in enhanced ones). Which
#: way it runs is recorded in private tags alone.
_PHASE = {"ROW": "i", "COL": "j", "COLUMN": "j"}


def load(
    described: Described, m0: Described | None = None, progress: Progress | None = None
) -> tuple[StudyImage, tuple[Note, ...]]:
    """Read the pixels of a series.

    Parameters
    ----------
    described : Described
    m0 : Described, optional
        M0 series of an ASL series that has none of its own.
    progress : Progress, optional

    Returns
    -------
    sitk.Image, DiffusionSeries or AslSeries
    tuple of Note
        What was done to the values.

    Raises
    ------
    InputError
        If the series has a problem, or its pixels cannot be read.
    """
    progress = progress or silent
    plan = _sound(described)
    name = described.series.name
    if isinstance(plan, DiffusionPlan):
        phase = _PHASE.get(plan.volumes.frames[0][0].text("InPlanePhaseEncodingDirection").upper(), "")
        return DiffusionSeries(join_series(_images(described, progress)), plan.b_values, name, phase), ()
    if isinstance(plan, AslPlan):
        return _asl(described, plan, m0, progress), ()
    if described.series.n_volumes > 1 and described.series.role == "other":
        raise InputError(
            name, f"{described.series.n_volumes} volumes ({described.series.reason})", "one volume",
            "Say what it is (modality=...), if it is of use.",
        )  # fmt: skip
    image = mean_of(_images(described, progress))
    if described.series.modality is Modality.ADC:
        return _in_square_millimetres(image, name)
    return image, ()


def _sound(described: Described):
    if described.error is not None:
        raise described.error
    return described.plan


def _images(described: Described, progress: Progress) -> list[sitk.Image]:
    volumes, name = described.volumes, described.series.name
    frames: Sequence[Sequence[Frame]] = volumes.frames
    reader = PixelReader(described.series.derived and described.series.role == "image")
    arrays = reader.volumes(frames, lambda done: progress(done, f"reading {name}"))
    columns, rows, _ = volumes.geometry.size
    if arrays[0].shape[1:] != (rows, columns):
        raise InputError(name, f"pixels of {arrays[0].shape[1:]}", f"{rows} rows and {columns} columns")
    return [volumes.geometry.place(array) for array in arrays]


def _asl(described: Described, plan: AslPlan, m0: Described | None, progress: Progress) -> AslSeries:
    images, name = _images(described, progress), described.series.name
    parts = {
        kind: [image for image, context in zip(images, plan.contexts, strict=True) if context == kind]
        for kind in ("control", "label", "m0scan")
    }
    if not parts["m0scan"]:
        if m0 is None:
            raise InputError(
                name, "no M0: neither in the series nor a series of its own", "an M0 image",
                "Give its series (m0=...), or give the scanner's CBF map.",
            )  # fmt: skip
        _sound(m0)
        parts["m0scan"] = _images(m0, silent)
    return AslSeries(
        mean_of(parts["control"]), mean_of(parts["label"]), mean_of(parts["m0scan"]),
        plan.labelling, plan.label_duration, plan.post_label_delay, name=name,
    )  # fmt: skip


def _in_square_millimetres(image: sitk.Image, name: str) -> tuple[sitk.Image, tuple[Note, ...]]:
    """Bring a scanner's ADC map to mm²/s: scanners store it in 10⁻³ or 10⁻⁶ mm²/s."""
    values = sitk.GetArrayViewFromImage(image)
    values = values[np.isfinite(values) & (values > 0)]
    # CSF has 3 · 10⁻³ mm²/s, and units are a factor of a thousand apart.
    largest = float(np.percentile(values, 99)) if values.size else 0.0
    factor = 1e-6 if largest > 100 else 1e-3 if largest > 0.1 else 1.0
    if factor == 1.0:
        return image, ()
    note = Note(
        "info", Modality.ADC,
        f"{name}: the largest values are near {largest:.4g}, so {factor:g} mm²/s is taken as its unit",
        "Nothing needs to be done if the ADC of white matter is near 0.0007 mm²/s.",
    )  # fmt: skip
    scaled = sitk.Cast(image, sitk.sitkFloat32) * factor
    return scaled, (note,)
