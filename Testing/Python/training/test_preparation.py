"""Preparing cases: in processes that end with their parent, once, and for several cards."""

import dataclasses
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study, join_series
from SynthCBVLib.physiology import ivim
from SynthCBVLib.training import preparation
from SynthCBVLib.training.cases import load_case, save_case
from SynthCBVLib.training.cohort import find_cases, prepare_cohort
from SynthCBVLib.training.preparation import case_of_study, prepare_digital, run_jobs
from SynthCBVLib.training.presets import PAPER_B_VALUES, preset

ROOT = Path(__file__).resolve().parents[3]


def bad() -> None:
    raise InputError("subject 2", "no T2w", "one")


def image(array: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(array.astype(np.float32))
    made.SetSpacing((1.146, 1.146, 6.0))
    return made


def test_a_killed_parent_takes_its_workers_along(tmp_path):
    beat = tmp_path / "beat"
    work = f"import time, pathlib\nwhile True: pathlib.Path({str(beat)!r}).touch(); time.sleep(0.05)"
    script = tmp_path / "parent.py"
    script.write_text(
        "from functools import partial\n"
        "from SynthCBVLib.training.preparation import run_jobs\n"
        f"if __name__ == '__main__': run_jobs([('endless', partial(exec, {work!r}))], 1)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        deadline = time.monotonic() + 240
        while not beat.exists() and parent.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert beat.exists()
    finally:
        parent.kill()
        parent.wait()
    while time.time() - beat.stat().st_mtime < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert time.time() - beat.stat().st_mtime >= 3


def test_bad_jobs_stop_or_are_named():
    done = []
    jobs = [("one", partial(done.append, 1)), ("two", bad), ("three", partial(done.append, 3))]
    assert run_jobs(jobs, 0, skip_bad=True) == {"two": "subject 2: no T2w; needed: one."}
    assert done == [1, 3]
    with pytest.raises(InputError, match="no T2w"):
        run_jobs(jobs, 0)

    def stop(fraction: float, message: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run_jobs(jobs, 0, stop)


def test_a_patient_is_simulated_once_for_all_cards_and_never_again(tmp_path, monkeypatch, make_case):
    made = []

    def simulate(seed, idh, cards):
        made.append((seed, idh, sorted(cards)))
        return {name: make_case(seed, card.channels, len(card.inputs)) for name, card in cards.items()}

    monkeypatch.setattr(preparation, "digital_cases", simulate)
    cards = {name: preset(name).card for name in ("ivim", "asl")}
    patients = [(1, "wildtype"), (2, "mutant")]
    prepare_digital(patients[:1], {"asl": cards["asl"]}, tmp_path, workers=0)
    folders = prepare_digital(patients, cards, tmp_path, workers=0)
    assert made == [(1, "wildtype", ["asl"]), (1, "wildtype", ["ivim"]), (2, "mutant", ["asl", "ivim"])]
    assert prepare_digital(patients, cards, tmp_path, workers=0) == folders
    assert len(made) == 3
    assert [folder.name for folder in folders["ivim"]] == ["00001-wildtype", "00002-mutant"]
    assert load_case(folders["ivim"][1], cards["ivim"]).channels.shape[0] == 11
    with pytest.raises(InputError, match="prepared for another card"):
        prepare_digital(patients, {"asl": cards["ivim"]}, tmp_path, workers=0)


def test_a_case_serves_cards_with_fewer_inputs(tmp_path, make_case):
    case = make_case(0, channels=11, inputs=2)
    save_case(case, tmp_path / "case", preset("ivim").card)
    expected = {
        "ivim": range(11),
        "ivim-5b-t2w": [0, 1, 2, 3, 4, 10],
        "ivim-10b": range(10),
        "ivim-5b": range(5),
    }
    for name, channels in expected.items():
        loaded = load_case(tmp_path / "case", preset(name).card)
        np.testing.assert_array_equal(loaded.crop(), case.channels[list(channels)].astype(np.float32))
        assert len(loaded.present) == len(preset(name).card.inputs)
    few = load_case(tmp_path / "case", preset("ivim-5b").card)
    assert few.fingerprint() != loaded.fingerprint() or few.order == loaded.order
    save_case(few, tmp_path / "few", preset("ivim-5b").card)
    np.testing.assert_array_equal(load_case(tmp_path / "few").crop(), few.crop())
    for name in ("asl", "ivim-f-t2w", "wang2023"):
        with pytest.raises(InputError, match="prepared for another card"):
            load_case(tmp_path / "case", preset(name).card)
    with pytest.raises(InputError, match="no readable case"):
        load_case(tmp_path / "nowhere")


def test_the_fitted_fraction_can_be_an_input():
    """Without noise the input is the true f, but for its normalisation."""
    fraction = np.tile(np.linspace(0.05, 0.15, 24)[None, None], (2, 24, 1))
    b = np.array(PAPER_B_VALUES)[:, None, None, None]
    signals = 1000 * ((1 - fraction) * np.exp(-b * 0.8e-3) + fraction * np.exp(-b * 20e-3))
    series = DiffusionSeries(join_series([image(signal) for signal in signals]), PAPER_B_VALUES)
    t2w = image(np.full(fraction.shape, 500.0))
    rcbv = image(fraction * 40)
    study = Study("1", {Modality.DWI: series, Modality.T2W: t2w, Modality.RCBV: rcbv})
    same = {modality: sitk.Transform(3, sitk.sitkIdentity) for modality in (Modality.DWI, Modality.RCBV)}
    brain = sitk.Cast(t2w > 0, sitk.sitkUInt8)
    card = preset("ivim-f-t2w").card
    case = case_of_study(study, card, same, brain, motion=False)
    fitted = ivim.fit(np.moveaxis(signals, 0, -1), PAPER_B_VALUES, np.ones(10, int)).f
    np.testing.assert_allclose(case.channels[0], fitted / fitted.mean(), rtol=0.02)
    assert np.corrcoef(case.channels[0].ravel(), fraction.ravel())[0, 1] > 0.95
    assert card.channels == 2


def test_a_cohorts_scans_and_patients(tmp_path):
    for folder in ("sub-1/ses-a", "sub-1/ses-b", "sub-2", "sub-3", "derivatives"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tpatient_id\nsub-2\tp7\nsub-3\tp7\nsub-1\tn/a\n"
    )
    cases = find_cases(tmp_path)
    assert [(case.name, case.patient) for case in cases] == [
        ("sub-1_ses-a", "sub-1"), ("sub-1_ses-b", "sub-1"), ("sub-2", "p7"), ("sub-3", "p7"),
    ]  # fmt: skip
    ready = prepare_cohort(cases, preset("ivim").card, tmp_path / "out", workers=0, skip_bad=True)
    assert ready.folders == ()
    assert "no image" in ready.refused["sub-2"]
    with pytest.raises(InputError):
        prepare_cohort(cases, preset("ivim").card, tmp_path / "out", workers=0)
    with pytest.raises(InputError, match=r"no sub-\* folders"):
        find_cases(tmp_path / "derivatives")
    (tmp_path / "participants.tsv").write_text("name\nx\n")
    with pytest.raises(InputError, match="participant_id"):
        find_cases(tmp_path)


def test_a_damaged_case_is_named(tmp_path, make_case):
    save_case(make_case(0), tmp_path / "case")
    (tmp_path / "case" / "target.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no readable case"):
        load_case(tmp_path / "case")


def test_a_case_without_the_cards_inputs_is_refused(tmp_path, make_case):
    case = dataclasses.replace(make_case(0, channels=11, inputs=2), present=np.array([0, 1], np.float32))
    save_case(case, tmp_path / "case", preset("ivim").card)
    assert load_case(tmp_path / "case", preset("ivim").card).present.tolist() == [0, 1]
    with pytest.raises(InputError, match="none of the card's inputs"):
        load_case(tmp_path / "case", preset("ivim-10b").card)
