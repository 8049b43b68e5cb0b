"""Least squares of the IVIM signal: all parameters at once, or in segments as much of the literature does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SynthCBVLib.physiology.ivim.model import SPLIT_B, Bounds, Scheme, signal

Array = NDArray[np.float64]
_DAMPING = 1e-3


def upper_fit(y: Array, scheme: Scheme, bounds: Bounds) -> tuple[Array, Array]:
    """Fit a mono-exponential to the b-values from 200 s/mm² on, log-linear and weighted.

    Parameters
    ----------
    y : ndarray (n_b, n)
        Merged signals.
    scheme : Scheme
        Their b-values and weights.
    bounds : Bounds
        Of D.

    Returns
    -------
    intercept, d : ndarray (n,)
        Signal at b = 0 without perfusion, and D (mm²/s) within its bounds.
    """
    upper = scheme.b >= SPLIT_B
    if upper.sum() < 2:
        upper = scheme.b >= scheme.b[-2]
    b, z = scheme.b[upper], y[upper]
    z = np.maximum(z, 0.02 * np.max(np.abs(y), axis=0) + 1e-300)
    weights = scheme.weights[upper, None] * z**2
    log_z = np.log(z)
    total = weights.sum(0)
    mean_b, mean_z = (weights * b[:, None]).sum(0) / total, (weights * log_z).sum(0) / total
    centred = b[:, None] - mean_b
    d = np.clip(-(weights * centred * (log_z - mean_z)).sum(0) / (weights * centred**2).sum(0), *bounds.d)
    return np.exp(mean_z + d * mean_b), d


def start(y: Array, scheme: Scheme, bounds: Bounds) -> Array:
    """Give a starting point (n, 4) of S0, D, f and D* from the segments."""
    intercept, d = upper_fit(y, scheme, bounds)
    s0 = np.maximum(y[0], 1e-3 * np.max(np.abs(y), axis=0) + 1e-300)
    f = np.clip(1 - intercept / s0, 0.02, 0.6)
    star = np.clip(np.maximum(0.012, 3 * d), *bounds.d_star)
    return np.stack((s0, d, np.clip(f, *bounds.f), star), -1)


def solve(
    y: Array,
    scheme: Scheme,
    bounds: Bounds,
    initial: Array,
    free: tuple[bool, bool, bool, bool] = (True, True, True, True),
    iterations: int = 100,
) -> tuple[Array, Array, Array]:
    """Minimise the weighted squares within the physical bounds (projected Levenberg-Marquardt).

    Parameters
    ----------
    y : ndarray (n_b, n)
        Merged signals.
    scheme : Scheme
        Their b-values and weights.
    bounds : Bounds
        Of D, f and D*.
    initial : ndarray (n, 4)
        S0, D, f, D*.
    free : tuple of bool
        Which of the four may move.
    iterations : int
        At most so many steps.

    Returns
    -------
    parameters : ndarray (n, 4)
        S0, D, f, D*.
    rss : ndarray (n,)
        Weighted residual sum of squares.
    information : ndarray (n, 4, 4)
        J'WJ in S0, D, f, D*.
    """
    data = y.T
    n = len(data)
    # Steps are taken in (S0/scale, 1000 D, f, ln D*), which are all of order one.
    scale = np.maximum(np.max(np.abs(data), axis=1), 1e-300)
    theta = np.stack((initial[:, 0] / scale, 1e3 * initial[:, 1], initial[:, 2], np.log(initial[:, 3])), -1)
    target = data / scale[:, None]
    free_mask = np.array(free)
    cost = _cost(theta, target, scheme)
    damping = np.full(n, _DAMPING)
    active = np.arange(n)
    for _ in range(iterations):
        if not active.size:
            break
        t = theta[active]
        residual, jacobian = _linearise(t, target[active], scheme)
        weighted = jacobian * scheme.weights[:, None]
        gradient = np.einsum("nbi,nb->ni", weighted, residual)
        normal = np.swapaxes(weighted, 1, 2) @ jacobian
        low, high = _box(t, bounds)
        held = ~free_mask | ((t <= low) & (gradient < 0)) | ((t >= high) & (gradient > 0))
        diagonal = np.einsum("nii->ni", normal)
        normal = np.where(held[:, :, None] | held[:, None], 0.0, normal)
        index = np.arange(4)
        normal[:, index, index] = np.where(held, 1.0, diagonal * (1 + damping[active, None]) + 1e-14)
        step = np.linalg.solve(normal, np.where(held, 0.0, gradient)[..., None])[..., 0]
        step = np.clip(step, -1.0, 1.0)
        trial = _project(t + step, bounds)
        trial_cost = _cost(trial, target[active], scheme)
        better = trial_cost <= cost[active]
        change = np.abs(trial - t).max(1)
        gain = cost[active] - trial_cost
        theta[active[better]] = trial[better]
        done = better & ((change < 1e-9) | (gain <= 1e-6 * cost[active]))
        cost[active[better]] = trial_cost[better]
        damping[active] = np.where(better, damping[active] * 0.2, damping[active] * 6)
        done |= damping[active] > 1e7
        active = active[~done]
    _, jacobian = _linearise(theta, target, scheme)
    units = np.stack((1 / scale, np.full(n, 1e3), np.ones(n), np.exp(-theta[:, 3])), -1)
    jacobian = jacobian * units[:, None] * scale[:, None, None]
    information = np.swapaxes(jacobian * scheme.weights[:, None], 1, 2) @ jacobian
    parameters = np.stack((theta[:, 0] * scale, 1e-3 * theta[:, 1], theta[:, 2], np.exp(theta[:, 3])), -1)
    return parameters, cost * scale**2, information


def nlls(y: Array, scheme: Scheme, bounds: Bounds) -> tuple[Array, Array, Array]:
    """Fit all four parameters at once, from the segments' estimate; see `solve` for what is returned."""
    return solve(y, scheme, bounds, start(y, scheme, bounds))


