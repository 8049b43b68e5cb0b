"""Blood volume and flow maps of a DSC series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology.dsc import arterial as arteries
from SynthCBVLib.physiology.dsc import curves as bolus_curves
from SynthCBVLib.physiology.dsc import leakage
from SynthCBVLib.physiology.dsc.protocol import DscProtocol
from SynthCBVLib.progress import Progress, silent

Array = NDArray[np.float64]

_BLOCK = 8192


@dataclass(frozen=True)
class CbvMaps:
    """Blood volume of each voxel, of the signals' leading shape; 0 outside the mask.

    Attributes
    ----------
    rcbv : ndarray
        Relative CBV, corrected for leakage: in multiples of white matter if its mask was given, else the
        area under ΔR2* (dimensionless).
    uncorrected : ndarray
        The same without leakage correction.
    k2 : ndarray
        Leakage coefficient, 1/s: positive for T1-dominant, negative for T2*-dominant leakage.
    reference : ndarray of bool
        Voxels whose average served as the brain that does not enhance.
    bolus : Bolus
        Baseline and arrival, in time points.
    """

    rcbv: Array
    uncorrected: Array
    k2: Array
    reference: NDArray[np.bool_]
    bolus: bolus_curves.Bolus


@dataclass(frozen=True)
class PerfusionMaps:
    """Perfusion of each voxel, of the signals' leading shape; 0 outside the mask.

    Attributes
    ----------
    cbv : ndarray
        ml/100 ml, without haematocrit and density factors.
    cbf : ndarray
        ml/100 ml/min.
    mtt, tmax : ndarray
        Mean transit time and time of the residue function's maximum, s.
    arterial_input : ndarray (n_t,)
        Given or found.
    arterial_voxels : ndarray of bool
        Where it was found; nowhere if it was given.
    """

    cbv: Array
    cbf: Array
    mtt: Array
    tmax: Array
    arterial_input: Array
    arterial_voxels: NDArray[np.bool_]


def relative_cbv(
    signal: ArrayLike,
    times: ArrayLike,
    protocol: DscProtocol | None = None,
    mask: ArrayLike | None = None,
    white_matter: ArrayLike | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Compute leakage-corrected relative CBV; see `cbv_maps` for the parameters.

    Returns
    -------
    ndarray (...)
        rCBV, 0 outside the mask.
    """
    return cbv_maps(signal, times, protocol, mask, white_matter, progress).rcbv


def cbv_maps(
    signal: ArrayLike,
    times: ArrayLike,
    protocol: DscProtocol | None = None,
    mask: ArrayLike | None = None,
    white_matter: ArrayLike | None = None,
    progress: Progress | None = None,
) -> CbvMaps:
    """Compute relative CBV with and without leakage correction.

    Parameters
    ----------
    signal : array_like (..., n_t)
        Signals, or ΔR2* if the protocol says so.
    times : array_like (n_t,)
        s.
    protocol : DscProtocol, optional
        Echo time, leakage correction and integration.
    mask : array_like of bool (...), optional
        The brain; by default the voxels whose baseline exceeds a fifth of its 98th percentile.
    white_matter : array_like of bool (...), optional
        Normal-appearing white matter, whose mean becomes 1.
    progress : Progress, optional
        Called after each block; may raise `Cancelled`.

    Raises
    ------
    InputError
        If shapes or times do not match, no bolus is found, or a mask is empty.
    """
    protocol, progress = protocol or DscProtocol(), progress or silent
    series = _Series.of(signal, times, protocol, mask)
    curves, bolus, t = series.curves, series.bolus, series.times
    chosen = leakage.reference_voxels(curves, t, bolus)
    average = leakage.aligned_average(curves[chosen], t)
    volume, plain, k2 = (np.zeros(len(curves)) for _ in range(3))
    for i in range(0, len(curves), _BLOCK):
        part = slice(i, i + _BLOCK)
        plain[part] = _area(curves[part], t, bolus, protocol)
        if protocol.leakage == "none":
            volume[part] = plain[part]
        else:
            fitted = leakage.correct(curves[part], average, t, bolus, protocol.leakage == "bidirectional")
            volume[part], k2[part] = _area(fitted.curves, t, bolus, protocol), fitted.k2
        progress(min((i + _BLOCK) / len(curves), 1.0), "Integrating the bolus")
    if white_matter is not None:
        inside = series.pick(white_matter, "white matter")
        for values, name in ((volume, "rCBV"), (plain, "uncorrected rCBV")):
            level = values[inside].mean()
            if not level > 0:
                raise InputError(
                    "white matter", f"a mean {name} of {level:.3g}", "a positive mean",
                    "Choose normal-appearing white matter inside the brain.",
                )  # fmt: skip
            values /= level
    return CbvMaps(
        series.spread(volume), series.spread(plain), series.spread(k2), series.spread(chosen), bolus
    )  # fmt: skip


