"""Check a study: the door of the quality checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality.alignment import Aligned, align
from SynthCBVLib.imaging.quality.contrast import check_contrast, check_twins
from SynthCBVLib.imaging.quality.diffusion import check_b_values, check_decay
from SynthCBVLib.imaging.quality.finding import Card, Finding, listed
from SynthCBVLib.imaging.quality.motion import check_series_motion
from SynthCBVLib.imaging.quality.noise import check_noise
from SynthCBVLib.imaging.quality.perfusion import check_cbf
from SynthCBVLib.imaging.quality.pictures import Picture, small, take
from SynthCBVLib.imaging.quality.places import Brain, check_own_view, check_view, check_voxels
from SynthCBVLib.imaging.quality.sides import check_sides, mirror_evidence
from SynthCBVLib.imaging.quality.slices import check_slices, check_steps, slice_axis, slice_offsets, step_in
from SynthCBVLib.imaging.quality.values import check_values
from SynthCBVLib.imaging.resampling import overlap
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, shown_contrast


def check(study: Study, card: Card) -> list[Finding]:
    """Check a study against what a model needs.

    Parameters
    ----------
    study : Study
        As read; nothing has to be registered.
    card : Card
        The model's inputs and reference.

    Returns
    -------
    list of Finding
        Errors first, then warnings, then infos; empty if all is well.
    """
    findings = list(_presence(study, card))
    sound: list[Modality] = []
    used = _used(card)
    for modality in study.images:
        found = list(check_values(study, modality))
        if not any(finding.severity == "error" for finding in found):
            sound.append(modality)
        elif modality not in used:  # what the model does not look at cannot spoil its map
            found = [replace(finding, severity="warning") for finding in found]
        findings += found
    for spec in card.inputs:
        series = study.images.get(spec.modality)
        if isinstance(series, DiffusionSeries):
            findings += check_b_values(series, spec.b_values)
            if spec.modality in sound:
                decay = list(check_decay(series))
                findings += decay
                if not any(finding.kind in ("decay", "slices") for finding in decay):
                    findings += check_series_motion(series)
    scalars = {modality: study.scalar(modality) for modality in sound}
    for modality in sound:
        findings += check_voxels(modality, scalars[modality])
        findings += check_noise(study, modality)
        if modality is Modality.CBF:
            findings += check_cbf(study)
        findings += check_slices(modality, scalars[modality])
    # Images beside the inputs and the map to compare with are not held against the others
    held = [m for m in sound if m in used or m is Modality.RCBV]
    findings += _together(study, card, {m: scalars[m] for m in held})
    findings += check_twins(study, sound)
    order = ("error", "warning", "info")
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def raise_on_error(findings: Iterable[Finding], study: Study) -> None:
    """Raise the first error among the findings.

    Raises
    ------
    InputError
        Names the file or modality, what was seen and what to do.
    """
    for finding in findings:
        if finding.severity == "error":
            image = study.images.get(finding.modality) if finding.modality is not None else None
            where = f"subject {study.subject}"
            if finding.modality is not None:
                where = f"{finding.modality} of {where}"
            if isinstance(image, DiffusionSeries | AslSeries) and image.name not in ("DWI", "ASL"):
                where = f"{image.name} ({where})"
            raise InputError(where, finding.what, "images that the model can use", finding.remedy)


def _used(card: Card) -> frozenset[Modality]:
    """Give the modalities that a model looks at."""
    return frozenset(spec.modality for spec in card.inputs)


def _presence(study: Study, card: Card) -> Iterable[Finding]:
    for spec in card.inputs:
        if spec.required and spec.modality not in study.images:
            yield Finding(
                "error", spec.modality, f"no {spec.modality} image; there is {listed(study.images)}",
                f"Add the {spec.modality} image: the model cannot do without it.", "absent",
            )  # fmt: skip
    optional = [spec.modality for spec in card.inputs if not spec.required]
    if optional and not any(modality in study.images for modality in optional):
        yield Finding(
            "warning", None, f"none of the optional images ({listed(optional)})",
            "Add those that were acquired: the map is better with them.", "absent",
        )  # fmt: skip
    if card.reference and not any(modality in study.images for modality in card.reference):
        yield Finding(
            "error", None, f"no image to bring the others to; there is {listed(study.images)}",
            f"Add one of {listed(card.reference)}.", "absent",
        )  # fmt: skip
    known = _used(card) | {Modality.RCBV}
    for modality in study.images:
        if modality not in known:
            yield Finding(
                "info", modality, "not used by this model", "Nothing needs to be done.", "unused"
            )  # fmt: skip


@dataclass(frozen=True)
class _Against:
    """One image against the reference."""

    aligned: Aligned
    mirror: float | None
    step: tuple[int, float] | None


def _together(study: Study, card: Card, images: Mapping[Modality, sitk.Image]) -> Iterable[Finding]:
    """Check what needs pictures of the head: contrast, coverage, sides, slices left out."""
    pictures = {m: picture for m, image in images.items() if (picture := take(image)) is not None}
    name = next((m for m in card.reference if m in study.images), None)
    reference = pictures.get(name) if name is not None else None
    against: dict[Modality, _Against] = {}
    apart: list[Modality] = []
    if name in images:
        fixed = images[name]
        brain = Brain(fixed, shown_contrast(study.images[name], name))
        yield from check_own_view(name, brain)
        for modality, image in images.items():
            if modality is name:
                continue
            if max(overlap(image, fixed), overlap(fixed, image)) == 0:
                apart.append(modality)
                yield Finding(
                    "error" if modality in _used(card) else "warning", modality,
                    f"its field of view does not overlap that of {name}",
                    "Check that both are of the same patient and that neither lost its position.", "overlap",
                )  # fmt: skip
                continue
            if reference is not None:
                # Perfusion of 6 mm slices shows too little anatomy to place each of them
                steps = modality is not Modality.RCBV
                compared = _against(reference, image, pictures.get(modality), steps)
                if compared is not None:
                    against[modality] = compared
            transform = against[modality].aligned.transform if modality in against else None
            yield from check_view(modality, image, name, brain, transform)
    if name is not None and reference is not None:
        yield from check_sides(name, {m: each.mirror for m, each in against.items()})
        distance = images[name].GetSpacing()[2 - slice_axis(images[name])]
        yield from check_steps(name, distance, {m: each.step for m, each in against.items()})
        laid: dict[Modality, np.ndarray] = {m: each.aligned.values for m, each in against.items()}
        yield from check_contrast(pictures, {**laid, name: reference.values}, reference)
    else:
        yield from check_contrast(pictures, {}, None)


def _against(reference: Picture, image: sitk.Image, picture: Picture | None, steps: bool) -> _Against | None:
    """Align one image with the reference and see whether its mirror image or a gap would fit better."""
    coarse = small(image) if picture is None else picture.image
    aligned = align(reference, coarse)
    if aligned is None:
        return None
    middle = (coarse.GetSize()[0] - 1) / 2
    if picture is not None:
        middle = float(np.flatnonzero(picture.head.any((0, 1))).mean())
    step = None
    if steps and slice_axis(image) == 0:
        offsets = slice_offsets(image, aligned, reference)
        step = None if offsets is None else step_in(offsets, image.GetSpacing()[2])
    return _Against(aligned, mirror_evidence(reference, coarse, aligned, middle), step)
