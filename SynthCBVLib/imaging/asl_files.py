"""Raw arterial spin labelling on disk: series, volume types and timing as BIDS writes them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.image_files import beside, read_image, read_json
from SynthCBVLib.imaging.study import AslSeries, is_series, join_series, n_volumes, split_volumes

#: Longer times (s) are taken for milliseconds and refused.
LONGEST_TIME = 20.0
_KEEP_TYPES = {"control", "label", "m0scan"}


def mean_volume(image: sitk.Image) -> sitk.Image:
    """Average the volumes of a series; a 3D image gives itself, unchanged in its pixel type."""
    if not is_series(image):
        return image
    volumes = [sitk.Cast(volume, sitk.sitkFloat32) for volume in split_volumes(image)]
    return mean_of(volumes)


def mean_of(volumes: list[sitk.Image]) -> sitk.Image:
    """Average 3D images of one grid; a single one gives itself, unchanged in its pixel type."""
    if len(volumes) == 1:
        return volumes[0]
    total = sitk.Cast(volumes[0], sitk.sitkFloat32)
    for volume in volumes[1:]:
        total = total + sitk.Cast(volume, sitk.sitkFloat32)
    return total / float(len(volumes))


def asl_timing(sidecar: Mapping[str, Any], path: Path) -> tuple[str, float | None, float | None]:
    """Take labelling, label duration and post-labelling delay from a BIDS sidecar.

    Parameters
    ----------
    sidecar : Mapping
        Contents of ``*_asl.json``: ArterialSpinLabelingType, LabelingDuration (pCASL) or
        BolusCutOffDelayTime (PASL), PostLabelingDelay; all in seconds.
    path : Path
        The sidecar's name for messages.

    Returns
    -------
    labelling : str
        "pcasl" or "pasl".
    label_duration, post_label_delay : float or None
        s; None where it is not recorded.

    Raises
    ------
    InputError
        If the labelling is of another kind, a time is no number, in milliseconds, or differs between volumes.
    """
    kind = str(sidecar.get("ArterialSpinLabelingType") or "pcasl").lower()
    if kind not in ("pcasl", "pasl"):
        raise InputError(path, f"ArterialSpinLabelingType {kind!r}", "PCASL or PASL")
    duration = "LabelingDuration"
    if kind == "pasl" and sidecar.get(duration) is None:
        duration = "BolusCutOffDelayTime"
    return kind, _seconds(sidecar, duration, path), _seconds(sidecar, "PostLabelingDelay", path)


def read_asl(path: Path, m0_path: Path | None = None) -> AslSeries:
    """Read a BIDS ASL series: ``x_asl.nii.gz`` with ``x_aslcontext.tsv`` and ``x_asl.json`` beside it.

    Parameters
    ----------
    path : Path
        The series.
    m0_path : Path, optional
        Separate M0 image; by default the volumes of type m0scan are taken.

    Returns
    -------
    AslSeries
        Means of the control, label and M0 volumes.

    Raises
    ------
    InputError
        If the volume types are missing, do not fit the volumes, or lack control, label or M0.
    """
    image = read_image(path)
    context = path.with_name(beside(path, "").name.removesuffix("_asl") + "_aslcontext.tsv")
    types = _volume_types(context, path)
    if len(types) != n_volumes(image):
        raise InputError(
            context, f"{len(types)} volume types for the {n_volumes(image)} volumes of {path.name}",
            "one row for each volume",
        )  # fmt: skip
    volumes = split_volumes(image)
    groups = {kind: [v for v, t in zip(volumes, types, strict=True) if t == kind] for kind in set(types)}
    for kind in ("control", "label"):
        if kind not in groups:
            raise InputError(context, f"no {kind} volume among {sorted(groups)}", "control and label volumes")
    sidecar = beside(path, ".json")
    content = read_json(sidecar) if sidecar.is_file() else {}
    if m0_path is not None:
        if "m0scan" in groups:
            raise InputError(m0_path, f"an M0 image beside the m0scan volumes of {path.name}", "one M0")
        m0 = mean_volume(read_image(m0_path))
    elif "m0scan" in groups:
        m0 = mean_of(groups["m0scan"])
    else:
        raise InputError(
            path, "no M0: neither m0scan volumes nor an m0scan image beside it", "an M0 image",
            "Put <name>_m0scan.nii.gz beside it, or give a CBF map.",
        )  # fmt: skip
    labelling, duration, delay = asl_timing(content, sidecar)
    return AslSeries(
        mean_of(groups["control"]), mean_of(groups["label"]), m0, labelling, duration, delay, name=str(path)
    )


def asl_image(asl: AslSeries) -> sitk.Image:
    """Join control, label and M0 into the 4D image that `read_asl` reads, with one pixel type for all."""
    parts = [asl.control, asl.label, asl.m0]
    if len({part.GetPixelID() for part in parts}) > 1:
        arrays = [sitk.GetArrayViewFromImage(part) for part in parts]
        kind = np.result_type(*arrays)
        pixel = sitk.sitkFloat32 if kind.itemsize <= 4 and kind.kind == "f" else sitk.sitkFloat64
        parts = [sitk.Cast(part, pixel) for part in parts]
    # Control's geometry for all: same_grid lets rounding differ, JoinSeries does not
    parts = [sitk.Image(part) for part in parts]
    for part in parts[1:]:
        part.CopyInformation(parts[0])
    return join_series(parts)


def asl_sidecar(asl: AslSeries) -> dict[str, Any]:
    """Describe a series as `asl_timing` reads it."""
    duration = "LabelingDuration" if asl.labelling == "pcasl" else "BolusCutOffDelayTime"
    sidecar = {
        "ArterialSpinLabelingType": asl.labelling.upper(),
        duration: asl.label_duration,
        "PostLabelingDelay": asl.post_label_delay,
        "M0Type": "Included",
    }
    return {key: value for key, value in sidecar.items() if value is not None}


def _volume_types(context: Path, series: Path) -> list[str]:
    if not context.is_file():
        raise InputError(
            series, f"no {context.name} beside it", "a table of the volume types (control, label, m0scan)",
            "Write the file with the heading volume_type and one row a volume.",
        )  # fmt: skip
    try:
        rows = list(csv.DictReader(context.read_text("utf-8-sig").splitlines(), delimiter="\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(context, f"not a table ({error})", "a tab-separated table") from None
    if not rows or "volume_type" not in rows[0]:
        raise InputError(context, "no column volume_type", "a heading volume_type and one row a volume")
    types = [(row["volume_type"] or "").strip().lower() for row in rows]
    unknown = sorted(set(types) - _KEEP_TYPES)
    if unknown:
        raise InputError(context, f"volume types {unknown}", f"only {sorted(_KEEP_TYPES)}")
    return types


def _seconds(sidecar: Mapping[str, Any], key: str, path: Path) -> float | None:
    value = sidecar.get(key)
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise InputError(path, f"{key} {str(value)[:60]}", "a number of seconds")
    # Volumes without labelling (M0) carry 0 in per-volume lists
    distinct = sorted({float(v) for v in values} - ({0.0} if len(values) > 1 else set()))
    if len(distinct) != 1:
        raise InputError(path, f"{key} {distinct or [0.0]} s", "one time for all volumes",
                         "Several delays are not supported here: give a CBF map.")  # fmt: skip
    if not 0 <= distinct[0] <= LONGEST_TIME:
        raise InputError(
            path, f"{key} {distinct[0]:g}", f"a time in seconds, 0 to {LONGEST_TIME:g}",
            "This looks like milliseconds: divide by 1000." if distinct[0] > LONGEST_TIME else "",
        )  # fmt: skip
    return distinct[0]
