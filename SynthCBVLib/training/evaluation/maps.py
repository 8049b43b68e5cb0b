"""Maps and regions beside the inputs of an exam: the real map, fitted f, CBF, and the ratios in them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.regions import ratio_row, split_regions
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study, same_grid, volume_of
from SynthCBVLib.physiology import maps
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.preprocess import Prepared, cbf_image, coverage, normalised_rcbv
from SynthCBVLib.training.evaluation.sources import Regions

#: Slices beside those of the regions in which f is fitted.
_BESIDE = 2


def real_maps(
    study: Study, card: ModelCard, prepared: Prepared, shared: dict, known: Mapping | None
) -> tuple[sitk.Image | None, np.ndarray, np.ndarray]:
    """Give the real map on the reference's grid in its own unit, and on the card's grid in the card's."""
    mask = sitk.GetArrayFromImage(prepared.mask)
    if Modality.RCBV not in study.images:
        return None, np.zeros(mask.shape, np.float32), np.zeros_like(mask)
    rcbv = study.scalar(Modality.RCBV)
    transform = (known or {}).get(Modality.RCBV) or shared.get(Modality.RCBV)
    if transform is None:
        transform = register(rcbv, prepared.reference).transform
    shared[Modality.RCBV] = transform
    covered = coverage(rcbv, prepared.grid, transform)
    target = normalised_rcbv(
        resample(rcbv, prepared.grid, transform), sitk.Mask(prepared.mask, covered), card
    )
    brain = resample(prepared.mask, prepared.reference, interpolation="nearest")
    compared = sitk.Mask(brain, coverage(rcbv, prepared.reference, transform))
    real = sitk.Mask(resample(rcbv, prepared.reference, transform), compared)
    return real, sitk.GetArrayFromImage(target), sitk.GetArrayFromImage(covered)


def laid_regions(
    regions: Regions, prepared: Prepared, transforms: Mapping[Modality, sitk.Transform]
) -> dict[str, sitk.Image]:
    """Lay regions on the reference's grid: as drawn there, by the transform of their image, or by header."""
    laid = {}
    for name, mask in regions.masks.items():
        on_reference = regions.drawn_on in (None, prepared.reference_modality)
        if on_reference and mask.GetSize() == prepared.reference.GetSize() and (
            regions.drawn_on is not None or same_grid(mask, prepared.reference)
        ):  # fmt: skip
            moved = sitk.Cast(mask, sitk.sitkUInt8)
            moved.CopyInformation(prepared.reference)
        else:
            transform = None if on_reference else transforms.get(regions.drawn_on)
            moved = sitk.Cast(
                resample(mask, prepared.reference, transform, interpolation="nearest"), sitk.sitkUInt8
            )
        laid[name] = moved > 0
    return laid


def other_maps(study: Study, prepared: Prepared, regions: Mapping[str, sitk.Image]) -> dict[str, sitk.Image]:
    """Give fitted f and CBF on the reference's grid, as far as the study has them."""
    images = {}
    series = study.images.get(Modality.DWI)
    if isinstance(series, DiffusionSeries) and Modality.DWI in prepared.transforms:
        # b-values may serve the model, but not the fit: the ratio of f stays unknown then.
        with contextlib.suppress(InputError):
            images["f"] = _fraction(series, prepared, regions)
    if Modality.CBF in prepared.transforms:
        image = study.images[Modality.CBF]
        flow = image if isinstance(image, sitk.Image) else cbf_image(image)[0]
        images["cbf"] = resample(flow, prepared.reference, prepared.transforms[Modality.CBF])
    return images


def _fraction(series: DiffusionSeries, prepared: Prepared, regions: Mapping[str, sitk.Image]) -> sitk.Image:
    """Fit f in the brain in the slices of the regions and those beside them: all that ratios need."""
    transform = prepared.transforms[Modality.DWI]
    native = volume_of(series.image, 0)
    back = transform.GetInverse()
    brain = resample(
        resample(prepared.mask, prepared.reference, interpolation="nearest"), native, back, "nearest"
    )
    union = sum(sitk.GetArrayFromImage(mask).astype(np.uint8) for mask in regions.values()) > 0
    drawn = sitk.GetImageFromArray(union.astype(np.uint8))
    drawn.CopyInformation(prepared.reference)
    hit = np.flatnonzero(sitk.GetArrayFromImage(resample(drawn, native, back, "nearest")).any(axis=(1, 2)))
    inside = sitk.GetArrayFromImage(brain)
    if hit.size:
        inside[: max(0, hit[0] - _BESIDE)] = 0
        inside[hit[-1] + _BESIDE + 1 :] = 0
    slab = sitk.GetImageFromArray(inside)
    slab.CopyInformation(native)
    return resample(maps.ivim_maps(series, slab).f, prepared.reference, transform)


def ratios_of(
    images: Mapping[str, sitk.Image], regions: Mapping[str, sitk.Image], name: str
) -> tuple[dict[str, float], list[str]]:
    """Give the T/WM ratio of each map that has one, and why others have none."""
    ratios, notes = {}, []
    if not regions:
        return ratios, notes
    tumour, white_matter = split_regions(regions)
    for key, image in images.items():
        try:
            ratios[key] = ratio_row(key, image, tumour, white_matter).ratio.ratio
        except InputError as error:
            notes.append(f"{name}: no ratio: {error}")
    return ratios, notes
