"""A rough outline of the solid tumour, proposed by the computer, to be looked at and corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.analysis.arrays import check_grid, inside_of, values_of
from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane, midsagittal_plane
from SynthCBVLib.analysis.regions.outline_evidence import SIGNS, Head, evidence, on_head
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, like
from SynthCBVLib.progress import Progress, silent

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding

#: Images that show a tumour by themselves; T1w, CBF and a map of blood volume alone show too much else.
SHOWING = (Modality.T2W, Modality.FLAIR, Modality.DWI, Modality.T1C)
#: Which image the mid-sagittal plane is fitted to, first choice first.
_FOR_THE_PLANE = (
    Modality.T2W, Modality.T1W, Modality.FLAIR, Modality.T1C, Modality.DWI, Modality.CBF, Modality.RCBV,
)  # fmt: skip
#: Least evidence of a lesion at its strongest place (in interquartile ranges of the brain): with one of
#: `SHOWING`, and without.
LEAST_SCORE, LEAST_SCORE_UNSEEN = 0.8, 1.2
#: Below this it is told that the tumour may lie elsewhere: the few wrong places in digital patients were so.
SURE_SCORE = 1.1
#: Standard deviation of the smoothing that finds the strongest place, mm, and how far inside the brain it is.
PLACE, INSIDE = 4.0, 3.0
#: The outline is drawn where evidence is above this share of that of the strongest place, within limits.
SHARE, LOWEST, HIGHEST = 0.55, 0.6, 1.2
#: Radius of what is too narrow to belong to the outline, mm.
SMOOTH_OUTLINE = 2.0
#: Least volume of an outline, mm³.
LEAST_VOLUME = 300.0


@dataclass(frozen=True)
class ProposedOutline:
    """A rough outline of the solid tumour.

    Attributes
    ----------
    mask : sitk.Image
        8-bit mask on the images' grid; empty if no lesion stands out.
    score : float
        Evidence at the strongest place, in interquartile ranges of the brain's intensities: how far it is
        beyond the brain's median and beyond its own mirror image, as a mean over the images. Tumours of
        digital patients have mostly 1 to 2, healthy brains less than 0.8.
    modalities : tuple of Modality
        What it was proposed from.
    plane : SagittalPlane
        The mid-sagittal plane that the halves were compared at.
    findings : tuple of Finding
        What the user is to be told; never empty.
    """

    mask: sitk.Image
    score: float
    modalities: tuple[Modality, ...]
    plane: SagittalPlane
    findings: tuple[Finding, ...]

    @property
    def found(self) -> bool:
        """Whether there is an outline."""
        return bool(sitk.GetArrayViewFromImage(self.mask).any())


def propose_outline(
    images: Mapping[Modality, sitk.Image],
    mask: sitk.Image,
    *,
    map: sitk.Image | None = None,
    plane: SagittalPlane | None = None,
    progress: Progress | None = None,
) -> ProposedOutline:
    """Propose a rough outline of the solid tumour from whatever aligned images there are.

    What is brighter (in T1w: darker) than brain and than its own mirror image speaks for tumour, see
    `outline_evidence.evidence`. The connected region about the strongest place is outlined.

    Parameters
    ----------
    images : Mapping of Modality to sitk.Image
        Aligned 3D images on one grid; `Modality.DWI` is an image in which fluid is dark, as
        `fluid_dark.fluid_dark_image` gives it. The scales of intensity do not matter.
    mask : sitk.Image
        Brain mask on the same grid.
    map : sitk.Image, optional
        Map of blood volume (rCBV) on the same grid.
    plane : SagittalPlane, optional
        Fitted to one of the images by default.
    progress : Progress, optional
        May raise `Cancelled`.

    Returns
    -------
    ProposedOutline
        With an empty mask if no lesion stands out.

    Raises
    ------
    InputError
        If there are no images, the grids differ, or the mask is empty.
    """
    report = silent if progress is None else progress
    report(0.0, "Looking for the tumour")
    chosen = {Modality(modality): image for modality, image in images.items()}
    if map is not None:
        chosen[Modality.RCBV] = map
    if not chosen:
        raise InputError(
            "outline of the tumour", "no images", "at least one image of the study",
            "Choose T2w or FLAIR in the Study section.",
        )  # fmt: skip
    inside_of(mask, "brain mask")
    for modality, image in chosen.items():
        values_of(image, f"{modality} image", (3,))
        check_grid(image, f"{modality} image", mask, "brain mask")
    if plane is None:
        first = next((m for m in _FOR_THE_PLANE if m in chosen), next(iter(chosen)))
        plane = midsagittal_plane(_finite(chosen[first]), mask)
    report(0.4, "Looking for the tumour")
    head = Head.of(mask, plane)
    usable, findings = {}, []
    for modality, image in chosen.items():
        values, known = on_head(head, image)
        if known.any() and np.ptp(np.percentile(values[known], [25, 75])) > 0:
            usable[modality] = values, known
        else:
            findings.append(_empty(modality))
    if not usable:
        raise InputError(
            "outline of the tumour", "images that are constant within the brain", "images of a brain",
            "Look at the images and at the brain mask.",
        )  # fmt: skip
    strength = evidence(head, usable)
    report(0.8, "Outlining the tumour")
    score, drawn, others = _strongest(head, strength)
    used = tuple(modality for modality in SIGNS if modality in usable)
    least = LEAST_SCORE if set(used) & set(SHOWING) else LEAST_SCORE_UNSEEN
    outline = _on_grid(head, drawn, mask) if score >= least and drawn.any() else _nothing(mask)
    if sitk.GetArrayViewFromImage(outline).any():
        more = [_unsure()] if score < SURE_SCORE else []
        findings = [_proposed(used), *more, *([_several()] if others else []), *findings]
    else:
        findings = [_not_found(used), *findings]
    report(1.0, "Outline proposed")
    return ProposedOutline(outline, score, used, plane, tuple(findings))


def _strongest(head: Head, strength: np.ndarray) -> tuple[float, np.ndarray, bool]:
    """Give the strongest place's evidence, the region about it, and whether another is as strong."""
    calm = head.smoothed(strength, head.brain, PLACE)
    depth = ndimage.distance_transform_edt(np.pad(head.brain, 1), sampling=head.spacing)[1:-1, 1:-1, 1:-1]
    # With brain above and below, too: at the first and last slices masks reach into eyes, neck and scalp.
    surrounded = ndimage.binary_erosion(head.brain) & (depth > INSIDE)
    calm = np.where(surrounded, calm, -np.inf)
    score = float(calm.max())
    if not np.isfinite(score):
        return 0.0, np.zeros(head.brain.shape, bool), False
    level = float(np.clip(SHARE * score, LOWEST, HIGHEST))
    region = head.brain & (strength > level)
    region = ndimage.binary_opening(region, head.ball(SMOOTH_OUTLINE))
    labels, n = ndimage.label(region)
    if n == 0:
        return score, region, False
    numbers = np.arange(1, n + 1)
    sums = ndimage.sum_labels(strength - level / 2, labels, numbers)
    peaks = ndimage.maximum(calm, labels, numbers)
    sums = np.where(peaks >= SHARE * score, sums, 0)
    best = int(np.argmax(sums))
    if sums[best] <= 0:
        return score, np.zeros(head.brain.shape, bool), False
    others = bool((np.delete(sums, best) > 0.3 * sums[best]).any())
    return float(peaks[best]), labels == best + 1, others


