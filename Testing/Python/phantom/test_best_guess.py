"""The reader who knows a tumour's properties exactly: what it knows, and that it does not look at CBV."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.phantom.best_guess import SHOWN, Bound, bounds, guess_volume, guessed_rcbv, share_known
from SynthCBVLib.phantom.contrast import point_spread
from SynthCBVLib.phantom.disease import COUPLED, MUTANT, PRIORS, WILDTYPE, LesionPrior
from SynthCBVLib.phantom.lesion import PATIENT_SCORES, Lesion, _draw_properties


@pytest.mark.parametrize("name", COUPLED)
def test_one_property_tells_the_square_of_its_correlation(name):
    assert share_known(WILDTYPE, (name,)) == pytest.approx(WILDTYPE.coupling(name) ** 2, rel=1e-12)
    assert share_known(WILDTYPE, ()) == 0


@given(st.sets(st.sampled_from(COUPLED), min_size=1))
def test_share_is_that_of_the_multiple_correlation(names):
    rho = np.array([MUTANT.coupling(name) for name in sorted(names)])
    covariance = np.outer(rho, rho)
    np.fill_diagonal(covariance, 1)
    assert share_known(MUTANT, sorted(names)) == pytest.approx(rho @ np.linalg.solve(covariance, rho))


def lesions(prior: LesionPrior, count: int) -> list[Lesion]:
    """Lesions that are drawn like those of patients, in a small box each."""
    rng = np.random.default_rng(4)
    shape, inside, made = (20, 24, 24), np.arange(0, 20 * 24 * 24, 3), []
    for _ in range(count):
        properties = _draw_properties(rng, prior, shape, 2.0, inside, rng.standard_normal(PATIENT_SCORES))
        empty = np.zeros(shape, np.float32)
        made.append(
            Lesion(
                empty, empty, empty, empty, inside, **properties,
                water=prior.water, blood_t2=prior.blood_t2, gadolinium=np.zeros(inside.size, np.float32),
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("prior", [WILDTYPE, MUTANT], ids=["wildtype", "mutant"])
def test_guess_is_the_conditional_mean_of_many_patients(prior):
    patients, shown = lesions(prior, 300), SHOWN["IVIM"]
    guess = np.array([guess_volume(lesion, prior, shown).mean() for lesion in patients])
    true = np.array([(lesion.cbv * lesion.calibre).mean() for lesion in patients])
    assert guess.mean() == pytest.approx(true.mean(), rel=0.05)
    # Regressing the truth on a conditional mean gives a slope of one.
    assert np.polyfit(guess, true, 1)[0] == pytest.approx(1, abs=0.15)
    r = np.corrcoef(np.log(guess), np.log([lesion.cbv.mean() for lesion in patients]))[0, 1]
    assert r == pytest.approx(np.sqrt(share_known(prior, shown)), abs=0.06)


def test_guess_knows_voxels_apart_and_does_not_look_at_cbv():
    lesion = lesions(WILDTYPE, 1)[0]
    guess = guess_volume(lesion, WILDTYPE, COUPLED)
    assert np.corrcoef(np.log(guess), np.log(lesion.cbv))[0, 1] > 0.7
    blind = replace(lesion, cbv=np.ones_like(lesion.cbv), f=np.ones_like(lesion.f))
    np.testing.assert_array_equal(
        guess_volume(blind, WILDTYPE, ("d", "t2")), guess_volume(lesion, WILDTYPE, ("d", "t2"))
    )
    assert np.ptp(guess_volume(lesion, WILDTYPE, ())) == 0


def test_map_is_true_outside_the_tumour():
    patient = DigitalPatient(6008, "wildtype")
    truth = patient.truth(Modality.RCBV)
    array = sitk.GetArrayFromImage
    drawn = guessed_rcbv(patient, SHOWN["IVIM"])
    expected = point_spread(array(truth.rcbv), patient.protocol.dsc)
    far = point_spread(array(truth.lesion_fraction), patient.protocol.dsc) < 1e-6
    np.testing.assert_allclose(drawn[far], expected[far], rtol=1e-3, atol=1e-3)
    inside = array(truth.solid) > 0.9
    assert not np.allclose(drawn[inside], expected[inside], rtol=0.05)
    assert drawn[inside].mean() == pytest.approx(expected[inside].mean(), rel=0.5)


def test_without_a_lesion_there_is_nothing_to_guess():
    assert PRIORS["none"] is None
    with pytest.raises(InputError, match="no lesion"):
        guessed_rcbv(DigitalPatient(3, "none"), ("f",))


def test_bounds_of_each_group():
    real = [2.0, 3.0, 5.0, 4.0]
    patients = [
        (group, {"rcbv": value, "cbv": 2 * value, "IVIM": 9 - value, "ASL": value**2})
        for group in ("wildtype", "mutant")
        for value in real
    ]
    found = {(b.known, b.group): b for b in bounds(patients)}
    assert len(found) == 6
    assert all(isinstance(b, Bound) and b.n == 4 for b in found.values())
    assert found["CBV itself", "mutant"].slope == pytest.approx(2)
    assert found["CBV itself", "wildtype"].r == pytest.approx(1)
    assert found["what IVIM inputs depend on", "wildtype"].r == pytest.approx(-1)