def perfusion(
    signal: ArrayLike,
    times: ArrayLike,
    protocol: DscProtocol | None = None,
    mask: ArrayLike | None = None,
    arterial_input: ArrayLike | None = None,
    progress: Progress | None = None,
) -> PerfusionMaps:
    """Compute CBV, CBF, mean transit time and Tmax by deconvolution from an arterial input.

    Parameters
    ----------
    signal : array_like (..., n_t)
        Signals, or ΔR2* or concentrations if the protocol says so.
    times : array_like (n_t,)
        s, evenly spaced.
    protocol : DscProtocol, optional
        Echo time and oscillation limit.
    mask : array_like of bool (...), optional
        See `cbv_maps`.
    arterial_input : array_like (n_t,), optional
        Of the same quantity as `signal`; found automatically by default.
    progress : Progress, optional
        Called after each block; may raise `Cancelled`.

    Raises
    ------
    InputError
        As `cbv_maps`; also if times are uneven or the arterial input has no area.
    """
    protocol, progress = protocol or DscProtocol(), progress or silent
    given = None if arterial_input is None else np.asarray(arterial_input, float).ravel()
    series = _Series.of(signal, times, protocol, mask, given)
    t, curves, bolus = series.times, series.curves, series.bolus
    steps = np.diff(t)
    if np.ptp(steps) > 0.05 * np.median(steps):
        raise InputError(
            "DSC times", f"steps of {steps.min():g} to {steps.max():g} s", "even steps to deconvolve"
        )
    where = np.zeros(len(curves), bool)
    if given is None:
        found = arteries.find_arterial_input(curves, t, bolus)
        arterial, where[found.voxels] = found.curve, True
    elif protocol.quantity == "signal":
        arterial = bolus_curves.delta_r2star(given, protocol.echo_time, bolus)
    else:
        arterial = given
    area = bolus_curves.integrate(arterial[None], t)[0, -1]
    if not area > 0:
        raise InputError("arterial input", f"an area of {area:.3g}", "a bolus with a positive area")
    volume, flow, delay = (np.zeros(len(curves)) for _ in range(3))
    for i in range(0, len(curves), _BLOCK):
        part = slice(i, i + _BLOCK)
        volume[part] = np.maximum(bolus_curves.integrate(curves[part], t)[:, -1], 0) / area
        flow[part], delay[part] = arteries.deconvolve(curves[part], arterial, t, protocol.oscillation_limit)
        progress(min((i + _BLOCK) / len(curves), 1.0), "Deconvolving")
    transit = np.divide(volume, flow, out=np.zeros_like(flow), where=flow > 0)
    return PerfusionMaps(
        series.spread(100 * volume), series.spread(6000 * flow), series.spread(transit), series.spread(delay),
        arterial, series.spread(where),
    )  # fmt: skip


@dataclass(frozen=True)
class _Series:
    """ΔR2* curves (n, n_t) of the mask's voxels, and how to put values back in place."""

    curves: Array
    times: Array
    bolus: bolus_curves.Bolus
    inside: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        signal: ArrayLike,
        times: ArrayLike,
        protocol: DscProtocol,
        mask: ArrayLike | None,
        arterial: Array | None = None,
    ) -> _Series:
        signal = np.asarray(signal, float)
        if signal.ndim < 1 or not signal.size:
            raise InputError("DSC series", f"an array of shape {signal.shape}", "signals of shape (..., n_t)")
        t = bolus_curves.check_times(times, signal.shape[-1])
        if arterial is not None and arterial.size != t.size:
            raise InputError("arterial input", f"{arterial.size} values", f"one for each of {t.size} images")
        rises = protocol.quantity != "signal"
        finite = np.isfinite(signal).all(-1)
        early = np.where(finite, signal[..., : max(2, t.size // 20)].mean(-1), 0.0)
        if mask is not None:
            inside = np.asarray(mask, bool)
            if inside.shape != finite.shape:
                raise InputError("DSC mask", f"shape {inside.shape}", f"the series' shape {finite.shape}")
            inside = inside & finite & (rises | (early > 0))
        elif rises:
            inside = finite & signal.any(-1)
        else:
            inside = (
                finite & (early > 0.2 * np.percentile(early[early > 0], 98))
                if (early > 0).any()
                else finite & False
            )
        if not inside.any():
            raise InputError(
                "DSC mask", "no voxel with a signal", "the brain", "Check the mask and the series."
            )
        values = signal[inside]
        guide = values.mean(0) if arterial is None else arterial
        bolus = bolus_curves.find_bolus(guide, protocol.baseline, rises)
        if not rises:
            values = bolus_curves.delta_r2star(values, protocol.echo_time, bolus)
        return cls(values, t, bolus, inside)

    def spread(self, values: NDArray) -> NDArray:
        """Put values (n,) of the mask's voxels back in an array of the leading shape."""
        whole = np.zeros(self.inside.shape, values.dtype)
        whole[self.inside] = values
        return whole

    def pick(self, region: ArrayLike, name: str) -> NDArray[np.bool_]:
        """Give a region's part within the mask, (n,)."""
        region = np.asarray(region, bool)
        if region.shape != self.inside.shape:
            raise InputError(name, f"shape {region.shape}", f"the series' shape {self.inside.shape}")
        picked = region[self.inside]
        if not picked.any():
            raise InputError(name, "no voxel within the brain mask", "a region of the brain")
        return picked


def _area(curves: Array, times: Array, bolus: bolus_curves.Bolus, protocol: DscProtocol) -> Array:
    if protocol.integration == "gamma-variate":
        return bolus_curves.gamma_variate_area(curves, times, bolus)
    begin = bolus.stop - 1
    return bolus_curves.integrate(curves[:, begin:], times[begin:])[:, -1]
