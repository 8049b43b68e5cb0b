"""Splits by patient."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.training.data_checks import patients_of
from SynthCBVLib.training.split import check_split, split_patients

COHORTS = st.lists(st.integers(0, 12), min_size=2, max_size=40).filter(lambda ids: len(set(ids)) > 1)


@given(COHORTS, st.floats(0.01, 0.99), st.integers(0, 5), st.randoms())
def test_no_patient_is_on_both_sides(ids, share, seed, shuffler):
    patient_of = {f"scan{i}": f"patient{patient}" for i, patient in enumerate(ids)}
    training, validation = split_patients(patient_of, share, seed)
    assert sorted(training + validation) == sorted(patient_of)
    assert training
    assert validation
    assert not {patient_of[name] for name in training} & {patient_of[name] for name in validation}
    shuffled = list(patient_of.items())
    shuffler.shuffle(shuffled)
    assert set(split_patients(dict(shuffled), share, seed)[1]) == set(validation)


def test_a_list_of_patients_or_scans_takes_all_their_scans():
    patient_of = {"sub-1_ses-1": "a", "sub-1_ses-2": "a", "sub-2": "b", "sub-3": "c"}
    assert split_patients(patient_of, 0.1, validation=["a"])[1] == ["sub-1_ses-1", "sub-1_ses-2"]
    assert split_patients(patient_of, 0.1, validation=["sub-1_ses-2"])[0] == ["sub-2", "sub-3"]
    for names, message in ((["nobody"], "nobody"), ([], "0 of 3"), (["a", "b", "c"], "3 of 3")):
        with pytest.raises(InputError, match=message):
            split_patients(patient_of, 0.1, validation=names)
    with pytest.raises(InputError, match="1 patients"):
        split_patients({"x": "a", "y": "a"}, 0.5)


def test_the_same_images_under_two_names_are_one_patient(make_case):
    one, other = make_case(0), make_case(1)
    copy = dataclasses.replace(one, name="copy", patient="copy")
    patients = patients_of([one, other, copy])
    assert patients["copy"] == patients["case0"] != patients["case1"]
    with pytest.raises(InputError, match="same images as case0"):
        check_split([one], [copy])