def _on_grid(head: Head, drawn: np.ndarray, mask: sitk.Image) -> sitk.Image:
    """Bring the outline to the images' grid, smooth; empty if it is too small."""
    soft = sitk.GetImageFromArray(drawn.astype(np.float32))
    soft.CopyInformation(head.grid)
    whole = resample(soft, mask)
    inside = (sitk.GetArrayFromImage(whole) > 0.5) & (sitk.GetArrayViewFromImage(mask) != 0)
    if inside.sum() * float(np.prod(mask.GetSpacing())) < LEAST_VOLUME:
        return _nothing(mask)
    return like(inside.astype(np.uint8), mask)


def _nothing(mask: sitk.Image) -> sitk.Image:
    return like(np.zeros(mask.GetSize()[::-1], np.uint8), mask)


def _finite(image: sitk.Image) -> sitk.Image:
    values = sitk.GetArrayFromImage(image)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return image
    return like(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), image)


def named(used: tuple[Modality, ...]) -> str:
    """Give modalities as a list in words."""
    names = [str(modality) for modality in used]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _proposed(used: tuple[Modality, ...]) -> Finding:
    return _warn(
        f"The outline of the tumour was proposed by the computer, from {named(used)}.",
        "Look at it, correct it with the brush, and propose the regions again.",
    )


def _unsure() -> Finding:
    return _warn(
        "What is outlined stands out only a little; the tumour may lie elsewhere.",
        "Look at all slices, and paint the outline anew if it is not the tumour.",
    )


def _several() -> Finding:
    return _warn(
        "More than one place stands out; only the strongest is outlined.",
        "Look whether it is the tumour to measure.",
    )


def _empty(modality: Modality) -> Finding:
    return _warn(f"The {modality} image says nothing within the brain.", "Look at it and at the brain mask.")


def _not_found(used: tuple[Modality, ...]) -> Finding:
    more = "" if set(used) & set(SHOWING) else " T2w or FLAIR would show more."
    return _warn(
        f"No tumour stands out in {named(used)}.", f"Paint the outline where you see the tumour.{more}"
    )


def _warn(what: str, remedy: str) -> Finding:
    from SynthCBVLib.imaging.quality import Finding

    return Finding("warning", None, what, remedy)
