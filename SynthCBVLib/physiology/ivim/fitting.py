"""Fit IVIM maps to signals of any shape, in blocks on all cores, with bad voxels flagged."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology.ivim import bayes, leastsquares
from SynthCBVLib.physiology.ivim.model import Bounds, Scheme
from SynthCBVLib.progress import Progress, silent

Array = NDArray[np.float64]
#: How `fit` fits.
Method = Literal["bayes", "segmented", "nlls"]

_BLOCK = 512
_NODES = 20
#: Weight of the whole image's noise level against a voxel's own residual, in degrees of freedom.
_SHARED_FREEDOM = 20.0
_SAMPLE = 1024
#: Signal-to-noise ratios from which on the grid of D* alone is too coarse to judge the residuals: for the
#: image's noise (where a large f makes the distance to the nearest node large), and for one voxel's.
_COARSE_SNR = 40.0
_SHARP_SNR = 150.0
#: Least noise variance of a signal relative to its largest value: below lies rounding.
_LEAST_VARIANCE = 1e-10
#: Least signal relative to a voxel's largest; only subtraction gives negative ones.
_LOWEST = -10.0


class Flag(IntFlag):
    """What is wrong with a voxel; 0 is a sound fit."""

    NOT_FINITE = 1
    NO_SIGNAL = 2
    BACKGROUND = 4
    AT_BOUND = 8


@dataclass(frozen=True)
class IvimMaps:
    """IVIM parameters of each voxel, of the signals' leading shape.

    Attributes
    ----------
    s0 : ndarray
        Signal at b = 0, in the signals' unit.
    d, d_star : ndarray
        Diffusion and pseudo-diffusion coefficient, mm²/s.
    f : ndarray
        Perfusion fraction, 0 to 1.
    s0_sd, d_sd, f_sd, d_star_sd : ndarray
        Their posterior standard deviations (of the estimate for the least-squares methods).
    flag : ndarray of uint8
        `Flag` bits. Voxels that are not finite, without signal or background are 0 in all maps.
    noise_sd : float
        Noise of a single image, given or estimated, in the signals' unit.
    """

    s0: Array
    d: Array
    f: Array
    d_star: Array
    s0_sd: Array
    d_sd: Array
    f_sd: Array
    d_star_sd: Array
    flag: NDArray[np.uint8]
    noise_sd: float

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Voxels that were fitted."""
        return (self.flag & np.uint8(Flag.NOT_FINITE | Flag.NO_SIGNAL | Flag.BACKGROUND)) == 0


def fit(
    signals: ArrayLike,
    b_values: ArrayLike,
    averages: ArrayLike | None = None,
    method: Method = "bayes",
    progress: Progress | None = None,
    *,
    noise_sd: float | None = None,
    magnitude: bool = True,
    prior: bayes.Prior | None = None,
    bounds: Bounds | None = None,
    workers: int | None = None,
) -> IvimMaps:
    """Fit S0, D, f and D* to diffusion-weighted signals.

    ``"bayes"`` (default) gives posterior means: no local minima, and the least mean squared error under a
    broad prior (`bayes.Prior`). Voxels whose data leave no room for the prior are finished by least squares.
    ``"nlls"`` is bounded least squares of all four parameters, ``"segmented"`` fits D from b >= 200 s/mm²
    first; both are for comparison with the literature.

    Parameters
    ----------
    signals : array_like (..., n_b)
        One signal a b-value (or repeat), any unit.
    b_values : array_like (n_b,)
        s/mm², in any order; repeats are averaged.
    averages : array_like (n_b,), optional
        How many images went into each signal; 1 by default.
    method : {"bayes", "segmented", "nlls"}
        See above.
    progress : Progress, optional
        Called after each block; may raise `Cancelled`.
    noise_sd : float, optional
        Noise of a single image in the signals' unit; estimated from the residuals by default.
    magnitude : bool
        Whether signals are magnitudes, whose Rician floor is then removed (to first order in the noise).
    prior : bayes.Prior, optional
        Prior of D* and f of the Bayesian fit.
    bounds : Bounds, optional
        Physical bounds of D, f and D*, of all methods.
    workers : int, optional
        Threads; the number of cores by default.

    Returns
    -------
    IvimMaps
        Maps of shape (...), never NaN.

    Raises
    ------
    InputError
        If there are fewer than 4 different b-values, none below or none above 200 s/mm², lengths do not
        match, or no voxel holds a signal.
    """
    data = np.asarray(signals)
    if data.ndim < 1 or data.size == 0:
        raise InputError("signals", f"an array of shape {data.shape}", "signals of shape (..., n_b)")
    if np.iscomplexobj(data):
        raise InputError("signals", "complex numbers", "magnitudes", "Take the absolute value first.")
    if method not in ("bayes", "segmented", "nlls"):
        raise InputError("method", repr(method), "bayes, segmented or nlls")
    scheme = Scheme.of(b_values, averages, data.shape[-1])
    scheme.require(4, split=True)
    bounds = bounds or Bounds()
    shape, flat = data.shape[:-1], data.reshape(-1, data.shape[-1])
    flag, lowest = _screen(flat, scheme)
    sound = np.flatnonzero(flag == 0)
    results = np.zeros((8, len(flat)))
    if sound.size:
        noise = _noise(flat, scheme, bounds, sound, lowest) if noise_sd is None else float(noise_sd)
        if not (np.isfinite(noise) and noise >= 0):
            raise InputError("noise_sd", f"{noise_sd}", "a finite number >= 0")
        dark = lowest[sound] < 3 * noise
        flag[sound[dark]] |= np.uint8(Flag.BACKGROUND)
        sound = sound[~dark]
    else:
        noise = 0.0
    task = _Task(scheme, method, bounds, noise, noise_sd is not None, magnitude, prior or bayes.Prior())
    progress = progress or silent
    progress(0.0, "Fitting IVIM")
    blocks = [sound[i : i + _BLOCK] for i in range(0, sound.size, _BLOCK)]
    for i, (where, values) in enumerate(_map(task, flat, blocks, workers or os.cpu_count() or 1)):
        results[:, where] = values[:8]
        flag[where] |= np.where(values[8] > 0, np.uint8(Flag.AT_BOUND), np.uint8(0))
        progress((i + 1) / len(blocks), "Fitting IVIM")
    maps = [values.reshape(shape) for values in results]
    return IvimMaps(*maps, flag=flag.reshape(shape), noise_sd=noise)


