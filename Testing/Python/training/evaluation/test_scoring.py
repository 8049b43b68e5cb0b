"""Scores: a perfect map is perfect, known errors give known numbers, and nothing is computed twice."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.synthesis.card import InputSpec
from SynthCBVLib.synthesis.inference import infer
from SynthCBVLib.synthesis.model import load_model
from SynthCBVLib.training.evaluation import scoring
from SynthCBVLib.training.evaluation.preparing import (
    covers,
    load_ready,
    needed_preparations,
    prepare_subjects,
)
from SynthCBVLib.training.evaluation.scoring import ALL, combination, estimates, score_all, score_map
from SynthCBVLib.training.presets import preset


@pytest.fixture
def ready(tmp_path, make_subject, ivim_card):
    subject = make_subject(3, "wildtype", 4.0)
    assert prepare_subjects([subject], [ivim_card], tmp_path, 0, motion=False) == {}
    return load_ready(subject, ivim_card, tmp_path, False)


def test_a_prepared_exam_holds_what_is_true_of_it(ready, ivim_card):
    case = ready.case(ivim_card)
    assert case.patient == "3"
    assert case.target.max() == 1.0  # each slice's maximum is the unit
    assert ready.ratios["real"] == pytest.approx(4.0, rel=1e-5)
    assert ready.ratios["f"] == pytest.approx(4.0, rel=0.1)  # fitted to noisy signals
    assert ready.grid.GetSize() == case.target.shape[::-1]
    assert ready.notes == ()


def test_a_perfect_map_is_perfect(ready, ivim_card):
    case = ready.case(ivim_card)
    found = score_map(case, np.asarray(case.target, np.float32), np.full(case.target.shape, 0.1), ready)
    assert found.ssim == pytest.approx(1.0)
    assert found.psnr == math.inf
    assert found.ratio == pytest.approx(ready.ratios["real"], rel=2e-3)  # 16-bit storage
    assert found.errors[0] == int((case.mask * case.known).sum())


def test_an_offset_gives_its_psnr_and_its_errors(ready, ivim_card):
    case = ready.case(ivim_card)
    inside = (case.mask * case.known) > 0
    off = np.where(inside, case.target.astype(np.float32) + 0.1, 5.0)  # outside the brain nothing counts
    found = score_map(case, off, np.full(off.shape, 0.05), ready)
    z, y, x = np.nonzero(inside)
    box = np.ptp(z) + 1, np.ptp(y) + 1, np.ptp(x) + 1
    assert found.psnr == pytest.approx(-10 * math.log10(0.01 * inside.sum() / math.prod(box)), abs=0.01)
    bins = np.flatnonzero(found.errors)
    edges = scoring.ERROR_EDGES
    assert edges[bins[0] - 1] < 2.0 < edges[bins[-1]]
    assert len(bins) <= 2  # |error| / scale is 2 everywhere, but for rounding
    assert sum(found.errors) == inside.sum()


def test_the_scale_of_a_map_does_not_move_its_ratio_but_zero_has_none(ready, ivim_card):
    case = ready.case(ivim_card)
    target = np.asarray(case.target, np.float32)
    assert score_map(case, 3 * target, None, ready).ratio == pytest.approx(4.0, rel=2e-3)
    empty = score_map(case, np.zeros_like(target), np.ones_like(target), ready)
    assert math.isnan(empty.ratio)
    assert math.isnan(empty.log_sd)


def test_a_ratio_has_the_deviation_of_its_scale(ready, ivim_card):
    case = ready.case(ivim_card)
    target = np.asarray(case.target, np.float32)
    found = score_map(case, target, 0.05 * target, ready)
    # One region a kind, errors fully correlated: relative SD sqrt(2) 0.05 for each of two independent means.
    assert found.log_sd == pytest.approx(math.sqrt(2) * math.sqrt(2) * 0.05, rel=1e-3)


def test_an_exam_without_a_real_map_still_has_its_ratio(tmp_path, make_subject, asl_card):
    subject = make_subject(4, "recurrence", 3.0, measured=False)
    prepare_subjects([subject], [asl_card], tmp_path, 0)
    ready = load_ready(subject, asl_card, tmp_path)
    case = ready.case(asl_card)
    found = score_map(case, case.crop()[0], np.ones(case.target.shape), ready)
    assert math.isnan(found.ssim)
    assert found.errors == ()
    assert found.ratio == pytest.approx(ready.ratios["cbf"], rel=1e-3)  # the map given is CBF itself
    assert "real" not in ready.ratios


def test_inputs_encoded_once_give_what_inference_gives(tmp_path, make_subject, asl_card, store_model):
    subject = make_subject(5, "wildtype", 3.0)
    prepare_subjects([subject], [asl_card], tmp_path, 0)
    case = load_ready(subject, asl_card, tmp_path).case(asl_card)
    asl_card = dataclasses.replace(
        asl_card, network_arguments={**asl_card.network_arguments, "conditioned": True}
    )
    model = load_model(store_model(tmp_path / "asl.safetensors", asl_card))
    assert len(model.network.conditioning) == 2
    for level in model.network.conditioning:
        level.learnt.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    some = combination(asl_card, [asl_card.inputs[4].modality, asl_card.inputs[0].modality])
    assert some == "CBF+ADC"
    found = {name: (location, scale) for name, location, scale in estimates(
        model.network, asl_card, case, (ALL, some, "T2w"))}  # fmt: skip
    for name, present in ((ALL, [1] * 6), (some, [1, 0, 0, 0, 1, 0]), ("T2w", [0, 0, 1, 0, 0, 0])):
        whole = infer(model.network, case.crop(), np.array(present, np.float32), "cpu")
        np.testing.assert_allclose(found[name][0], whole.location, atol=1e-5)
        np.testing.assert_allclose(found[name][1], whole.scale, rtol=1e-4)
    lacking = dataclasses.replace(case, present=np.array([1, 1, 1, 0, 0, 0], np.float32))
    found = {name: location for name, location, _ in estimates(
        model.network, asl_card, lacking, (ALL, some, "T2w"))}  # fmt: skip
    assert set(found) == {ALL, "T2w"}
    whole = infer(model.network, case.crop(), lacking.present, "cpu")
    np.testing.assert_allclose(found[ALL], whole.location, atol=1e-5)


def test_scores_are_kept_by_weights_and_exam(tmp_path, make_subject, ivim_card, store_model, monkeypatch):
    subject = make_subject(6, "mutant", 2.0)
    patients, scores = tmp_path / "patients", tmp_path / "scores"
    prepare_subjects([subject], [ivim_card], patients, 0, motion=False)
    place = load_ready(subject, ivim_card, patients, False).folder
    model = load_model(store_model(tmp_path / "a.safetensors", ivim_card))
    work = [(model.path, model.sha256, subject, place, (ALL,))]
    first = score_all(work, scores)
    assert math.isfinite(first[0][ALL].ssim)
    monkeypatch.setattr(scoring, "score_model", None)  # nothing is measured again
    assert score_all(work, scores) == first
    with pytest.raises(TypeError):
        score_all([(model.path, "another", *work[0][2:])], scores, 0)
    next(scores.rglob("*.json")).write_text("{")
    with pytest.raises(TypeError):
        score_all(work, scores, 0)
    with pytest.raises(InputError, match="no prepared exam"):
        score_all([(*work[0][:3], tmp_path / "nothing", (ALL,))], scores)


def test_preparations_are_shared_and_kept(tmp_path, make_subject, monkeypatch):
    cards = [preset(name).card for name in ("ivim-5b", "asl-plain", "ivim", "ivim-f-t2w", "ivim-10b", "asl")]
    needed = needed_preparations(cards)
    assert needed[0].name == "ivim"
    assert len(needed) == 3
    assert all(any(covers(rich, card) for rich in needed) for card in cards)
    assert torch.get_num_threads() == 1


def test_a_preparation_stays_until_its_exam_or_its_settings_change(tmp_path, make_subject, ivim_card):
    subject = make_subject(8, "wildtype", 2.0)
    prepare_subjects([subject], [ivim_card], tmp_path, 0, motion=False)
    about = load_ready(subject, ivim_card, tmp_path, False).folder / "about.json"
    before = about.stat().st_mtime_ns
    prepare_subjects([subject], [ivim_card], tmp_path, 0, motion=False)
    assert about.stat().st_mtime_ns == before
    changed = dataclasses.replace(subject, source=dataclasses.replace(subject.source, ratio=3.0))
    assert load_ready(changed, ivim_card, tmp_path, False) is None
    assert load_ready(subject, ivim_card, tmp_path, True) is None


def test_an_exam_that_does_not_serve_one_card_serves_the_other(tmp_path, make_subject, ivim_card):
    t1c = InputSpec(Modality.T1C, "brain-mean")
    other = dataclasses.replace(ivim_card, name="other", inputs=(*ivim_card.inputs, t1c))
    subject = make_subject(9, "wildtype", 2.0)
    source = dataclasses.replace(subject.source, without=(Modality.T1C,))
    subject = dataclasses.replace(subject, source=source)
    refused = prepare_subjects([subject], [other, ivim_card], tmp_path, 0, motion=False, skip_bad=True)
    assert "T1c" in refused[subject.name]
    assert load_ready(subject, other, tmp_path, False) is None
    assert load_ready(subject, ivim_card, tmp_path, False) is not None
    with pytest.raises(InputError, match="T1c"):
        prepare_subjects([subject], [other], tmp_path, 0, motion=False)
