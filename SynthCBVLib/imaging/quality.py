"""Say what is wrong or odd about a study before anything is computed from it; nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import overlap
from SynthCBVLib.imaging.signal_checks import brain_coverage, check_diffusion_signal, foreground, snr
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, same_grid, shown_contrast

Severity = Literal["error", "warning", "info"]

#: A measured b-value serves for a wanted one within this relative or absolute (s/mm²) distance.
B_TOLERANCE, B_TOLERANCE_ABSOLUTE = 0.05, 5.0
#: Plausible medians of a CBF map in the brain, ml/100 g/min.
CBF_RANGE = (0.5, 500.0)
LOWEST_SNR = 5.0
#: Voxels coarser than this (mm, within and between slices) blur small tumours away.
COARSEST = (4.0, 8.0)
#: Share of the reference's brain that every other image should see, by the headers.
LOWEST_COVERAGE = 0.8
#: Share of a signal's voxels that may be negative.
MOST_NEGATIVE = 0.01
_SIGNED = (Modality.CBF, Modality.RCBV, Modality.ADC)  # maps whose noise may fall below zero
_STRUCTURAL = (Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.T1C)


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed.

    Parameters
    ----------
    severity : {"error", "warning", "info"}
        Errors stop the work; warnings are shown with the result; infos are for the record.
    modality : Modality or None
        The image concerned; None for the study as a whole.
    what : str
        What was seen, in plain words.
    remedy : str
        What to do about it, a full sentence.
    """

    severity: Severity
    modality: Modality | None
    what: str
    remedy: str

    def __str__(self) -> str:
        about = f"{self.modality}: " if self.modality else ""
        return f"{self.severity}: {about}{self.what.rstrip('.')}. {self.remedy}"


class CardInput(Protocol):
    """One input of a model, as its card lists it."""

    @property
    def modality(self) -> Modality:
        """Kind of image."""

    @property
    def required(self) -> bool:
        """Whether the model cannot do without it."""

    @property
    def b_values(self) -> tuple[float, ...]:
        """For DWI the b-values the model needs, s/mm²; else empty."""


class Card(Protocol):
    """What a model needs of a study."""

    @property
    def inputs(self) -> Sequence[CardInput]:
        """All inputs."""

    @property
    def reference(self) -> tuple[Modality, ...]:
        """Images that give the grid, in order of preference."""


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
        found = list(_values(study, modality))
        if not any(finding.severity == "error" for finding in found):
            sound.append(modality)
        elif modality not in used:  # what the model does not look at cannot spoil its map
            found = [replace(finding, severity="warning") for finding in found]
        findings += found
    for spec in card.inputs:
        series = study.images.get(spec.modality)
        if isinstance(series, DiffusionSeries):
            findings += _b_values(series, spec.b_values)
            if spec.modality in sound:
                findings += [
                    Finding(severity, Modality.DWI, what, remedy)
                    for severity, what, remedy in check_diffusion_signal(series)
                ]
    for modality in sound:
        findings += _plausibility(study, modality)
    findings += _places(study, card, sound)
    findings += _twins(study, sound)
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
                "error", spec.modality, f"no {spec.modality} image; there is {_listed(study.images)}",
                f"Add the {spec.modality} image: the model cannot do without it.",
            )  # fmt: skip
    optional = [spec.modality for spec in card.inputs if not spec.required]
    if optional and not any(modality in study.images for modality in optional):
        yield Finding(
            "warning", None, f"none of the optional images ({_listed(optional)})",
            "Add those that were acquired: the map is better with them.",
        )  # fmt: skip
    if card.reference and not any(modality in study.images for modality in card.reference):
        yield Finding(
            "error", None, f"no image to bring the others to; there is {_listed(study.images)}",
            f"Add one of {_listed(card.reference)}.",
        )  # fmt: skip
    known = _used(card) | {Modality.RCBV}
    for modality in study.images:
        if modality not in known:
            yield Finding("info", modality, "not used by this model", "Nothing needs to be done.")


def _parts(study: Study, modality: Modality) -> list[tuple[str, sitk.Image]]:
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


def _values(study: Study, modality: Modality) -> Iterable[Finding]:
    negative: list[str] = []
    for name, volume in _parts(study, modality):
        array = sitk.GetArrayViewFromImage(volume)
        bad = array.size - int(np.count_nonzero(np.isfinite(array)))
        if bad:
            yield Finding(
                "error", modality, f"{name}: {bad} voxels that are NaN or infinite",
                "Replace them in the source or export the image again.",
            )  # fmt: skip
        elif array.min() == array.max():
            content = "all zero" if array.flat[0] == 0 else f"the value {array.flat[0]:g} everywhere"
            yield Finding(
                "error", modality, f"{name}: {content}", "Give the image itself: this one is empty."
            )
        elif modality not in _SIGNED or isinstance(study.images[modality], AslSeries):
            noise = 0.02 * float(np.percentile(array, 99))
            if np.count_nonzero(array < -noise) > MOST_NEGATIVE * array.size:
                negative.append(name)
    if negative:
        yield Finding(
            "warning", modality, f"{_listed(negative)}: negative values where a signal cannot be",
            "Was the slope or the offset of the scanner's export lost? Export again as magnitude images.",
        )  # fmt: skip


