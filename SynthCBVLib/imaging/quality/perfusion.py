"""Perfusion that cannot be: CBF in another unit, M0 of another scale, control and label exchanged."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.quality.finding import Finding
from SynthCBVLib.imaging.quality.motion import MOST_MOTION, displacement
from SynthCBVLib.imaging.quality.noise import foreground
from SynthCBVLib.imaging.study import AslSeries, Modality, Study

#: Plausible medians of a CBF map where there is perfusion, ml/100 g/min.
CBF_RANGE = (8.0, 150.0)
#: Control over M0: background suppression leaves little of it, and without it a short M0 may be darker.
CONTROL_RANGE = (0.03, 1.6)
#: (control - label) / M0 where there is perfusion; labelled blood is a few parts in a thousand of the brain.
LABELLED_RANGE = (3e-4, 0.03)
#: A median difference of so many of its standard errors has a sure sign.
SURE = 8.0


def check_cbf(study: Study) -> Iterable[Finding]:
    """Look at CBF, be it a map or the ASL images that it is made of."""
    image = study.images[Modality.CBF]
    if isinstance(image, AslSeries):
        yield from _labelling(image)
        return
    array = sitk.GetArrayViewFromImage(image)
    median = float(np.median(array[foreground(image)]))
    if not CBF_RANGE[0] <= median <= CBF_RANGE[1]:
        yield Finding(
            "warning", Modality.CBF, f"a median of {median:.3g} where there is perfusion",
            "Is the unit ml/100 g/min? Check the scale of the map; only relative values can be used.", "unit",
        )  # fmt: skip


def _labelling(asl: AslSeries) -> Iterable[Finding]:
    control, label, m0 = (
        sitk.GetArrayFromImage(i).astype(np.float32) for i in (asl.control, asl.label, asl.m0)
    )
    inside = foreground(asl.m0) & (m0 > 0)
    if np.count_nonzero(inside) < 100:
        return
    difference = (control - label)[inside]
    spread = 1.4826 * float(np.median(np.abs(difference - np.median(difference))))
    median = float(np.median(difference))
    error = 1.25 * spread / np.sqrt(difference.size)
    if np.array_equal(control, label):
        yield Finding(
            "error", Modality.CBF, "control and label are the same image: there is no perfusion in them",
            "Give the control and the label image, each from its own volumes.", "labelling",
        )  # fmt: skip
        return
    if median < -SURE * error:
        yield Finding(
            "error", Modality.CBF,
            f"the label is brighter than the control image (control - label: median {median:.3g})",
            "Control and label seem to be exchanged: give them the other way round.", "labelling",
        )  # fmt: skip
    level = float(np.median(control[inside] / m0[inside]))
    labelled = abs(median) / float(np.median(m0[inside]))
    out_of_range = not CONTROL_RANGE[0] <= level <= CONTROL_RANGE[1]
    if out_of_range or not LABELLED_RANGE[0] <= labelled <= LABELLED_RANGE[1]:
        yield Finding(
            "warning", Modality.CBF,
            f"control is {level:.3g} and control - label {labelled:.2%} of M0 (medians in the head)",
            "M0 seems to have another scale than control and label: check the scale factors of the export "
            "and how many volumes were averaged; only relative values can be used.", "m0",
        )  # fmt: skip
    moved = displacement(label, control, asl.control)
    if moved is not None and moved > MOST_MOTION:
        yield Finding(
            "warning", Modality.CBF, f"the head moved by about {moved:.1f} mm between control and label",
            "Edges of the brain appear in the difference: align the volumes before they are averaged, or "
            "leave out those that moved.", "motion",
        )  # fmt: skip
