"""Checks at the door of the statistics: numbers, pairs, labels of two classes, levels of confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from SynthCBVLib.errors import InputError

Values = Sequence[float] | npt.NDArray
Labels = Sequence[Any] | npt.NDArray

_REAL = (int, float, np.bool_, np.integer, np.floating)
_SHOWN = 40  # characters of a value repeated in a message
#: Values that differ by less than this, beside their own size, differ by rounding of the last digits.
_ROUNDING = 16 * np.finfo(float).eps


def numbers(values: object, name: str, *, ndim: int = 1) -> np.ndarray:
    """Give values as an array of float64, missing ones (None, NaN, masked) as NaN.

    Text is refused even where it spells a number: a column read as text has usually gone wrong elsewhere.

    Raises
    ------
    InputError
        If a value is no real number, or the array does not have `ndim` axes.
    """
    if isinstance(values, np.ma.MaskedArray):
        values = values.filled(np.nan) if values.dtype.kind == "f" else values.tolist()
    try:
        array = np.asarray(values) if isinstance(values, np.ndarray) else np.asarray(values, dtype=object)
        if array.dtype.kind == "O":
            if not all(issubclass(kind, _REAL) for kind in set(map(type, array.ravel()))):
                array = np.array([_number(v) for v in array.ravel()], dtype=np.float64).reshape(array.shape)
            array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(name, "values that are no numbers", "numbers") from None
    if array.dtype.kind not in "biuf":
        raise InputError(name, f"values of type {array.dtype.name[:_SHOWN]}", "numbers")
    if array.ndim != ndim:
        axes = "one axis" if ndim == 1 else f"{ndim} axes"
        raise InputError(name, f"shape {array.shape}", f"an array of {axes}")
    return array.astype(np.float64)


def finite(
    values: object, name: str, at_least: int, *, ndim: int = 1, largest: float = math.inf
) -> np.ndarray:
    """Give values as an array of finite float64 with at least `at_least` entries along the first axis.

    Raises
    ------
    InputError
        If a value is no number, missing, infinite or beyond `largest`, or there are too few.
    """
    array = numbers(values, name, ndim=ndim)
    if array.shape[0] < at_least or array.size == 0:
        raise InputError(name, f"shape {array.shape}", f"at least {at_least} values")
    n_bad = int((~np.isfinite(array)).sum())
    if n_bad:
        raise InputError(
            name,
            f"{n_bad} of {array.size} values missing or not finite",
            "finite values",
            "Leave out the cases without a value.",
        )
    if np.abs(array).max() > largest:
        raise InputError(name, f"a value of {np.abs(array).max():.3g}", f"values below {largest:g}")
    return array


def constant(values: np.ndarray, scale: float | None = None) -> bool:
    """Tell whether values differ by no more than rounding.

    Parameters
    ----------
    values : ndarray (n,)
    scale : float, optional
        Size of the numbers that the values were computed from; their own by default.
    """
    size = float(np.abs(values).max()) if scale is None else scale
    return float(np.ptp(values)) <= max(_ROUNDING * size, 1e-150)


def varying(values: np.ndarray, name: str, *, beyond_rounding: bool = False) -> None:
    """Refuse values that are all the same.

    Parameters
    ----------
    values : ndarray (n,)
    name : str
        How messages call them.
    beyond_rounding : bool
        Refuse those that differ by rounding alone as well; only statistics of ranks can do with them.

    Raises
    ------
    InputError
        If they are.
    """
    if constant(values) if beyond_rounding else values.min() == values.max():
        raise InputError(name, f"the same value {values.flat[0]:.6g} throughout", "values that vary")


def same_length(
    first: np.ndarray, second: np.ndarray, names: str, needed: str = "one of each for every case"
) -> None:
    """Refuse two lists of different lengths.

    Raises
    ------
    InputError
        If they differ.
    """
    if len(first) != len(second):
        raise InputError(names, f"{len(first)} and {len(second)} values", needed)


def two_classes(labels: object, positive: object = None, name: str = "labels") -> np.ndarray:
    """Give True for every case of the positive class.

    Parameters
    ----------
    labels : sequence (n,)
        0 and 1 or False and True; any two values (such as names of groups) if `positive` is given.
    positive : optional
        The value of the positive class.

    Raises
    ------
    InputError
        If a label is missing, there are not exactly two classes, or one class has no case.
    """
    given = labels.tolist() if hasattr(labels, "tolist") else labels
    if not isinstance(given, list | tuple):
        raise InputError(name, shown(given), "a list with one label a case")
    if any(issubclass(kind, np.generic) for kind in set(map(type, given))):
        given = [value.item() if isinstance(value, np.generic) else value for value in given]
    for kind in set(map(type, given)):
        if not issubclass(kind, bool | int | float | str | type(None)):
            raise InputError(name, f"a label of type {kind.__name__}", "numbers or texts, one a case")
    found = set(given)
    if any(_is_missing(value) for value in found):
        missing = sum(map(_is_missing, given))
        raise InputError(
            name,
            f"{missing} of {len(given)} labels missing",
            "a label for every case",
            "Leave these cases out.",
        )
    if positive is None:
        if not found <= {0, 1}:
            strange = next(v for v in given if v not in (0, 1))
            raise InputError(
                name, f"the label {shown(strange)}", "1 for positive and 0 for negative cases",
                "Give the value of the positive class if other labels are meant.",
            )  # fmt: skip
        positive = 1
    elif len(found) > 2:
        raise InputError(name, f"{len(found)} different labels", "two classes")
    is_positive = np.array([value == positive for value in given], dtype=bool)
    n = int(is_positive.sum())
    if n in (0, len(given)):
        raise InputError(name, f"{n} positive and {len(given) - n} negative cases", "cases of both classes")
    return is_positive


def shown(value: object) -> str:
    """Give a value as a message may repeat it: short, on one line."""
    text = repr(value[: _SHOWN + 1]) if isinstance(value, str | bytes) else repr(value)
    return text if len(text) <= _SHOWN + 2 else f"{text[:_SHOWN]}..."


def level_of(confidence: float) -> float:
    """Give the upper quantile of a two-sided interval, such as 0.975 for 0.95.

    Raises
    ------
    InputError
        If the confidence is not between 0 and 1.
    """
    if not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise InputError("confidence", shown(confidence), "a level between 0 and 1, such as 0.95")
    return 0.5 + confidence / 2


def _number(value: object) -> float:
    if value is None or value is np.ma.masked:
        return math.nan
    if isinstance(value, str | bytes | complex | np.ndarray):
        raise TypeError
    return float(value)


def _is_missing(value: object) -> bool:
    return value is None or value != value or value == ""
