"""An image that is mirrored left to right against the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import SimpleITK as sitk

from SynthCBVLib.imaging.quality.alignment import Aligned, align
from SynthCBVLib.imaging.quality.finding import Finding, listed
from SynthCBVLib.imaging.quality.pictures import Picture
from SynthCBVLib.imaging.study import Modality

#: Log ratio of likeness (edges twice, information once) by which the mirror image must be better.
MARGIN = 0.2
#: Images less alike than this either way say nothing about sides.
LEAST_INFORMATION, LEAST_EDGES = 0.08, 0.12
_REMEDY = (
    "Compare the sides with the other images, for instance by the lesion, and export the image again: "
    "the orientation in its header may be wrong."
)


def mirrored(moving: sitk.Image, head_middle: float) -> sitk.Image:
    """Mirror an image (as from `small`) about the sagittal plane through the middle of the head.

    Parameters
    ----------
    moving : sitk.Image
        In axial orientation.
    head_middle : float
        Index along the first axis.
    """
    flipped = sitk.Flip(moving, (True, False, False))
    flipped.CopyInformation(moving)
    # Index i went to n - 1 - i; shift so that the head's middle stays where it was
    shift = 2 * head_middle - (moving.GetSize()[0] - 1)
    direction = moving.GetDirection()[0::3]
    flipped.SetOrigin(
        [o + d * shift * moving.GetSpacing()[0] for o, d in zip(moving.GetOrigin(), direction, strict=True)]
    )
    return flipped


def mirror_evidence(fixed: Picture, moving: sitk.Image, direct: Aligned, middle: float) -> float | None:
    """Measure how much better the mirror image of `moving` fits; negative where it fits worse.

    Returns
    -------
    float or None
        Log ratio of likeness; None where neither fits.
    """
    other = align(fixed, mirrored(moving, middle))
    if other is None:
        return None
    best_information = max(direct.information, other.information)
    if best_information < LEAST_INFORMATION or max(direct.edges, other.edges) < LEAST_EDGES:
        return None
    return 2 * math.log(other.edges / max(direct.edges, 1e-6)) + math.log(
        other.information / max(direct.information, 1e-6)
    )


def check_sides(reference: Modality, evidence: Mapping[Modality, float | None]) -> Iterable[Finding]:
    """Tell which images are mirrored, from the evidence of each against the reference."""
    judged = {modality: e for modality, e in evidence.items() if e is not None}
    turned = [modality for modality, e in judged.items() if e > MARGIN]
    if len(judged) >= 2 and len(turned) > len(judged) / 2:
        straight = [modality for modality in judged if modality not in turned]
        yield Finding(
            "warning", reference,
            f"left and right seem to be exchanged against {listed(turned)}"
            + (f" (not against {listed(straight)})" if straight else ""),
            _REMEDY, "mirrored",
        )  # fmt: skip
        return
    for modality in turned:
        yield Finding(
            "warning", modality, f"left and right seem to be exchanged against {reference}",
            _REMEDY, "mirrored",
        )  # fmt: skip
