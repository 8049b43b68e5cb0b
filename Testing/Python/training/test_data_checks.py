"""Warnings about maps that cannot be learnt from."""

import dataclasses

import numpy as np
import pytest

from SynthCBVLib.training.data_checks import check_cases


def words(case) -> str:
    return " ".join(str(warning) for warning in check_cases([case]))


def test_a_sound_case_gets_no_warning(make_case):
    assert check_cases([make_case(0), make_case(1)]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda case: {"target": case.mask.astype(np.float16)}, "constant"),
        (lambda case: {"target": (3 - case.target) * case.mask}, "runs against every input"),
        (lambda case: {"known": case.mask * 0}, "no rCBV was measured"),
        (lambda case: {"target": np.where(case.target > 1.8, case.target, 0)}, "is zero in"),
        (lambda case: {"channels": np.ones_like(case.channels)}, "all inputs are constant"),
        (lambda case: {"channels": np.full_like(case.channels, np.nan)}, "not finite"),
        (lambda case: {"notes": ("warning: DWI: noisy",)}, "DWI: noisy"),
    ],
)
def test_what_looks_wrong_is_said(make_case, change, said):
    case = make_case(0)
    message = words(dataclasses.replace(case, **change(case)))
    assert message.startswith("case0: ")
    assert said in message


def test_another_patients_map_is_said(make_case):
    case = make_case(0)
    noise = np.random.default_rng(5).random(case.target.shape).astype(np.float16) * case.mask
    assert "nothing in common" in words(dataclasses.replace(case, target=noise))


def test_half_a_map_is_said(make_case):
    case = make_case(0)
    known = case.known.copy()
    known[2:] = 0
    assert "covers" in words(dataclasses.replace(case, known=known))


def test_twins_are_said(make_case):
    case = make_case(0)
    found = check_cases([case, dataclasses.replace(case, name="twin")])
    assert [str(warning) for warning in found] == ["case0: the same images as twin: taken as one patient"]
