"""Other b-values than a card's: what was measured serves, what is missing is predicted by the IVIM fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.motion import VolumeMotion, mean_of
from SynthCBVLib.imaging.quality import B_TOLERANCE, B_TOLERANCE_ABSOLUTE, Finding
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study, like
from SynthCBVLib.physiology import ivim
from SynthCBVLib.progress import Progress
from SynthCBVLib.synthesis.card import InputSpec, ModelCard

#: The fit has four parameters.
_LEAST = 4
#: A card's largest b-value may be predicted from one that is this share of it at least: beyond, tissue no
#: longer decays by one exponential and nothing measured says how.
_REACH = 0.6
#: Voxels with less than this share of the brightest signal at b = 0 are air, and not fitted.
AIR = 0.1


@dataclass(frozen=True)
class BValues:
    """How a series serves an input's b-values, s/mm².

    Attributes
    ----------
    measured, predicted : tuple of float
        Those of the card that are taken as measured, and those that the fit gives.
    series : tuple of float
        The different b-values of the series, ascending.
    """

    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    series: tuple[float, ...]


def members_of(series: DiffusionSeries, b: float) -> np.ndarray:
    """Give the volumes that serve for one b-value: scanners note 995, 1000 and 1005 for one nominal value."""
    return np.flatnonzero(np.abs(np.asarray(series.b_values) - b) <= _tolerance(b))


def plan(series: DiffusionSeries, spec: InputSpec) -> BValues:
    """Say which of an input's b-values are measured and which are to be predicted.

    Raises
    ------
    InputError
        If b-values are missing and the others cannot carry the fit.
    """
    levels = tuple(float(b) for b in np.unique(np.round(series.b_values, 1)))
    measured = tuple(b for b in spec.b_values if members_of(series, b).size)
    missing = tuple(b for b in spec.b_values if b not in measured)
    if not missing:
        return BValues(measured, (), levels)
    needed = f"b-values {_numbers(spec.b_values)} s/mm², or a set that the IVIM fit can bring to these"
    seen = f"b-values {_numbers(levels)}; {_numbers(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    distinct = _distinct(levels)
    highest = max(missing)
    if levels[0] > B_TOLERANCE_ABSOLUTE:
        reason = "Add the b = 0 images: all others are measured against them."
    elif len(distinct) < _LEAST:
        reason = f"The fit needs at least {_LEAST} different b-values: use a model trained for fewer."
    elif not any(B_TOLERANCE_ABSOLUTE < b < ivim.SPLIT_B for b in levels):
        reason = (
            f"Without a b-value between 0 and {ivim.SPLIT_B:g} s/mm² nothing says how perfusion decays: "
            "measure one, or use a model trained for these b-values."
        )  # fmt: skip
    elif not any(b > ivim.SPLIT_B for b in levels):
        reason = (
            f"Without a b-value above {ivim.SPLIT_B:g} s/mm² nothing tells diffusion from perfusion: "
            "measure one, or use a model trained for these b-values."
        )  # fmt: skip
    elif levels[-1] < _REACH * highest:
        reason = (
            f"b = {highest:g} is too far beyond the largest one measured ({levels[-1]:g}; at least "
            f"{_REACH * highest:g} is needed): use a model trained for these b-values."
        )
    else:
        return BValues(measured, missing, levels)
    raise InputError(series.name, seen, needed, reason)


def bridged(findings: Sequence[Finding], study: Study, card: ModelCard) -> list[Finding]:
    """Take b-values that the fit can bring to the card's out of the errors of the quality checks.

    Raises
    ------
    InputError
        If b-values are missing and the others cannot carry the fit.
    """
    kept = list(findings)
    for spec in card.inputs:
        series = study.images.get(spec.modality)
        if isinstance(series, DiffusionSeries) and plan(series, spec).predicted:
            # Neither missing nor unused: the fit takes all that was measured.
            kept = [f for f in kept if f.kind != "b-values" or f.severity == "warning"]
    return kept


def findings_of(planned: BValues) -> tuple[Finding, ...]:
    """Tell which b-values were predicted, and from which."""
    if not planned.predicted:
        return ()
    what = (
        f"b = {_numbers(planned.predicted)} s/mm² was predicted by the IVIM fit to the measured "
        f"b = {_numbers(planned.series)}; taken as measured: b = {_numbers(planned.measured) or 'none'}"
    )
    remedy = "The map is less exact than with the model's own b-values: measure these where you can."
    return (Finding("warning", Modality.DWI, what, remedy, "b-values"),)


def predicted_volumes(
    series: DiffusionSeries,
    planned: BValues,
    motion: tuple[VolumeMotion, ...],
    progress: Progress | None = None,
) -> dict[float, sitk.Image]:
    """Predict the volumes that were not measured, on the series' own grid.

    Parameters
    ----------
    series : DiffusionSeries
        All its volumes enter the fit.
    planned : BValues
        Of `plan`.
    motion : tuple of VolumeMotion
        One a volume, or none at all; volumes that moved are laid back first.
    progress : Progress, optional
        Told of the fit; may raise `Cancelled`.

    Returns
    -------
    dict
        32-bit float image of each predicted b-value. In air, and where the fit has nothing to go by, it is
        that of the nearest measured b-value.
    """
    signals, counts = level_signals(series, motion)
    levels = np.asarray(planned.series)
    grid = series.volumes()[0]
    inside = head_of(signals)
    fitted = None
    if inside.any():
        fitted = ivim.fit(signals[inside], levels, counts, progress=progress)
    predicted = {}
    for b in planned.predicted:
        array = signals[..., int(np.argmin(np.abs(levels - b)))].astype(np.float32)
        if fitted is not None:
            clean = ivim.signal((b,), fitted.s0, fitted.d, fitted.f, fitted.d_star)[..., 0]
            # The fit took the noise out of the magnitude; an image that was measured has it.
            noisy = np.sqrt(clean**2 + fitted.noise_sd**2)
            array[inside] = np.where(fitted.valid, noisy, array[inside])
        predicted[b] = like(array, grid)
    return predicted


def level_signals(series: DiffusionSeries, motion: tuple[VolumeMotion, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean (z, y, x, n) of each different b-value on the series' grid, and the counts."""
    volumes = series.volumes()
    rounded = np.round(np.asarray(series.b_values), 1)
    members = [[int(i) for i in np.flatnonzero(rounded == b)] for b in np.unique(rounded)]
    if motion:
        means = [sitk.GetArrayFromImage(mean_of(volumes, motion, indices)) for indices in members]
    else:
        arrays = [sitk.GetArrayFromImage(volume) for volume in volumes]
        means = [np.mean([arrays[i] for i in indices], axis=0, dtype=np.float64) for indices in members]
    return np.stack(means, axis=-1), np.array([len(indices) for indices in members])


def head_of(signals: np.ndarray) -> np.ndarray:
    """Tell where signals (..., n), ascending in b, are more than air."""
    return signals[..., 0] > AIR * np.percentile(signals[..., 0], 99.5)


def only_measured(spec: InputSpec, planned: BValues) -> InputSpec:
    """Give an input whose b-values are those of the series, where the card's are not all there."""
    return replace(spec, b_values=planned.series) if planned.predicted else spec


def _distinct(levels: Iterable[float]) -> list[float]:
    """Take b-values that are one nominal value as one."""
    kept: list[float] = []
    for b in levels:
        if not kept or b - kept[-1] > _tolerance(b):
            kept.append(b)
    return kept


def _tolerance(b: float) -> float:
    return max(B_TOLERANCE * b, B_TOLERANCE_ABSOLUTE)


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
