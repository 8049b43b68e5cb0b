"""Baselines: what each can represent, it finds; on disk and back they say the same."""

import dataclasses

import numpy as np
import pytest

from SynthCBVLib.errors import InputError
from SynthCBVLib.training.baselines import fit_baseline, identity, load_baseline, save_baseline
from SynthCBVLib.training.cases import Case


def case(seed: int, blurred: bool = False, bent: bool = False) -> Case:
    """Give a case of two noisy inputs whose map is their weighted sum, that of neighbours, or bent."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 1, (2, 3, 20, 20)).astype(np.float32)
    mask = np.zeros((3, 20, 20), np.uint8)
    mask[:, 2:18, 3:17] = 1
    target = 0.7 * images[0] + 0.2 * images[1] + 0.1
    if blurred:
        target = (np.roll(images[0], 1, axis=2) + np.roll(images[0], -1, axis=1)) / 2
    if bent:
        target = np.abs(images[0] - 0.5) + 0.2
    real = (target * mask).astype(np.float16)
    arrays = (images.astype(np.float16), np.ones(2, np.float32), real, mask, np.ones_like(mask))
    return Case(f"{seed}", *arrays)


def error(baseline, of: Case) -> float:
    inside = of.mask > 0
    predicted = baseline.predict(of)
    assert not predicted[~inside].any()
    return float(np.abs(predicted - of.target)[inside].mean())


def test_ridge_finds_sums_of_neighbours_and_no_more(ivim_card):
    linear = fit_baseline("ridge", [case(1), case(2)], ivim_card)
    assert error(linear, case(3)) < 0.002
    blurred = fit_baseline("ridge", [case(i, blurred=True) for i in range(6)], ivim_card)
    assert error(blurred, case(9, blurred=True)) < 0.02
    bent = fit_baseline("ridge", [case(i, bent=True) for i in range(6)], ivim_card)
    assert error(bent, case(9, bent=True)) > 0.1


def test_the_perceptron_finds_bent_maps_and_sees_no_neighbours(ivim_card):
    bent = fit_baseline("mlp", [case(i, bent=True) for i in range(3)], ivim_card, steps=150)
    assert error(bent, case(9, bent=True)) < 0.03
    blurred = fit_baseline("mlp", [case(i, blurred=True) for i in range(3)], ivim_card, steps=150)
    assert error(blurred, case(9, blurred=True)) > 0.1
    again = fit_baseline("mlp", [case(i, bent=True) for i in range(3)], ivim_card, steps=150)
    np.testing.assert_array_equal(again.predict(case(9)), bent.predict(case(9)))


@pytest.mark.parametrize("kind", ["ridge", "mlp"])
def test_a_baseline_survives_the_disk(tmp_path, ivim_card, kind):
    made = fit_baseline(kind, [case(1)], ivim_card, steps=3)
    save_baseline(made, tmp_path / "b.npz")
    back = load_baseline(tmp_path / "b.npz")
    assert (back.kind, back.card) == (kind, ivim_card)
    np.testing.assert_array_equal(back.predict(case(2)), made.predict(case(2)))


def test_identity_is_that_of_the_cases(ivim_card):
    same = identity("ridge", [case(1)], ivim_card)
    assert same == identity("ridge", [case(1)], ivim_card)
    coarser = dataclasses.replace(ivim_card, spacing=(1.0, 1.0, None))
    others = [
        identity("mlp", [case(1)], ivim_card), identity("ridge", [case(2)], ivim_card),
        identity("ridge", [case(1)], coarser),
    ]  # fmt: skip
    assert same == identity("ridge", [case(1)], dataclasses.replace(ivim_card, version="1", mirrored=True))
    assert same not in others


def test_what_is_no_baseline_is_refused(tmp_path, ivim_card):
    with pytest.raises(InputError, match="'forest'"):
        fit_baseline("forest", [case(1)], ivim_card)
    with pytest.raises(InputError, match="no case"):
        fit_baseline("ridge", [], ivim_card)
    (tmp_path / "b.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match="no readable baseline"):
        load_baseline(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", about=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="no readable baseline"):
        load_baseline(tmp_path / "c.npz")
