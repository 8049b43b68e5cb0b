"""The intravoxel incoherent motion (IVIM) signal, its acquisition scheme and its Cramer-Rao bound.

``S(b) = S0 ((1 - f) exp(-b D) + f exp(-b D*))`` (Le Bihan et al., Radiology 1988;168:497), with b in s/mm²
and D, D* in mm²/s. D* is the pseudo-diffusion coefficient itself, not added to D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SynthCBVLib.errors import InputError

#: b-value that separates the perfusion-sensitive from the diffusion part, s/mm².
SPLIT_B = 200.0


def signal(b_values: ArrayLike, s0: ArrayLike, d: ArrayLike, f: ArrayLike, d_star: ArrayLike) -> NDArray:
    """Compute the noise-free IVIM signal.

    Parameters
    ----------
    b_values : array_like (n_b,)
        s/mm².
    s0, d, f, d_star : array_like (...)
        Signal at b = 0, diffusion coefficient (mm²/s), perfusion fraction (0 to 1) and pseudo-diffusion
        coefficient (mm²/s), of one common or broadcastable shape.

    Returns
    -------
    ndarray (..., n_b)
        The signal in the unit of `s0`.
    """
    b = np.asarray(b_values, float)
    s0, d, f, d_star = (np.asarray(x, float)[..., None] for x in (s0, d, f, d_star))
    return s0 * ((1 - f) * np.exp(-b * d) + f * np.exp(-b * d_star))


@dataclass(frozen=True)
class Bounds:
    """Where the parameters may lie; D* is also at least D.

    Parameters
    ----------
    d, d_star : tuple of float
        Least and largest value, mm²/s.
    f : tuple of float
        Least and largest perfusion fraction.
    """

    d: tuple[float, float] = (1e-4, 4e-3)
    f: tuple[float, float] = (0.0, 1.0)
    d_star: tuple[float, float] = (1e-4, 0.2)

    def __post_init__(self) -> None:
        for name, (low, high), least, most in (
            ("D", self.d, 0.0, 0.1), ("f", self.f, -1e-12, 1.0), ("D*", self.d_star, 0.0, 10.0),
        ):  # fmt: skip
            if not least < low < high <= most:
                raise InputError(
                    f"IVIM bounds of {name}", f"{low:g} to {high:g}", "an interval within the physical ones",
                    "D and D* are in mm²/s (tissue: about .001 and .01).",
                )  # fmt: skip


@dataclass(frozen=True)
class Scheme:
    """A diffusion acquisition with its repeats merged.

    Attributes
    ----------
    b : ndarray (n_unique,)
        Unique b-values, ascending, s/mm².
    weights : ndarray (n_unique,)
        How many single images each merged signal averages; its noise variance is the single one over this.
    members : ndarray (n_b, n_unique)
        Matrix that merges signals: ``signals @ members``.
    """

    b: NDArray[np.float64]
    weights: NDArray[np.float64]
    members: NDArray[np.float64]

    @classmethod
    def of(cls, b_values: ArrayLike, averages: ArrayLike | None, n_signals: int) -> Scheme:
        """Check b-values and averages and merge what repeats.

        Parameters
        ----------
        b_values : array_like (n_b,)
            s/mm², in any order, repeats allowed.
        averages : array_like (n_b,), optional
            How many images went into each signal; 1 by default.
        n_signals : int
            Length of the signals' last axis.

        Raises
        ------
        InputError
            If lengths differ, or values are negative or not finite.
        """
        b = np.asarray(b_values, float).ravel()
        if b.size != n_signals:
            raise InputError("b-values", f"{b.size} b-values for {n_signals} signals", "one b-value a signal")
        if not np.all(np.isfinite(b)) or b.min(initial=0) < 0:
            raise InputError("b-values", f"{b.tolist()}", "finite b-values >= 0 in s/mm²")
        counts = np.ones_like(b) if averages is None else np.asarray(averages, float).ravel()
        if counts.size != b.size:
            raise InputError("averages", f"{counts.size} values for {b.size} b-values", "one count a b-value")
        if not np.all(np.isfinite(counts) & (counts > 0)):
            raise InputError("averages", f"{counts.tolist()}", "positive counts")
        if b.max(initial=0) < 20:
            raise InputError(
                "b-values", f"a largest b-value of {b.max(initial=0):g}", "b-values in s/mm²",
                "Multiply by 1000 if they are in ms/µm².",
            )  # fmt: skip
        unique, inverse = np.unique(np.round(b, 1), return_inverse=True)
        members = np.zeros((b.size, unique.size))
        members[np.arange(b.size), inverse] = counts
        weights = members.sum(0)
        return cls(unique, weights, members / weights)

    def require(self, n_unique: int, split: bool) -> None:
        """Refuse a scheme that cannot determine the model.

        Parameters
        ----------
        n_unique : int
            Least number of different b-values.
        split : bool
            Whether at least one b-value below and one above 200 s/mm² are needed.
        """
        seen = f"{self.b.size} different b-values ({', '.join(f'{b:g}' for b in self.b)} s/mm²)"
        if self.b.size < n_unique:
            raise InputError("b-values", seen, f"at least {n_unique} different ones")
        if split and not ((self.b < SPLIT_B).any() and (self.b > SPLIT_B).any()):
            raise InputError(
                "b-values", seen, f"at least one below and one above {SPLIT_B:g} s/mm²",
                "Perfusion and diffusion cannot be told apart otherwise.",
            )  # fmt: skip


class CramerRao(NamedTuple):
    """Least standard deviations that an unbiased estimate can have, in the parameters' own units."""

    s0: NDArray
    d: NDArray
    f: NDArray
    d_star: NDArray


