"""Images that do not look like their names: which tissue is bright, which dark, and one image given twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.imaging.quality.finding import Finding
from SynthCBVLib.imaging.quality.pictures import Picture
from SynthCBVLib.imaging.quality.shading import without_trend
from SynthCBVLib.imaging.study import Modality, Study, same_grid

M = Modality
STRUCTURAL = (M.T1W, M.T2W, M.FLAIR, M.T1C)
JUDGED = (*STRUCTURAL, M.ADC)
#: CSF is the brightest tissue of the first, the darkest of the second.
BRIGHT_CSF, DARK_CSF = (M.T2W, M.ADC), (M.T1W, M.FLAIR, M.T1C)
#: Tail asymmetry above which CSF is bright, and below which it is not.
BRIGHT_TAIL, DARK_TAIL = 0.25, 0.1
#: 5th percentile over the median: T2w has white matter far below grey matter, ADC has the two alike.
ADC_LEAST, T2W_MOST = 0.76, 0.66
#: Upper over lower quartile of ADC; that of T2w is above, and less says that little but one tissue is seen.
ADC_SPREAD = (1.15, 1.5)
#: Correlation with an image whose CSF is bright, where there is no CSF: grey against white matter.
POLARITY = 0.25
#: The tail of T1c / T1w (log, without shading) on the wrong side, and by how much it is the longer one.
ENHANCED, ENHANCED_RATIO = 0.25, 1.2
#: Tissue is brighter than this share of the deep brain's median; fewer voxels of it tell nothing.
_TISSUE, _FEWEST = 0.5, 500
#: Correlation above which two images of one grid are one image.
SAME = 0.9995
#: Medians of the brain's ADC, in mm²/s, µm²/ms and µm²/s.
ADC_MEDIANS = ((3e-4, 2.5e-3), (0.3, 2.5), (300.0, 2500.0))
#: Where white matter alone is, T1w and T1c lie above the brain's median, FLAIR below.
WHITE_T1, WHITE_FLAIR = 1.1, 1.08
#: Upper over lower quartile of the brain.
SPREAD_T1, SPREAD_FLAIR = 1.42, (1.15, 1.32)


@dataclass(frozen=True)
class Looks:
    """What the deep brain of an image looks like; values as fractions of its median.

    Attributes
    ----------
    tail : float
        log of the 99th plus log of the 1st percentile: above 0 where the outliers (CSF) are bright.
    low : float
        5th percentile.
    white : float
        Most frequent value where the image is evenest, which is white matter or a large lesion.
    spread : float
        Upper over lower quartile.
    median : float
        Median in the image's own unit.
    """

    tail: float
    low: float
    white: float
    spread: float
    median: float


def looks(picture: Picture) -> Looks | None:
    """Measure what the deep brain looks like; None if its median is not above zero."""
    inside = picture.values[picture.core]
    median = float(np.median(inside))
    if median <= 0:
        return None
    p1, p5, p25, p75, p99 = np.maximum(np.percentile(inside, (1, 5, 25, 75, 99)) / median, 1e-3)
    mean = ndimage.uniform_filter(picture.values, (1, 5, 5))
    square = ndimage.uniform_filter(picture.values**2, (1, 5, 5))
    unrest = np.sqrt(np.maximum(square - mean**2, 0))[picture.core] / np.maximum(mean[picture.core], 1e-9)
    even = inside[unrest <= np.percentile(unrest, 15)] / median
    counts, edges = np.histogram(even, np.linspace(0.3, 2.2, 191))
    peak = int(ndimage.gaussian_filter1d(counts.astype(float), 4).argmax())
    return Looks(
        float(np.log(p99) + np.log(p1)), float(p5), float(edges[peak]), float(p75 / p25), median
    )  # fmt: skip


def check_contrast(
    pictures: Mapping[Modality, Picture], laid: Mapping[Modality, np.ndarray], reference: Picture | None
) -> Iterable[Finding]:
    """Hold each image's looks against its name.

    Parameters
    ----------
    pictures : Mapping
        Picture of each image.
    laid : Mapping
        Values of each image on the grid of `reference`, as far as they could be aligned.
    reference : Picture or None
        Picture that the others were laid on.
    """
    seen = {m: looks(pictures[m]) for m in JUDGED if m in pictures}
    measured = {m: look for m, look in seen.items() if look is not None}
    for modality, look in measured.items():
        told = _against_csf(modality, look)
        if told is None and modality in DARK_CSF and look.tail < DARK_TAIL:
            told = _against_grey(modality, look, measured, laid, reference)
        if told is not None:
            what, likely = told
            yield Finding(
                "warning", modality, f"does not look like {modality}: {what}",
                f"Was {likely} given as {modality}? Check which image is which, and give the right one.",
                "contrast",
            )  # fmt: skip
    if reference is not None and M.T1W in laid and M.T1C in laid:
        yield from _enhancement(laid[M.T1W], laid[M.T1C], reference)


def _against_csf(modality: Modality, look: Looks) -> tuple[str, str] | None:
    """Tell what speaks against a name by the brightness of CSF and, for ADC, the values."""
    bright = f"CSF is brighter than the brain (tail {look.tail:+.2f})"
    dark = f"CSF is darker than the brain (tail {look.tail:+.2f})"
    if modality in DARK_CSF and look.tail > BRIGHT_TAIL:
        return bright, "an ADC map" if look.low > ADC_LEAST else "a T2w image"
    if modality in BRIGHT_CSF and look.tail < DARK_TAIL:
        return dark, "a T1w, T1c or FLAIR image"
    if modality is M.T2W and look.low > ADC_LEAST and ADC_SPREAD[0] < look.spread < ADC_SPREAD[1]:
        seen = f"white and grey matter are alike (5th percentile {look.low:.2f} of the median)"
        return seen, "an ADC map"
    if modality is M.ADC:
        if look.low < T2W_MOST:
            seen = f"white and grey matter differ (5th percentile {look.low:.2f} of the median)"
            return seen, "a T2w image"
        if not any(low <= look.median <= high for low, high in ADC_MEDIANS):
            return f"a median of {look.median:.3g} in the brain, in no usual unit of ADC", "another image"
    return None


def _against_grey(
    modality: Modality,
    look: Looks,
    measured: Mapping[Modality, Looks],
    laid: Mapping[Modality, np.ndarray],
    reference: Picture | None,
) -> tuple[str, str] | None:
    """Tell what speaks against T1w, T1c or FLAIR by grey against white matter."""
    votes = []
    if reference is not None and modality in laid:
        votes = [
            _polarity(laid[modality], laid[anchor], reference)
            for anchor in BRIGHT_CSF
            if anchor in laid and anchor in measured and measured[anchor].tail > BRIGHT_TAIL
        ]
    if votes:
        vote = float(np.mean(votes))
        flair, t1 = vote > POLARITY, vote < -POLARITY
        seen = f"(correlation {vote:+.2f} with the T2w contrast)"
    else:
        flair = look.white < WHITE_FLAIR and SPREAD_FLAIR[0] < look.spread < SPREAD_FLAIR[1]
        t1 = look.white > WHITE_T1 and look.spread > SPREAD_T1
        seen = f"(evenest tissue at {look.white:.2f} of the median)"
    if modality is M.FLAIR and t1:
        return f"white matter is brighter than grey matter {seen}", "a T1w or T1c image"
    if modality is not M.FLAIR and flair:
        return f"grey matter is brighter than white matter {seen}", "a FLAIR image"
    return None


def _polarity(values: np.ndarray, anchor: np.ndarray, reference: Picture) -> float:
    """Correlate two images deep in the brain where neither shows CSF."""
    core = reference.core
    tissue = core & (values > 0.6 * np.median(values[core])) & (anchor > 0)
    tissue &= anchor < np.percentile(anchor[core], 70)
    if np.count_nonzero(tissue) < 300:
        return 0.0
    x, y = values[tissue], anchor[tissue]
    x = np.clip(x, *np.percentile(x, (1, 99)))
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else 0.0


def _enhancement(t1w: np.ndarray, t1c: np.ndarray, reference: Picture) -> Iterable[Finding]:
    """Tell T1w and T1c apart by what is bright in one of them alone: vessels and enhancing tumour."""
    core = reference.core & (t1w > 0) & (t1c > 0)  # 0 lies outside a field of view
    core = ndimage.binary_erosion(core)
    if np.count_nonzero(core) < _FEWEST:
        return
    plain, enhanced = (np.maximum(ndimage.gaussian_filter(v, 1.0), 1e-3 * v.max()) for v in (t1w, t1c))
    # CSF is dark in both: there the ratio is one of noise
    tissue = core.copy()
    for values in (plain, enhanced):
        tissue &= values > _TISSUE * np.median(values[core])
    if np.count_nonzero(tissue) < _FEWEST:
        return
    # Each image has the shading of its own coil and day
    ratio = without_trend(np.log(enhanced / plain)[tissue], np.argwhere(tissue).astype(float))
    low, high = np.percentile(ratio - np.median(ratio), (0.1, 99.9))
    if -low > ENHANCED and -low > ENHANCED_RATIO * high:
        yield Finding(
            "warning", M.T1C,
            f"tissue is up to {np.exp(-low):.2g} times as bright in T1w as here, and the other way round at "
            f"most {np.exp(high):.2g} times, though contrast agent should enhance T1c",
            "Were T1w and T1c exchanged? Check which of the two was taken after the injection.", "contrast",
        )  # fmt: skip


def check_twins(study: Study, sound: Sequence[Modality]) -> Iterable[Finding]:
    """Find one image given under two names, also where its values were scaled."""
    judged = [m for m in JUDGED if m in sound]
    for number, first in enumerate(judged):
        for second in judged[number + 1 :]:
            a, b = study.scalar(first), study.scalar(second)
            if not same_grid(a, b):
                continue
            x, y = sitk.GetArrayViewFromImage(a), sitk.GetArrayViewFromImage(b)
            if np.array_equal(x, y):
                what = f"the same voxels as {first}"
            elif (likeness := _correlation(x, y)) > SAME:
                what = f"the same image as {first} but for its scale (correlation {likeness:.5f})"
            else:
                continue
            yield Finding("warning", second, what, f"Give the {second} image itself.", "twice")


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Correlate two arrays in their brighter half, where the air does not make everything alike."""
    inside = x > np.median(x)
    if np.count_nonzero(inside) < 100:
        return 0.0
    a, b = x[inside].astype(float), y[inside].astype(float)
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0
