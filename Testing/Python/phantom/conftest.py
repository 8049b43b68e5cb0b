"""Patients that several tests look at; each is made once."""

from dataclasses import replace

import pytest

from SynthCBVLib.phantom import COMPACT, DigitalPatient


@pytest.fixture(scope="session")
def wildtype():
    return DigitalPatient(11, "wildtype", replace(COMPACT, anatomy_spacing=2.0))  # quicker than 1.5 mm


@pytest.fixture(scope="session")
def wildtype_truth(wildtype):
    return wildtype.truth()