def cramer_rao(
    b_values: ArrayLike,
    s0: ArrayLike,
    d: ArrayLike,
    f: ArrayLike,
    d_star: ArrayLike,
    noise_sd: ArrayLike,
    averages: ArrayLike | None = None,
) -> CramerRao:
    """Compute the Cramer-Rao bound of the IVIM parameters under Gaussian noise.

    Parameters
    ----------
    b_values : array_like (n_b,)
        s/mm², repeats allowed.
    s0, d, f, d_star : array_like (...)
        True parameters, D and D* in mm²/s.
    noise_sd : array_like (...)
        Standard deviation of a single image's noise, in the unit of `s0`.
    averages : array_like (n_b,), optional
        How many images went into each signal.

    Returns
    -------
    CramerRao
        Standard deviations (...); infinite where a parameter cannot be determined (D* at f = 0).
    """
    b = np.asarray(b_values, float)
    counts = np.ones_like(b) if averages is None else np.asarray(averages, float)
    shape = np.broadcast_shapes(*(np.shape(x) for x in (s0, d, f, d_star, noise_sd)))
    s0, d, f, d_star, noise = (
        np.broadcast_to(np.asarray(x, float), shape).reshape(-1, 1) for x in (s0, d, f, d_star, noise_sd)
    )
    slow, fast = np.exp(-b * d), np.exp(-b * d_star)
    # Derivatives by relative parameters keep the information matrix well scaled.
    columns = ((1 - f) * slow + f * fast, -b * d * (1 - f) * slow, fast - slow, -b * d_star * f * fast)
    jacobian = s0[..., None] * np.stack(columns, -1)
    information = np.einsum("vbi,b,vbj->vij", jacobian, counts, jacobian) / noise[..., None] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(np.einsum("vii->vi", information))
        known = scale > 0
        scale = np.where(known, scale, 1.0)
        variance = np.einsum(
            "vii->vi", np.linalg.pinv(information / (scale[:, :, None] * scale[:, None]), 1e-13)
        )
        sd = np.where(known, np.sqrt(variance) / scale, np.inf)
    sd = sd * np.stack([s0[:, 0], d[:, 0], np.ones(len(d)), d_star[:, 0]], -1)
    return CramerRao(*(sd[:, i].reshape(shape) for i in range(4)))
