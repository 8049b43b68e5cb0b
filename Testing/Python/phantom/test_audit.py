"""The audit's own arithmetic, and its page; its bars are for the audit itself."""

import math

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.cli import main
from SynthCBVLib.errors import InputError
from SynthCBVLib.phantom import COMPACT, DigitalPatient
from SynthCBVLib.phantom.audit import (
    AUDITED,
    RECURRENCES,
    TEACHERS,
    Audit,
    Bar,
    area_under_curve,
    fit_ridge,
    oracle,
    oracle_scale,
    predict,
)
from SynthCBVLib.phantom.audit_report import BEGIN, END, needed, table, write_report
from SynthCBVLib.phantom.best_guess import SHOWN, Bound
from SynthCBVLib.phantom.measure import Measured, measure


def made_up(seed, weights):
    """A patient whose real map is a known sum of its features, or of its truth and vessels."""
    rng = np.random.default_rng(seed)
    features = rng.random((len(weights) - 1, 4, 12, 12)).astype(np.float32)
    true, vessels = 1 + rng.random((4, 12, 12)), 0.2 * rng.random((4, 12, 12))
    brain = np.zeros((4, 12, 12), bool)
    brain[:, 1:11, 1:11] = True
    real = np.tensordot(np.asarray(weights[:-1]), features, 1) + weights[-1]
    image = sitk.Image([12, 12, 4], sitk.sitkFloat32)
    return Measured(seed, "mutant", {}, {}, 40.0, 0.8, 0.5, 1.2, real, true, vessels, brain, features, image)


def test_audited_patients_are_no_teachers():
    seeds = [seed for seed, _ in (*AUDITED, *TEACHERS, *RECURRENCES)]
    assert len(set(seeds)) == len(seeds)
    assert [kind for _, kind in AUDITED].count("wildtype") == 20 == [k for _, k in AUDITED].count("mutant")


def test_ridge_finds_a_linear_map():
    weights = np.array([0.5, 1.5, 0.25, 0.4])
    teachers = [made_up(seed, weights) for seed in range(3)]
    found = fit_ridge(teachers, penalty=1e-6)
    np.testing.assert_allclose(found, weights, rtol=1e-3)
    new = made_up(9, weights)
    drawn = predict(new, found)
    np.testing.assert_allclose(drawn[new.brain], new.real[new.brain], rtol=1e-3)
    assert not drawn[~new.brain].any()


def test_oracle_finds_the_weight_of_vessels():
    patients = [made_up(seed, np.array([1.0, 0.0])) for seed in range(3)]
    patients = [
        Measured(**{**vars(m), "real": 0.9 * m.true + 30 * m.vessels - 8 * m.vessels**2}) for m in patients
    ]
    weights = oracle_scale(patients)
    np.testing.assert_allclose(weights, [0.9, 30, -8], rtol=1e-6)
    drawn = oracle(patients[0], weights)
    np.testing.assert_allclose(drawn[patients[0].brain], patients[0].real[patients[0].brain], rtol=1e-6)


def test_area_under_curve_counts_ties_half():
    assert area_under_curve(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)
    assert area_under_curve(np.array([0.0]), np.array([1.0])) == 0


@pytest.mark.parametrize(
    ("bar", "words", "met"),
    [
        (Bar("a", 0.5, 0.1, 0.5), "0.1 to 0.5", True),
        (Bar("b", 0.81, 0.0, 0.80), "at most 0.8", False),
        (Bar("c", 0.95, 0.93, 1.0), "at least 0.93", True),
        (Bar("d", 1, 0, 0), "0", False),
    ],
)
def test_bars_say_what_they_need(bar, words, met):
    assert needed(bar) == words and bar.met is met


def test_page_keeps_what_is_written_by_hand(tmp_path):
    audit = Audit((Bar("SNR", 40.0, 30, 60, "n = 2"),), (("grey", "f", 0.066, 0.01, 0.05, 0.08),
                  ("grey", "ADC", 0.8e-3, 1e-5, math.nan, math.nan)), 40,
                  (Bound("CBV itself", "wildtype", 0.915, 0.81, 0.8, 0.97, 20),))  # fmt: skip
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n")
    write_report(audit, page)
    text = page.read_text()
    assert "old" not in text and "before" in text and "after" in text
    assert "| SNR | 40 | 30 to 60 | met | n = 2 |" in text
    assert "| grey | true f | 6.6 ± 1 | 5 to 8 | % |" in text
    assert "| CBV itself | 20 wildtype | 0.92 | 0.80 to 0.97 | 0.81 |" in text
    write_report(audit, page)
    assert page.read_text() == text
    assert table(audit) in text
    page.write_text("no marks")
    with pytest.raises(InputError, match="marks"):
        write_report(audit, page)


def test_measured_patient_is_in_the_ranges_of_tissue():
    import dataclasses

    measured = measure(DigitalPatient(41, "wildtype", dataclasses.replace(COMPACT, anatomy_spacing=3.0)))
    grey, white = measured.means["grey"], measured.means["white"]
    assert grey["fitted D"] == pytest.approx(grey["d"], rel=0.12)
    assert 1.7 < grey["real rCBV"] < 2.9 and white["real rCBV"] == pytest.approx(1)
    assert 28 < measured.snr < 62
    assert measured.features.shape == (16, 20, 128, 128)
    assert set(measured.ratios) == {"rcbv", "f", "cbf", "cbv", *SHOWN}
    assert 0.4 < measured.grey_correlation < 0.95
    # White-paper quantification under-reads flow of the full kinetic model.
    assert 0.4 < grey["ASL CBF"] / grey["cbf"] < 0.9


def test_audit_takes_no_patients(capsys):
    assert main(["phantom", "--audit", "--patients", "3"]) == 2
    assert "--audit" in capsys.readouterr().err
    assert main(["phantom", "--page", "x.md", "--patients", "1", "--out", "y"]) == 2