@dataclass(frozen=True)
class _Task:
    """What the blocks of one fit share."""

    scheme: Scheme
    method: str
    bounds: Bounds
    noise_sd: float
    noise_known: bool
    magnitude: bool
    prior: bayes.Prior

    def __call__(self, block: NDArray) -> Array:
        """Fit signals (n, n_b): rows S0, D, f, D*, their standard deviations, and whether at a bound."""
        y = (block.astype(float) @ self.scheme.members).T.copy()
        # Each voxel is fitted relative to its largest signal, whatever the unit.
        top = y.max(0)
        y = np.maximum(y / top, _LOWEST)
        noise = (self.noise_sd / top) ** 2
        if self.magnitude:
            y = np.sqrt(np.maximum(y * np.abs(y) - noise, 0.0))
        if self.method == "bayes":
            means, sds = self._bayes(y, noise)
        else:
            solver = leastsquares.nlls if self.method == "nlls" else leastsquares.segmented
            means, rss, information = solver(y, self.scheme, self.bounds)
            sds = _finite(leastsquares.deviations(information, self._variance(rss, noise))).T
            means = means.T
        _, d, f, d_star = means
        edges = self.bounds
        at_bound = (d <= edges.d[0]) | (d >= edges.d[1]) | (f <= edges.f[0]) | (f >= edges.f[1])
        at_bound |= (d_star <= np.maximum(d, edges.d_star[0])) | (d_star >= edges.d_star[1])
        means[0], sds[0] = means[0] * top, sds[0] * top
        return np.concatenate((means, sds, at_bound[None]))

    def _variance(self, rss: Array, noise: Array) -> Array:
        """Weigh the whole image's noise variance against each voxel's residual."""
        if not self.noise_known:
            own = max(self.scheme.b.size - 4, 0)
            noise = (_SHARED_FREEDOM * noise + rss) / (_SHARED_FREEDOM + own)
        return np.maximum(noise, _LEAST_VARIANCE)

    def _bayes(self, y: Array, noise: Array) -> tuple[Array, Array]:
        nodes = bayes.d_star_nodes(_NODES, self.bounds)
        fitted = bayes.conditional(y, self.scheme, nodes, self.bounds)
        least = bayes.least_rss(fitted, nodes, self.bounds)
        # At high signal-to-noise the distance of the data to the nearest node would pass for noise.
        clean = np.flatnonzero(noise < _SHARP_SNR**-2)
        if clean.size:
            rss = _least_squares(y, self.scheme, self.bounds, fitted, nodes, clean)[1]
            least[clean] = np.minimum(least[clean], rss)
        variance = self._variance(least, noise)
        posterior = bayes.integrate(variance, self.prior, self.bounds, nodes, fitted)
        means, sds = posterior.means, posterior.sds
        # Where D* is known better than the grid's step, the posterior is Gaussian: least squares finishes.
        sharp = np.flatnonzero(posterior.log_d_star_sd < 0.5 * np.log(nodes[1] / nodes[0]))
        if sharp.size:
            found, _, information = _least_squares(y, self.scheme, self.bounds, fitted, nodes, sharp)
            deviation = leastsquares.deviations(information, variance[sharp])
            # Without perfusion D* and f, and without tissue D, stay what the posterior says of them.
            better = (found[:, 2] > self.bounds.f[0]) & (found[:, 1] < 0.9 * found[:, 3])
            better = (better[:, None] & np.isfinite(deviation)).T
            means[:, sharp] = np.where(better, found.T, means[:, sharp])
            sds[:, sharp] = np.where(better, deviation.T, sds[:, sharp])
        return means, sds


