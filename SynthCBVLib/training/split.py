"""Split cases by patient: all scans of one patient stay together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.training.cases import Case


def split_patients(
    patient_of: Mapping[str, str], share: float, seed: int = 1, validation: Iterable[str] | None = None
) -> tuple[list[str], list[str]]:
    """Split cases into training and validation.

    The split depends on the patients' names and the seed alone, not on the order of the cases.

    Parameters
    ----------
    patient_of : Mapping
        Case's name to its patient.
    share : float
        Of the patients for validation, rounded, at least one; not looked at where `validation` is given.
    seed : int
        Of the draw.
    validation : iterable of str, optional
        Patients (or cases, whose patient's other cases follow them) to validate with.

    Returns
    -------
    tuple of list of str
        Cases for training and for validation, in the order of `patient_of`.

    Raises
    ------
    InputError
        If there are fewer than two patients, a name is unknown, or none is left to train on.
    """
    patients = sorted(set(patient_of.values()))
    if len(patients) < 2:
        raise InputError("cohort", f"{len(patients)} patients", "at least two, to train and to validate")
    if validation is None:
        count = min(max(1, round(share * len(patients))), len(patients) - 1)
        order = np.random.default_rng(seed).permutation(len(patients))
        chosen = {patients[i] for i in order[:count]}
    else:
        wanted = list(validation)
        unknown = [name for name in wanted if name not in patient_of and name not in patients]
        if unknown:
            raise InputError("validation list", f"{', '.join(unknown[:5])}", "patients of the cohort")
        chosen = {patient_of.get(name, name) for name in wanted}
        if not chosen or len(chosen) == len(patients):
            raise InputError(
                "validation list", f"{len(chosen)} of {len(patients)} patients", "at least one, but not all"
            )
    held = [name for name, patient in patient_of.items() if patient in chosen]
    return [name for name, patient in patient_of.items() if patient not in chosen], held


def check_split(training: Sequence[Case], validation: Sequence[Case]) -> None:
    """Refuse a split that cannot be trained on or that leaks.

    Raises
    ------
    InputError
        If a part is empty, a patient or a case's very content is in both, or a case has no brain where rCBV
        was measured.
    """
    for name, cases in (("training", training), ("validation", validation)):
        if not cases:
            raise InputError(f"{name} cases", "none", "at least one subject")
        for case in cases:
            if not (case.mask * case.known).any():
                raise InputError(
                    f"{name} case {case.name}", "no brain where rCBV was measured", "a brain to learn from"
                )
    shared = {case.patient for case in training} & {case.patient for case in validation}
    if shared:
        raise InputError(
            "split", f"{', '.join(sorted(shared))} in training and validation", "each patient in one of them"
        )
    contents = {case.fingerprint(): case.name for case in training}
    for case in validation:
        twin = contents.get(case.fingerprint())
        if twin is not None:
            raise InputError(
                "split", f"the same images as {twin} (training) and {case.name} (validation)",
                "each patient in one of them", "Remove one of the two.",
            )  # fmt: skip
