"""What looks wrong with training cases, said before hours of work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SynthCBVLib.training.cases import Case

#: Every so manyth voxel of the brain is enough for these checks.
_VOXELS = 20_000
#: Correlation with an input below which the map has nothing to do with it, and with all inputs runs against.
_NOTHING, _AGAINST = 0.05, -0.1
#: Least share of the brain that should be covered by the map, and largest that may be zero in it.
_COVERED, _EMPTY = 0.5, 0.5


@dataclass(frozen=True)
class CaseWarning:
    """What looks wrong with a case.

    Attributes
    ----------
    case : str
        Its name.
    what : str
        What was seen.
    """

    case: str
    what: str

    def __str__(self) -> str:
        return f"{self.case}: {self.what}"


def check_cases(cases: Sequence[Case]) -> list[CaseWarning]:
    """Look at training cases: what preparation noted, maps that cannot be learnt from, images used twice.

    Parameters
    ----------
    cases : sequence of Case
        All of a training.
    """
    found = [CaseWarning(case.name, note) for case in cases for note in case.notes]
    for case in cases:
        found += [CaseWarning(case.name, what) for what in _looks_wrong(case)]
    return found + [
        CaseWarning(names[0], f"the same images as {', '.join(names[1:])}: taken as one patient")
        for names in twins(cases)
    ]


def twins(cases: Sequence[Case]) -> list[list[str]]:
    """Give the names of cases with the same content under several names."""
    names = defaultdict(list)
    for case in cases:
        names[case.fingerprint()].append(case.name)
    return [same for same in names.values() if len(same) > 1]


def patients_of(cases: Sequence[Case]) -> dict[str, str]:
    """Give each case's patient; cases with the same images are one patient's, whatever their names."""
    joined: dict[str, str] = {case.name: case.patient for case in cases}
    for same in twins(cases):
        one = min(joined[name] for name in same)
        others = {joined[name] for name in same}
        joined = {name: one if patient in others else patient for name, patient in joined.items()}
    return joined


def _looks_wrong(case: Case) -> list[str]:
    inside = (case.mask > 0) & (case.known > 0)
    n_brain, n_known = int((case.mask > 0).sum()), int(inside.sum())
    if not n_known:
        return ["no rCBV was measured in the brain"]
    found = []
    if n_known < _COVERED * n_brain:
        found.append(f"rCBV covers {n_known / n_brain:.0%} of the brain")
    every = max(1, n_known // _VOXELS)
    target = case.target[inside][::every].astype(np.float64)
    if not np.isfinite(target).all():
        return [*found, "rCBV holds values that are not finite"]
    if np.ptp(target) < 1e-3 * max(abs(float(target.mean())), 1e-6):
        return [*found, "rCBV is constant in the brain"]
    if np.mean(target == 0) > _EMPTY:
        found.append(f"rCBV is zero in {np.mean(target == 0):.0%} of the brain")
    inputs = case.crop()[:, inside][:, ::every].astype(np.float64)
    if not np.isfinite(inputs).all():
        return [*found, "inputs hold values that are not finite"]
    varies = np.ptp(inputs, axis=1) > 0
    if not varies.any():
        return [*found, "all inputs are constant in the brain"]
    related = np.array([np.corrcoef(values, target)[0, 1] for values in inputs[varies]])
    if (related < _AGAINST).all():
        found.append("rCBV runs against every input: is the map inverted?")
    elif (np.abs(related) < _NOTHING).all():
        found.append("rCBV has nothing in common with any input: is it this patient's, and registered?")
    return found
