"""Patients that several tests look at; each is made once."""

import pytest

from SynthCBVLib.phantom import DigitalPatient


@pytest.fixture(scope="session")
def wildtype():
    return DigitalPatient(11, "wildtype")


@pytest.fixture(scope="session")
def wildtype_truth(wildtype):
    return wildtype.truth()
