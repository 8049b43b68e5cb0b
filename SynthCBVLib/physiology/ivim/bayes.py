"""Posterior mean of the IVIM parameters: exact over D*, Gaussian in the rest, fast in blocks.

Given D*, the signal is linear in its two amplitudes and nearly linear in D, so that a Gauss-Newton step
finds their Gaussian posterior; the perfusion fraction is truncated to 0-1 in closed form. D* itself, whose
posterior is wide and skewed at clinical noise, is integrated numerically over a grid of logarithmic steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SynthCBVLib.physiology.ivim.leastsquares import upper_fit
from SynthCBVLib.physiology.ivim.model import Bounds, Scheme
from SynthCBVLib.physiology.truncated import truncated_normal

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """What is assumed before the data are seen; D and S0 are flat within their bounds.

    Parameters
    ----------
    d_star_median : float
        Median of the log-normal prior of D*, mm²/s.
    d_star_log_sd : float
        Standard deviation of ln D*; the default puts 95 % within .004-.06 mm²/s.
    f_scale : float
        Mean of the exponential prior of the perfusion fraction (before truncation at 1).
    taper : float
        The prior falls off as (1 - D/D*) to this power, since f has no meaning where D* equals D.
    """

    d_star_median: float = 0.015
    d_star_log_sd: float = 0.7
    f_scale: float = 0.15
    taper: float = 2.0


@dataclass(frozen=True)
class Posterior:
    """Posterior means and standard deviations of a block of voxels, each (n,)."""

    means: Array
    sds: Array
    log_d_star_sd: Array


def d_star_nodes(n: int, bounds: Bounds) -> Array:
    """Give `n` logarithmic steps of D* over its bounds (from .001 on), mm²/s."""
    return np.geomspace(max(bounds.d_star[0], min(1e-3, 0.1 * bounds.d_star[1])), bounds.d_star[1], n)


@dataclass(frozen=True)
class Conditional:
    """Gaussian posterior given D* for unit noise, each (n_nodes, n).

    `rss` is the weighted residual sum of squares, `log_volume` the logarithm of the posterior's volume; the
    rest are estimates, variances and covariances of S0, D and f.
    """

    s0: Array
    d: Array
    f: Array
    var_s0: Array
    var_d: Array
    var_f: Array
    cov_s0_f: Array
    cov_d_f: Array
    rss: Array
    log_volume: Array


def conditional(y: Array, scheme: Scheme, nodes: Array, bounds: Bounds, iterations: int = 2) -> Conditional:
    """Fit S0, D and f for each D* node.

    Parameters
    ----------
    y : ndarray (n_b, n)
        Merged signals.
    scheme : Scheme
        Their b-values and weights.
    nodes : ndarray (n_nodes,)
        D*, mm²/s.
    bounds : Bounds
        Of D.
    iterations : int
        Gauss-Newton steps in D.
    """
    b, w = scheme.b, scheme.weights
    wb = np.stack((w, w * b))
    wbb = np.stack((w, w * b, w * b * b))
    fast = np.exp(-b[:, None] * nodes)
    g22 = (w @ fast**2)[:, None]
    y2 = (fast * w[:, None]).T @ y
    yy = w @ y**2
    d = np.repeat(upper_fit(y, scheme, bounds)[1][None], nodes.size, 0)
    # Two arrays serve all steps: fresh ones of this size would be mapped and cleared each time.
    slow, work = (np.empty((nodes.size, b.size, y.shape[1])) for _ in range(2))
    fast_columns = np.ascontiguousarray(fast.T)[:, :, None]
    for step in range(iterations + 1):
        np.exp(np.multiply(-b[:, None], d[:, None, :], out=slow), out=slow)
        # One small product a node: BLAS then stays on this thread, and blocks run beside each other.
        g11, g1b, gbb = np.moveaxis(wbb @ np.multiply(slow, slow, out=work), 1, 0)
        g12, g2b = np.moveaxis(wb @ np.multiply(slow, fast_columns, out=work), 1, 0)
        y1, yb = np.moveaxis(wb @ np.multiply(slow, y, out=work), 1, 0)
        det = np.maximum(g11 * g22 - g12 * g12, 1e-9 * g11 * g22)
        a1, a2 = (y1 * g22 - y2 * g12) / det, (y2 * g11 - y1 * g12) / det
        a1 = np.maximum(a1, 1e-3 * np.abs(y1) / g11 + 1e-9 * np.sqrt(yy))
        # Change of the amplitudes with D, and what is left of D's derivative once they have followed.
        h1, h2 = (g1b * g22 - g2b * g12) / det, (g2b * g11 - g1b * g12) / det
        q = np.maximum(gbb - g1b * h1 - g2b * h2, 1e-9 * gbb)
        if step < iterations:
            gradient = -(yb - a1 * g1b - a2 * g2b) / (a1 * q)
            d = np.clip(d + np.clip(gradient, -0.5 * d, d), *bounds.d)
    rss = np.maximum(yy - 2 * (a1 * y1 + a2 * y2) + a1 * (a1 * g11 + 2 * a2 * g12) + a2 * a2 * g22, 0.0)
    var_d = 1 / (a1 * a1 * q)
    h1, h2 = a1 * h1, a1 * h2
    var_1, var_2 = g22 / det + h1 * h1 * var_d, g11 / det + h2 * h2 * var_d
    cov_12 = -g12 / det + h1 * h2 * var_d
    s0 = a1 + a2
    s0 = np.where(s0 > 0, s0, y1 / g11)
    f = a2 / s0
    cov_s0_1, cov_s0_2 = var_1 + cov_12, var_2 + cov_12
    return Conditional(
        s0=s0, d=d, f=f,
        var_s0=cov_s0_1 + cov_s0_2,
        var_d=var_d,
        var_f=np.maximum((f * f * var_1 - 2 * f * (1 - f) * cov_12 + (1 - f) ** 2 * var_2) / s0**2, 1e-30),
        cov_s0_f=(-f * cov_s0_1 + (1 - f) * cov_s0_2) / s0,
        cov_d_f=(-f * h1 + (1 - f) * h2) * var_d / s0,
        rss=rss,
        log_volume=-0.5 * np.log(det * a1 * a1 * q),
    )  # fmt: skip


def least_rss(fitted: Conditional, nodes: Array, bounds: Bounds) -> Array:
    """Give the least weighted residual sum of squares (n,) over D* with f kept within its bounds."""
    return _bounded_rss(fitted, nodes, bounds).min(0)


def best_node(fitted: Conditional, nodes: Array, bounds: Bounds) -> NDArray[np.intp]:
    """Give the node (n,) at which `least_rss` is reached."""
    return _bounded_rss(fitted, nodes, bounds).argmin(0)


def _bounded_rss(fitted: Conditional, nodes: Array, bounds: Bounds) -> Array:
    outside = fitted.f - np.clip(fitted.f, *bounds.f)
    rss = fitted.rss + outside**2 / fitted.var_f
    return np.where(fitted.d < nodes[:, None], rss, np.inf)


def integrate(
    noise_variance: Array, prior: Prior, bounds: Bounds, nodes: Array, fitted: Conditional
) -> Posterior:
    """Integrate over D* and give the posterior's moments.

    Parameters
    ----------
    noise_variance : ndarray (n,)
        Of a single image.
    prior : Prior
        Of D* and f.
    bounds : Bounds
        Of D and f.
    nodes : ndarray (n_nodes,)
        D*, mm²/s, evenly spaced in the logarithm.
    fitted : Conditional
        From `conditional` at the same nodes.
    """
    c = fitted
    var_f = c.var_f * noise_variance
    shifted = c.f - var_f / prior.f_scale
    log_mass_f, mean_f, spread_f = truncated_normal(shifted, np.sqrt(var_f), *bounds.f)
    # D and S0 follow f along their regression on it.
    shift, lost = mean_f - c.f, spread_f - var_f
    slope_d, slope_s0 = c.cov_d_f / c.var_f, c.cov_s0_f / c.var_f
    mean_s0, spread_s0 = c.s0 + slope_s0 * shift, c.var_s0 * noise_variance + slope_s0**2 * lost
    spread_d = np.maximum(c.var_d * noise_variance + slope_d**2 * lost, 1e-24)
    mean_d, sd_d = c.d + slope_d * shift, np.sqrt(spread_d)
    edge = np.minimum(mean_d - bounds.d[0], bounds.d[1] - mean_d) < 5 * sd_d
    if edge.any():
        _, mean_d[edge], spread_d[edge] = truncated_normal(mean_d[edge], sd_d[edge], *bounds.d)
    log_node = np.log(nodes)[:, None]
    # Towards D* = D the two compartments become one and f loses its meaning: the prior fades out there.
    apart = 1 - c.d / nodes[:, None]
    log_p = (
        -0.5 * c.rss / noise_variance
        + c.log_volume
        + (0.5 * var_f / prior.f_scale - c.f) / prior.f_scale
        + log_mass_f
        - 0.5 * ((log_node - np.log(prior.d_star_median)) / prior.d_star_log_sd) ** 2
        + prior.taper * np.log(np.maximum(apart, 1e-3))
    )
    # Kept finite, so that a voxel with D at the top of all nodes still has a posterior.
    log_p = np.where(apart > 0, log_p, -1e30)
    p = np.exp(log_p - log_p.max(0))
    p /= p.sum(0)
    means, sds = [], []
    for mean, spread in ((mean_s0, spread_s0), (mean_d, spread_d), (mean_f, spread_f), (nodes[:, None], 0.0)):
        total = (p * mean).sum(0)
        means.append(total)
        sds.append(np.sqrt(np.maximum((p * (spread + (mean - total) ** 2)).sum(0), 0)))
    mean_log = (p * log_node).sum(0)
    log_sd = np.sqrt((p * (log_node - mean_log) ** 2).sum(0))
    return Posterior(np.stack(means), np.stack(sds), log_sd)
