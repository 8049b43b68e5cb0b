"""A smooth field on a grid: cubic B-splines, as one small matrix an axis, with their bending energy."""

from __future__ import annotations

import numpy as np

#: Distance of the coefficients, mm.
KNOTS = 12.0


class Spline:
    """Cubic B-spline on a grid, as three small matrices: one an axis.

    Parameters
    ----------
    shape : tuple of int
        Of the grid.
    spacing : ndarray
        (3,) mm.
    along : int
        Array axis of the displacement.
    knots : float
        Distance of the coefficients, mm; never less than a voxel and a half.
    """

    def __init__(self, shape: tuple[int, ...], spacing: np.ndarray, along: int, knots: float = KNOTS) -> None:
        self.steps = np.array(
            [(n - 1) * s / max(1, round((n - 1) * s / max(knots, 1.5 * s))) if n > 1 else s
             for n, s in zip(shape, spacing, strict=True)]
        )  # fmt: skip
        pairs = [_basis(n, s, h) for n, s, h in zip(shape, spacing, self.steps, strict=True)]
        self.values = [value for value, _ in pairs]
        self.slopes = [slope if a == along else value for a, (value, slope) in enumerate(pairs)]
        self.shape = tuple(m.shape[1] for m in self.values)

    def field(self, coefficients: np.ndarray) -> np.ndarray:
        """Give the displacement, mm."""
        return apply_along(self.values, coefficients)

    def slope(self, coefficients: np.ndarray) -> np.ndarray:
        """Give the displacement's derivative along its own axis (no unit)."""
        return apply_along(self.slopes, coefficients)

    def gathered(self, on_field: np.ndarray, on_slope: np.ndarray) -> np.ndarray:
        """Give the transpose of `field` and of `slope`, summed."""
        return apply_along([m.T for m in self.values], on_field) + apply_along(
            [m.T for m in self.slopes], on_slope
        )

    def roughness(self, coefficients: np.ndarray) -> np.ndarray:
        """Apply the matrix of the bending energy (times mm⁴): squared second differences of all kinds."""
        total = np.zeros_like(coefficients)
        for a in range(3):
            if self.shape[a] < 3:
                continue
            scale = 1.0 / self.steps[a] ** 2
            second = np.diff(coefficients, 2, axis=a) * scale**2
            total += _second_transposed(second, a)
            for b in range(a + 1, 3):
                if self.shape[b] < 3:
                    continue
                mixed = np.diff(np.diff(coefficients, axis=a), axis=b)
                mixed *= 2.0 * scale / self.steps[b] ** 2
                total += _first_transposed(_first_transposed(mixed, b), a)
        return total

    def stiffest(self) -> float:
        """Give about the diagonal of that matrix: its value in the middle."""
        used = [1 / h**2 for h, m in zip(self.steps, self.shape, strict=True) if m >= 3]
        mixed = sum(8 * a * b for i, a in enumerate(used) for b in used[i + 1 :])
        return sum(6 * a**2 for a in used) + mixed


def _basis(n: int, spacing: float, knots: float) -> tuple[np.ndarray, np.ndarray]:
    """Give values and derivatives (1/mm) of the cubic B-splines at the samples of one axis: (n, m) each."""
    if n == 1:
        return np.ones((1, 1)), np.zeros((1, 1))
    place = np.arange(n) * (spacing / knots)
    first = np.minimum(np.floor(place + 1e-9).astype(int), round((n - 1) * spacing / knots) - 1)
    t = place - first
    values = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    slopes = np.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2]) / 2 / knots
    m = int(first.max()) + 4
    matrices = np.zeros((2, n, m))
    for tap in range(4):
        matrices[0, np.arange(n), first + tap] = values[tap]
        matrices[1, np.arange(n), first + tap] = slopes[tap]
    return matrices[0], matrices[1]


def apply_along(matrices: list[np.ndarray], array: np.ndarray) -> np.ndarray:
    """Apply a matrix along each axis; the axis that shrinks most (or grows least) first."""
    for a in sorted(range(3), key=lambda a: matrices[a].shape[0] / matrices[a].shape[1]):
        array = np.moveaxis(np.tensordot(matrices[a], array, (1, a)), 0, a)
    return array


def _first_transposed(array: np.ndarray, axis: int) -> np.ndarray:
    pad = [(1, 1) if a == axis else (0, 0) for a in range(3)]
    return -np.diff(np.pad(array, pad), axis=axis)


def _second_transposed(array: np.ndarray, axis: int) -> np.ndarray:
    pad = [(2, 2) if a == axis else (0, 0) for a in range(3)]
    return np.diff(np.pad(array, pad), 2, axis=axis)
