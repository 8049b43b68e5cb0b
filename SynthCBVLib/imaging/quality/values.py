"""Values that no image of a head has: not finite, constant, negative where a signal cannot be, clipped."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.quality.finding import Finding, listed
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study

#: Share of a signal's voxels that may be negative.
MOST_NEGATIVE = 0.01
#: Maps whose noise may fall below zero, and whose fit may be bounded above.
SIGNED = (Modality.CBF, Modality.RCBV, Modality.ADC)
#: Of the brightest `BRIGHT` of the voxels above the mean, this share at one top value is clipped.
BRIGHT, MOST_AT_TOP = 0.02, 0.25
#: A handful of voxels at the top is no clipping.
FEWEST_AT_TOP = 30


def parts(study: Study, modality: Modality) -> list[tuple[str, sitk.Image]]:
    """Give the volumes of a modality with the names that messages use."""
    image = study.images[modality]
    if isinstance(image, DiffusionSeries):
        return [
            (f"volume {number} (b = {b:g})", volume)
            for number, (b, volume) in enumerate(zip(image.b_values, image.volumes(), strict=True), start=1)
        ]
    if isinstance(image, AslSeries):
        return [("control", image.control), ("label", image.label), ("M0", image.m0)]
    return [(str(modality), image)]


def check_values(study: Study, modality: Modality) -> Iterable[Finding]:
    """Look at the values of every volume of a modality."""
    negative: list[str] = []
    clipped: list[tuple[str, float, float]] = []
    signal = modality not in SIGNED or isinstance(study.images[modality], AslSeries)
    for name, volume in parts(study, modality):
        array = sitk.GetArrayViewFromImage(volume)
        bad = array.size - int(np.count_nonzero(np.isfinite(array)))
        if bad:
            yield Finding(
                "error", modality, f"{name}: {bad} voxels that are NaN or infinite",
                "Replace them in the source or export the image again.", "not finite",
            )  # fmt: skip
        elif array.min() == array.max():
            content = "all zero" if array.flat[0] == 0 else f"the value {array.flat[0]:g} everywhere"
            yield Finding(
                "error", modality, f"{name}: {content}", "Give the image itself: this one is empty.", "empty"
            )
        else:
            if signal:
                noise = 0.02 * float(np.percentile(array, 99))
                if np.count_nonzero(array < -noise) > MOST_NEGATIVE * array.size:
                    negative.append(name)
            share = share_at_top(array)
            if share > MOST_AT_TOP and (signal or modality is Modality.CBF):
                clipped.append((name, float(array.max()), share))
    if negative:
        yield Finding(
            "warning", modality, f"{listed(negative)}: negative values where a signal cannot be",
            "Was the slope or the offset of the scanner's export lost? Export again as magnitude images.",
            "negative",
        )  # fmt: skip
    if clipped:
        _, top, share = clipped[0]
        yield Finding(
            "warning", modality,
            f"{listed(name for name, _, _ in clipped)}: clipped at {top:g}, where {share:.0%} of the "
            "brightest tissue lies",
            "Export again with the full range of values: what is brighter was cut off.", "saturated",
        )  # fmt: skip


def share_at_top(array: np.ndarray) -> float:
    """Measure how much of the brightest tissue is at the very highest value.

    Returns
    -------
    float
        0 to 1; 0 for images of few levels (masks), where it says nothing.
    """
    top = array.max()
    at_top = int(np.count_nonzero(array >= top - 1e-6 * abs(float(top))))
    if at_top < FEWEST_AT_TOP:
        return 0.0
    tissue = int(np.count_nonzero(array > array.mean()))
    if at_top > 0.5 * tissue:
        return 0.0
    return min(1.0, at_top / (BRIGHT * tissue))