def _b_values(series: DiffusionSeries, wanted: Sequence[float]) -> Iterable[Finding]:
    there = np.unique(np.round(series.b_values, 1))
    if there.min() > B_TOLERANCE_ABSOLUTE:
        yield Finding(
            "error", Modality.DWI, f"no b = 0 image; the lowest b-value is {there.min():g} s/mm²",
            "Add the b = 0 images: all others are measured against them.",
        )  # fmt: skip
    distance = [float(np.abs(there - b).min()) for b in wanted]
    reach = [max(B_TOLERANCE * b, B_TOLERANCE_ABSOLUTE) for b in wanted]
    missing = [b for b, d, r in zip(wanted, distance, reach, strict=True) if d > r and b > 0]
    if missing:
        yield Finding(
            "error", Modality.DWI,
            f"no image at b = {_listed(missing)} s/mm²; there are b = {_listed(there)}",
            "Use a model trained for these b-values, or check the .bval file and its unit (s/mm²).",
        )  # fmt: skip
    shifted = [b for b, d, r in zip(wanted, distance, reach, strict=True) if 1 < d <= r]
    if shifted:
        yield Finding(
            "warning", Modality.DWI, f"b = {_listed(shifted)} s/mm² only nearly among b = {_listed(there)}",
            "The nearest b-values are used in their place.",
        )  # fmt: skip
    unused = [
        b for b in there
        if wanted and np.abs(np.array(wanted) - b).min() > max(B_TOLERANCE * b, B_TOLERANCE_ABSOLUTE)
    ]  # fmt: skip
    if unused:
        yield Finding(
            "info", Modality.DWI, f"b = {_listed(unused)} s/mm² is not used by this model",
            "Nothing needs to be done.",
        )  # fmt: skip


def _plausibility(study: Study, modality: Modality) -> Iterable[Finding]:
    image = study.scalar(modality)
    spacing = sorted(image.GetSpacing())
    if spacing[1] > COARSEST[0] + 1e-3 or spacing[2] > COARSEST[1] + 1e-3:
        yield Finding(
            "warning", modality,
            f"coarse voxels of {' × '.join(f'{s:.3g}' for s in image.GetSpacing())} mm",
            "Small tumours are blurred: read their ratios with care.",
        )  # fmt: skip
    if modality is Modality.CBF and not isinstance(study.images[modality], AslSeries):
        array = sitk.GetArrayViewFromImage(image)
        median = float(np.median(array[foreground(image)]))
        if not CBF_RANGE[0] <= median <= CBF_RANGE[1]:
            yield Finding(
                "warning", modality, f"a median of {median:.3g} where there is perfusion",
                "Is the unit ml/100 g/min? Check the scale of the map; only relative values can be used.",
            )  # fmt: skip
    if modality not in _SIGNED or isinstance(study.images[modality], AslSeries):
        ratio = snr(study.images[modality])
        if ratio is not None and ratio < LOWEST_SNR:
            yield Finding(
                "warning", modality, f"a signal-to-noise ratio of about {ratio:.1f}",
                "Expect a noisy map; more averages or coarser voxels help.",
            )  # fmt: skip


def _places(study: Study, card: Card, sound: Sequence[Modality]) -> Iterable[Finding]:
    reference = next((m for m in card.reference if m in study.images), None)
    if reference not in sound:
        return
    fixed = study.scalar(reference)
    others = [m for m in sound if m is not reference]
    used = _used(card)
    if not others:
        return
    contrast = shown_contrast(study.images[reference], reference)
    coverage = brain_coverage(fixed, contrast, [study.scalar(m) for m in others])
    for modality, seen in zip(others, coverage, strict=True):
        image = study.scalar(modality)
        if max(overlap(image, fixed), overlap(fixed, image)) == 0:
            yield Finding(
                "error" if modality in used else "warning", modality,
                f"its field of view does not overlap that of {reference}",
                "Check that both are of the same patient and that neither lost its position.",
            )  # fmt: skip
        elif seen < LOWEST_COVERAGE:
            yield Finding(
                "warning", modality, f"covers only {seen:.0%} of the brain in {reference}, by the headers",
                "The map is not to be trusted outside; if the head moved between scans, registration helps.",
            )  # fmt: skip


def _twins(study: Study, sound: Sequence[Modality]) -> Iterable[Finding]:
    """Find one image given under two names."""
    structural = [m for m in _STRUCTURAL if m in sound]
    for number, first in enumerate(structural):
        for second in structural[number + 1 :]:
            a, b = study.scalar(first), study.scalar(second)
            if same_grid(a, b) and np.array_equal(
                sitk.GetArrayViewFromImage(a), sitk.GetArrayViewFromImage(b)
            ):
                yield Finding(
                    "warning", second, f"the same voxels as {first}", f"Give the {second} image itself."
                )


def _listed(values: Iterable[object]) -> str:
    words = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    return ", ".join(words[:12]) + (" ..." if len(words) > 12 else "") if words else "nothing"