def _least_squares(
    y: Array,
    scheme: Scheme,
    bounds: Bounds,
    fitted: bayes.Conditional,
    nodes: Array,
    where: NDArray[np.intp],
) -> tuple[Array, Array, Array]:
    """Fit the voxels `where` by least squares, each from its best node."""
    best = bayes.best_node(fitted, nodes, bounds)[where]
    f = np.clip(fitted.f[best, where], *bounds.f)
    start = np.stack((fitted.s0[best, where], fitted.d[best, where], f, nodes[best]), -1)
    return leastsquares.solve(y[:, where], scheme, bounds, start)


def _screen(flat: NDArray, scheme: Scheme) -> tuple[NDArray[np.uint8], Array]:
    """Flag voxels (n, n_b) that hold no usable signal and give the signal at the lowest b-value."""
    flag = np.zeros(len(flat), np.uint8)
    finite = np.isfinite(flat).all(1)
    flag[~finite] |= np.uint8(Flag.NOT_FINITE)
    with np.errstate(invalid="ignore", over="ignore"):
        lowest = flat[:, scheme.members[:, 0] > 0].mean(1, dtype=float)
        flag[finite & ~((lowest > 0) & (flat > 0).any(1))] |= np.uint8(Flag.NO_SIGNAL)
    return flag, lowest


def _noise(flat: NDArray, scheme: Scheme, bounds: Bounds, sound: NDArray[np.intp], lowest: Array) -> float:
    """Estimate the noise of a single image from the residuals of bright voxels."""
    level = lowest[sound]
    tissue = sound[level > 0.2 * np.percentile(level, 98)]
    tissue = tissue[:: max(1, tissue.size // _SAMPLE)]
    freedom = scheme.b.size - 4
    if freedom < 1:
        return 0.02 * float(np.median(lowest[tissue])) * np.sqrt(scheme.weights[0])
    nodes = bayes.d_star_nodes(_NODES, bounds)
    half = 2 * gammaincinv(freedom / 2, 0.5)
    found = []
    for i in range(0, tissue.size, _BLOCK):
        y = (flat[tissue[i : i + _BLOCK]].astype(float) @ scheme.members).T
        top = y.max(0)
        y = np.maximum(y / top, _LOWEST)
        fitted = bayes.conditional(y, scheme, nodes, bounds)
        rss = bayes.least_rss(fitted, nodes, bounds)
        if np.median(rss) < half * _COARSE_SNR**-2:
            rss = np.minimum(rss, _least_squares(y, scheme, bounds, fitted, nodes, np.arange(rss.size))[1])
        found.append(np.sqrt(rss / half) * top)
    return float(np.median(np.concatenate(found)))


def _map(task: _Task, flat: NDArray, blocks: list[NDArray[np.intp]], workers: int):
    """Run the blocks on threads (numpy leaves the interpreter free) and yield them as they were given."""
    if workers <= 1 or len(blocks) <= 1:
        for where in blocks:
            yield where, task(flat[where])
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            window = [pool.submit(task, flat[where]) for where in blocks[: 2 * workers]]
            for i, where in enumerate(blocks):
                values = window[i].result()
                window[i] = None  # type: ignore[call-overload]
                if i + 2 * workers < len(blocks):
                    window.append(pool.submit(task, flat[blocks[i + 2 * workers]]))
                yield where, values
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finite(sd: Array) -> Array:
    return np.where(np.isfinite(sd), sd, 0.0)