def segmented(y: Array, scheme: Scheme, bounds: Bounds) -> tuple[Array, Array, Array]:
    """Fit D to b >= 200 s/mm² first, then S0, f and D* with D held; see `solve` for what is returned."""
    return solve(y, scheme, bounds, start(y, scheme, bounds), (True, False, True, True))


def deviations(information: Array, noise_variance: Array) -> Array:
    """Give deviations (n, 4) from J'WJ (n, 4, 4) and the noise variance (n,), infinite where unknown."""
    scale = np.sqrt(np.einsum("nii->ni", information))
    known = scale > 0
    safe = np.where(known, scale, 1.0)
    normal = information / (safe[:, :, None] * safe[:, None])
    normal[:, np.arange(4), np.arange(4)] = 1 + 1e-12
    variance = np.einsum("nii->ni", np.linalg.inv(normal))
    sd = np.sqrt(np.maximum(variance, 0) * noise_variance[:, None]) / safe
    return np.where(known, sd, np.inf)


def _linearise(theta: Array, target: Array, scheme: Scheme) -> tuple[Array, Array]:
    b = scheme.b
    s0, d, f, log_star = (theta[:, i, None] for i in range(4))
    star = np.exp(log_star)
    slow, fast = np.exp(-1e-3 * b * d), np.exp(-b * star)
    shape = (1 - f) * slow + f * fast
    columns = (shape, -1e-3 * b * s0 * (1 - f) * slow, s0 * (fast - slow), -b * star * s0 * f * fast)
    return target - s0 * shape, np.stack(columns, -1)


def _cost(theta: Array, target: Array, scheme: Scheme) -> Array:
    predicted = signal(scheme.b, theta[:, 0], 1e-3 * theta[:, 1], theta[:, 2], np.exp(theta[:, 3]))
    return (target - predicted) ** 2 @ scheme.weights


def _box(theta: Array, bounds: Bounds) -> tuple[Array, Array]:
    low, high = np.empty_like(theta), np.empty_like(theta)
    low[:, 0], high[:, 0] = 1e-6, 1e3
    low[:, 1], high[:, 1] = 1e3 * bounds.d[0], 1e3 * bounds.d[1]
    low[:, 2], high[:, 2] = bounds.f
    low[:, 3] = np.log(np.clip(1e-3 * theta[:, 1], *bounds.d_star))
    high[:, 3] = np.log(bounds.d_star[1])
    return low, high


def _project(theta: Array, bounds: Bounds) -> Array:
    theta = theta.copy()
    theta[:, 1] = np.clip(theta[:, 1], 1e3 * bounds.d[0], 1e3 * bounds.d[1])
    return np.clip(theta, *_box(theta, bounds))
