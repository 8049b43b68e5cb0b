"""What the statistics of a cohort work on: ratios and groups of its table, and what was noted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from SynthCBVLib.analysis.cohort.results import MEASURES, NotComputed
from SynthCBVLib.analysis.cohort.table import CohortTable
from SynthCBVLib.errors import InputError

#: No ratio comes near; squares of larger numbers overflow.
LARGEST_RATIO = 1e100

_Result = TypeVar("_Result")


class CohortValues:
    """A table's values as arrays (n,), one entry a case.

    Attributes
    ----------
    table : CohortTable
        The cases.
    confidence : float
        Level of all intervals.
    ratios : dict of str to ndarray
        Measure ("real", "synthetic", "f") -> T/WM ratio, NaN where missing or not finite.
    group, subjects : ndarray of object
        Names; the group is None where missing.
    not_computed : list of NotComputed
        Statistics that the data did not allow.
    notes : list of str
        What a reader of the numbers has to know.

    Raises
    ------
    InputError
        If a ratio is beyond all measure.
    """

    def __init__(self, table: CohortTable, confidence: float) -> None:
        self.table, self.confidence = table, confidence
        self.ratios = {name: _finite_or_nan(table, column) for name, (column, _) in MEASURES.items()}
        self.group = np.array(
            [None if cell is None else str(cell).strip() or None for cell in table.column("group")],
            dtype=object,
        )
        self.subjects = np.array(table.column("subject"), dtype=object)
        self.not_computed: list[NotComputed] = []
        self.notes: list[str] = []

    def attempt(self, what: str, call: Callable[[], _Result]) -> _Result | None:
        """Give what the call gives; None, with the reason kept, if the data do not allow it."""
        try:
            return call()
        except InputError as error:
            self.not_computed.append(
                NotComputed(what, f"{error.where}: {error.seen}; needed: {error.needed}")
            )
            return None

    def mean(self, inside: np.ndarray) -> float:
        """Give the mean ratio of some cases on the first map that has any; -inf without one."""
        for measure in MEASURES:
            found = self.ratios[measure][inside]
            found = found[np.isfinite(found)]
            if found.size:
                return float(found.mean())
        return -np.inf


def _finite_or_nan(table: CohortTable, column: str) -> np.ndarray:
    values = table.numbers(column)
    values = np.where(np.isfinite(values), values, np.nan)
    if (np.abs(values) > LARGEST_RATIO).any():
        raise InputError(f"cohort table, {column}", f"a ratio of {np.nanmax(np.abs(values)):.3g}",
                         f"ratios below {LARGEST_RATIO:g}")  # fmt: skip
    return values
